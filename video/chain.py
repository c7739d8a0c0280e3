"""The chain: from encoded frames to datagrams for each viewer, and back from their feedback.

    push(frame) -> History: cut, sealed when it leaves
                -> Lane of each viewer (or of a forwarder that copies): paced
    feedback    -> RateControl of that viewer -> orders for the share child: bitrate, key
                -> pieces sent again, the same bytes

The other half, of a viewer, is ``video.watching``.

Rule 1: nothing here reads a clock or sends; the engine calls ``datagrams`` when
        ``next_time`` has come and after everything that it puts in.
Rule 2: a viewer has a rate of its own; who is far below the others gets the second
        encoding, and who cannot follow even that gets key frames when it can.
Rule 3: what waits for a viewer is bounded in time; then it is dropped and a key frame asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from vc_core.attest import picture_digest
from vc_core.feedback import EVERY_PIECE, Feedback, Wanted
from vc_core.ids import Member
from vc_core.keyring import SealedPiece
from video.fragment import MAX_BACK, Picture
from video.groups import size_for, split
from video.history import LOSSY, History, OnItsWay, rows_for
from video.pace import BEAT, GAIN, GAIN_AT_FIRST, Lane, Queued
from video.rate import RateControl

# Implementation
SPREAD_FROM = 4  # viewers at one forwarder from which one copy goes there
SPREAD_OVERLAP = 1.0  # s in which a viewer gets its own copies too, until its wish has arrived
DECIDE = 0.2  # s between two looks at rates and groups
REGROUP = 3.0  # s between two moves of viewers
SHARE = 0.90  # of a rate that goes to the encoder: headers and what is sent again
BACKLOG = 0.30  # s that frames may wait until they are dropped
LARGE_BACKLOG = 1.2  # s that a key frame may wait
KEY_PAUSE = 0.4  # s between two orders for a key frame
SLOW_KEY_PAUSE = 3.0  # s, for a viewer that cannot follow
FIRST_RATES = 4e6  # bit/s up to which a new viewer's first key frame is hurried
LEAST_BITRATE = 60_000
CHANGE = 0.04  # of the bitrate from which the encoder hears of it
RESENT = 0.7  # round trips in which a piece is not sent again


class Edge(Protocol):
    """``vc_core.pictures.Pictures``, or a double."""

    def seal(self, stream: int, timestamp: int, payload: bytes, now: float) -> SealedPiece | None:
        """One datagram of pictures."""

    def sign(self, stream: int, number: int, digest: bytes, now: float) -> None:
        """A frame is attested."""

    def carry(self, stream: int, member: Member, forwarder: int) -> None:
        """A viewer is told by which forwarder its copies come."""


@dataclass(frozen=True)
class Encoded:
    """One frame of the share child."""

    captured: float
    """s on the sharer's monotonic clock."""
    key: bool
    codec: int
    width: int
    height: int
    data: bytes
    second: bool = False
    """Of the second encoding."""


@dataclass(frozen=True)
class Outgoing:
    """One datagram: to a viewer by the way in use, or to a forwarder with a handle."""

    datagram: bytes
    member: Member | None
    forwarder: int = 0
    handle: int = 0


@dataclass(frozen=True)
class Order:
    """Words for the share child of a stream."""

    stream: int
    words: dict[str, Any]


@dataclass
class Viewer:
    """One member, for all streams that it watches."""

    member: Member
    rate: RateControl
    rtt: float = 0.05
    forwarder: int = 0
    """By which it is reached; 0: directly."""


LaneKey = tuple[int, Member | None, int]
"""(stream, viewer, 0) or (stream, None, forwarder)."""
Item = tuple[OnItsWay, bool, int]
"""(frame, parity, index)."""


@dataclass
class Out:
    """One lane of one stream and whom it reaches."""

    lane: Lane[Item]
    waits_for_key: bool = True
    large: bool = False
    """A key frame is leaving, which may take longer than others."""


@dataclass
class Encoding:
    """The first or the second of a stream, as the share child was told."""

    bitrate: float = 0.0
    key_ordered: float = float("-inf")
    key_pushed: float = float("-inf")
    last: int | None = None
    """The number of its newest frame."""


@dataclass
class Streaming:
    """One stream of our own."""

    number: int
    width: int
    height: int
    fps: int
    bitrate: float
    """bit/s at most; 0: as much as the paths carry."""
    seconds: bool
    """Whether the share child can make a second encoding."""
    history: History
    first: Encoding = field(default_factory=Encoding)
    second: Encoding = field(default_factory=Encoding)
    viewers: set[Member] = field(default_factory=set)
    slow: frozenset[Member] = frozenset()
    regrouped: float = float("-inf")
    second_on: bool = False
    spread: dict[Member, tuple[int, float]] = field(default_factory=dict)
    """(forwarder, since) of viewers that get copies of a forwarder."""
    outs: dict[LaneKey, Out] = field(default_factory=dict)
    frames: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    """data, parity, again, dropped: pieces."""

    def encoding(self, second: bool) -> Encoding:
        """The first or the second one."""
        return self.second if second else self.first


class Sharer:
    """All streams of our own to all their viewers."""

    def __init__(self, edge: Edge, now: float) -> None:
        self._edge = edge
        self._streams: dict[int, Streaming] = {}
        self._viewers: dict[Member, Viewer] = {}
        self._numbers: Counter[int] = Counter()
        """Frames of a stream's number, ever: they are not counted anew when it is shared again."""
        self._orders: list[Order] = []
        self._decide_at = now
        self._looked_at = now - BEAT

    # Verbs

    def begin(
        self,
        stream: int,
        width: int,
        height: int,
        fps: int,
        bitrate: float = 0.0,
        *,
        seconds: bool = False,
    ) -> None:
        """A stream of our own, as ``Pictures.share`` numbered it, or its new size."""
        known = self._streams.get(stream)
        if known is not None:
            known.width, known.height, known.fps, known.bitrate = width, height, fps, bitrate
            return
        history = History(stream, self._edge.seal)
        self._streams[stream] = Streaming(stream, width, height, fps, bitrate, seconds, history)

    def end(self, stream: int) -> None:
        """A stream is over."""
        self._streams.pop(stream, None)
        self._forget_idle()

    def watched(self, stream: int, member: Member, on: bool, now: float) -> None:
        """A member watches a stream, or no longer (``StreamWatched``)."""
        streaming = self._streams.get(stream)
        if streaming is None:
            return
        if on and member not in streaming.viewers:
            self._viewers.setdefault(member, Viewer(member, RateControl(now)))
            streaming.viewers.add(member)
            self._order_key(streaming, now, second=False)
            self._decide_at = now
        elif not on:
            streaming.viewers.discard(member)
            streaming.slow -= {member}
            streaming.spread.pop(member, None)
            streaming.outs.pop((stream, member, 0), None)
        self._forget_idle()

    def _forget_idle(self) -> None:
        watching = {one for streaming in self._streams.values() for one in streaming.viewers}
        self._viewers = {m: one for m, one in self._viewers.items() if m in watching}

    def reached(
        self, member: Member, rtt: float, forwarder: int, now: float, *, moved: bool = False
    ) -> None:
        """How packets flow to a viewer: round trip in s, forwarder (0: directly)."""
        viewer = self._viewers.get(member)
        if viewer is not None:
            if moved or viewer.forwarder != forwarder:
                viewer.rate.moved(now)
            viewer.rtt, viewer.forwarder = rtt, forwarder

    def key_wanted(self, stream: int, member: Member, now: float) -> None:
        """A viewer can show nothing (``KeyFrameWanted``)."""
        streaming = self._streams.get(stream)
        viewer = self._viewers.get(member)
        if streaming is None or viewer is None or member not in streaming.viewers:
            return
        second = member in streaming.slow and streaming.second_on
        fresh = now - streaming.encoding(second).key_pushed < viewer.rtt + BACKLOG
        out = streaming.outs.get((stream, member, 0))
        if not fresh and (out is None or not out.waits_for_key):
            if out is not None:
                out.waits_for_key = True
                self._drop(streaming, out)
            self._order_key(streaming, now, second=second)

    def _order_key(self, streaming: Streaming, now: float, *, second: bool) -> None:
        encoding = streaming.encoding(second)
        if now - encoding.key_ordered >= KEY_PAUSE:
            encoding.key_ordered = now
            words: dict[str, Any] = {"do": "key"}
            self._orders.append(
                Order(streaming.number, words | ({"second": True} if second else {}))
            )

    # Frames in

    def push(self, stream: int, encoded: Encoded, now: float) -> int | None:
        """A frame of the share child; its number, or None if nobody gets it.

        ``LocalProtocolError`` for a frame that is too large to be sent.
        """
        streaming = self._streams.get(stream)
        if streaming is None or not streaming.viewers:
            return None
        encoding = streaming.encoding(encoded.second)
        number = self._numbers[stream]
        back = 0 if encoded.key else number - (encoding.last if encoding.last is not None else -1)
        if not encoded.key and (encoding.last is None or back > MAX_BACK):
            self._order_key(streaming, now, second=encoded.second)
            return None
        self._numbers[stream] += 1
        timestamp = int(encoded.captured * 1000) % (1 << 32)
        size = encoded.width, encoded.height
        picture = Picture(number, back, encoded.codec, timestamp, *size, encoded.data)
        frame = streaming.history.add(picture, now, second=encoded.second)
        encoding.last = number
        if encoded.key:
            encoding.key_pushed = now
        streaming.frames += 1
        digest = picture_digest(number, timestamp, encoded.key, encoded.codec, picture.body())
        self._edge.sign(stream, number, digest, now)
        for name, out in self._outs(streaming, encoded.second, now):
            self._queue(streaming, name, out, frame, now)
        return number

    def _outs(
        self, streaming: Streaming, second: bool, now: float
    ) -> Iterator[tuple[LaneKey, Out]]:
        """The lanes that get a frame of the first or of the second encoding."""
        small = streaming.slow if streaming.second_on else frozenset()
        forwarders = set()
        for member in streaming.viewers:
            if (member in small) is not second:
                continue
            forwarder, since = streaming.spread.get(member, (0, now))
            if forwarder:
                forwarders.add(forwarder)
            if not forwarder or now - since < SPREAD_OVERLAP:
                yield self._out(streaming, (streaming.number, member, 0), now)
        for forwarder in forwarders:
            yield self._out(streaming, (streaming.number, None, forwarder), now)

    def _out(self, streaming: Streaming, name: LaneKey, now: float) -> tuple[LaneKey, Out]:
        if name not in streaming.outs:
            streaming.outs[name] = Out(Lane(now))
            self._set_rate(streaming, name, streaming.outs[name])
        return name, streaming.outs[name]

    def _queue(
        self, streaming: Streaming, name: LaneKey, out: Out, frame: OnItsWay, now: float
    ) -> None:
        key, waits = frame.picture.key, out.lane.backlog
        if self._thin(streaming, name) and not (key and out.lane.empty):
            out.waits_for_key = True
            return
        out.large = out.large and waits > BACKLOG / 2
        if key or waits > (LARGE_BACKLOG if out.large else BACKLOG):
            self._drop(streaming, out)
            out.waits_for_key, out.large = True, key
        if out.waits_for_key and not key:
            return
        out.waits_for_key = self._thin(streaming, name)
        fragments = frame.fragments
        for index in range(fragments.count):
            item = frame, False, index
            out.lane.push(Queued(frame.picture.number, item, len(fragments.data(index)) + 64))
        for index in range(self._rows(streaming, name, fragments.count) * fragments.blocks):
            out.lane.push(Queued(frame.picture.number, (frame, True, index), 1228))

    @staticmethod
    def _thin(streaming: Streaming, name: LaneKey) -> bool:
        """Whether a viewer cannot follow and there is no second encoding for it."""
        return name[1] in streaming.slow and not streaming.second_on

    def _rows(self, streaming: Streaming, name: LaneKey, count: int) -> int:
        reached = self._reaches(streaming, name)
        loss = max((one.rate.loss for one in reached), default=0.0)
        return rows_for(count, loss, max((one.rtt for one in reached), default=0.0))

    @staticmethod
    def _drop(streaming: Streaming, out: Out) -> None:
        streaming.sent["dropped"] += out.lane.drop(lambda item: True)

    def _reaches(self, streaming: Streaming, name: LaneKey) -> list[Viewer]:
        """The viewers behind a lane."""
        _, member, forwarder = name
        if member is not None:
            found = [member]
        else:
            found = [one for one, (by, _) in streaming.spread.items() if by == forwarder]
        return [self._viewers[one] for one in found if one in self._viewers]

    # Datagrams out

    def datagrams(self, now: float) -> list[Outgoing]:
        """Everything that may leave now."""
        self._looked_at = now
        if now >= self._decide_at:
            self._decide(now)
        found: list[Outgoing] = []
        for streaming in self._streams.values():
            for name, out in list(streaming.outs.items()):
                while (item := out.lane.pop(now)) is not None:
                    self._send(streaming, name, item, now, found)
        return found

    def _send(
        self, streaming: Streaming, name: LaneKey, item: Item, now: float, to: list[Outgoing]
    ) -> None:
        frame, of_parity, index = item
        piece = streaming.history.sealed(frame, of_parity, index, now)
        if piece is None:
            return
        stream, member, forwarder = name
        for viewer in self._reaches(streaming, name):
            packet = stream, piece.generation, piece.ctr
            again = not of_parity and (viewer.member, index) in frame.sent
            viewer.rate.sent(packet, len(piece.datagram), now, again=again)
            if not of_parity:
                frame.sent[viewer.member, index] = now
                streaming.sent["again"] += again and member is not None
        streaming.sent["parity" if of_parity else "data"] += 1
        handle = stream if member is None else 0
        to.append(Outgoing(piece.datagram, member, forwarder, handle))

    # Feedback in

    def feedback(self, member: Member, feedback: Feedback, now: float) -> None:
        """What a viewer says of one of our streams."""
        streaming, viewer = self._streams.get(feedback.stream), self._viewers.get(member)
        if streaming is None or viewer is None or member not in streaming.viewers:
            return
        stream, generation = feedback.stream, feedback.generation
        names = [((stream, generation, one.ctr), one.at) for one in feedback.arrivals]
        before = viewer.rate.target
        viewer.rate.receive(names, now)
        if viewer.rate.target < before:
            self._decide_at = now
        for wanted in feedback.wanted:
            self._again(streaming, viewer, wanted, now)

    def _again(self, streaming: Streaming, viewer: Viewer, wanted: Wanted, now: float) -> None:
        """Send pieces again that were sent to this viewer and can still be asked for."""
        frame = streaming.history.find(wanted.frame)
        if frame is None:
            return
        every = wanted.index == EVERY_PIECE
        indices = range(frame.fragments.count) if every else (wanted.index,)
        _, out = self._out(streaming, (streaming.number, viewer.member, 0), now)
        for index in indices:
            sent = frame.sent.get((viewer.member, index))
            if sent is None or now - sent < RESENT * viewer.rtt or out.lane.backlog > BACKLOG:
                continue
            size = len(frame.fragments.data(index)) + 64
            for _ in range(2 if viewer.rate.loss >= LOSSY else 1):
                if out.lane.push_again(Queued(wanted.frame, (frame, False, index), size)):
                    frame.sent[viewer.member, index] = now

    # Decisions

    def _decide(self, now: float) -> None:
        """Rates into lanes and orders; who gets which encoding, and by which way."""
        self._decide_at = now + DECIDE
        for viewer in self._viewers.values():
            viewer.rate.handle_timer(now)
        for streaming in self._streams.values():
            if streaming.viewers:
                self._group(streaming, now)
                self._spread(streaming, now)
                for name, out in streaming.outs.items():
                    self._set_rate(streaming, name, out)
                    self._catch_up(streaming, name, out, now)
                self._order_bitrates(streaming)

    def _part(self, member: Member) -> float:
        """bit/s of one stream: a viewer's rate is shared by the streams that it watches."""
        streams = sum(member in one.viewers for one in self._streams.values())
        return self._viewers[member].rate.target / max(1, streams)

    def _set_rate(self, streaming: Streaming, name: LaneKey, out: Out) -> None:
        reached = self._reaches(streaming, name)
        if reached:
            out.lane.rate = min(self._part(one.member) for one in reached)
            starting = out.lane.rate < FIRST_RATES and all(one.rate.starting for one in reached)
            out.lane.gain = GAIN_AT_FIRST if starting else GAIN

    def _group(self, streaming: Streaming, now: float) -> None:
        rates = {member: self._part(member) for member in streaming.viewers}
        slow = split(rates, streaming.slow)
        if slow == streaming.slow or now - streaming.regrouped < REGROUP:
            return
        moved = slow ^ streaming.slow
        streaming.slow, streaming.regrouped = slow, now
        if not streaming.seconds:
            return
        for member in moved:
            out = streaming.outs.get((streaming.number, member, 0))
            if out is not None:
                self._drop(streaming, out)
                out.waits_for_key = True
        if bool(slow) is not streaming.second_on:
            streaming.second_on = bool(slow)
            streaming.second = Encoding()
            self._orders.append(Order(streaming.number, self._second(streaming, rates)))
        elif slow & moved:
            self._order_key(streaming, now, second=True)
        if moved - slow:
            self._order_key(streaming, now, second=False)

    def _second(self, streaming: Streaming, rates: dict[Member, float]) -> dict[str, Any]:
        """The order that begins or ends a second encoding."""
        if not streaming.slow:
            return {"do": "second", "on": False}
        bps = self._bitrate(streaming, [rates[one] for one in streaming.slow])
        size = size_for(streaming.width, streaming.height, streaming.fps, bps)
        streaming.second.bitrate = bps
        width, height, fps = size
        sized = {"width": width, "height": height, "fps": fps, "bitrate": round(bps)}
        return {"do": "second", "on": True, **sized}

    def _spread(self, streaming: Streaming, now: float) -> None:
        """One copy for many viewers of the first encoding behind one forwarder."""
        small = streaming.slow if streaming.second_on else frozenset()
        fit = [m for m in streaming.viewers - streaming.slow - small if self._viewers[m].forwarder]
        by = Counter(self._viewers[member].forwarder for member in fit)
        for member in streaming.viewers:
            forwarder = self._viewers[member].forwarder if member in fit else 0
            wanted = forwarder if by[forwarder] >= SPREAD_FROM else 0
            if streaming.spread.get(member, (0, 0.0))[0] != wanted:
                self._edge.carry(streaming.number, member, wanted)
                if wanted:
                    streaming.spread[member] = wanted, now
                else:
                    del streaming.spread[member]
        gone = [
            name
            for name in streaming.outs
            if name[1] is None and not self._reaches(streaming, name)
        ]
        for name in gone:
            del streaming.outs[name]

    def _catch_up(self, streaming: Streaming, name: LaneKey, out: Out, now: float) -> None:
        """A lane that had dropped frames is empty again: it needs a key frame."""
        if not out.waits_for_key or not out.lane.empty:
            return
        second = streaming.second_on and name[1] in streaming.slow
        pause = SLOW_KEY_PAUSE if self._thin(streaming, name) else KEY_PAUSE
        encoding = streaming.encoding(second)
        if now - max(encoding.key_ordered, encoding.key_pushed) >= pause:
            self._order_key(streaming, now, second=second)

    def _bitrate(self, streaming: Streaming, rates: list[float]) -> float:
        """bit/s for an encoder whose frames must fit through all of ``rates``."""
        bps = SHARE * min(rates)
        return min(bps, streaming.bitrate) if streaming.bitrate else bps

    def _order_bitrates(self, streaming: Streaming) -> None:
        for second in (False, True):
            slow = streaming.slow
            members = slow if second else streaming.viewers - slow or streaming.viewers
            if (second and not streaming.second_on) or not members:
                continue
            rates = [self._net(streaming, member) for member in members]
            bps = max(float(LEAST_BITRATE), self._bitrate(streaming, rates))
            encoding = streaming.encoding(second)
            if abs(bps - encoding.bitrate) > CHANGE * encoding.bitrate:
                encoding.bitrate = bps
                words: dict[str, Any] = {"do": "bitrate", "bps": round(bps)}
                words |= {"second": True} if second else {}
                self._orders.append(Order(streaming.number, words))

    def _net(self, streaming: Streaming, member: Member) -> float:
        """What is left of a viewer's part without parity, repetition and what waits."""
        viewer = self._viewers[member]
        pieces = max(4, int(self._part(member) / 8 / max(1, streaming.fps) / 1200))
        rows = rows_for(pieces, viewer.rate.loss, viewer.rtt)
        out = streaming.outs.get((streaming.number, member, 0))
        waits = out.lane.backlog if out is not None else 0.0
        tired = 1.0 - min(0.5, 1.5 * max(0.0, waits - 0.04))
        lost = min(0.5, viewer.rate.loss) if rows == 0 else 0.02
        return self._part(member) * tired * (1 - lost) * pieces / (pieces + rows)

    # Out

    def orders(self) -> list[Order]:
        """Words for the share children since this was last asked."""
        orders, self._orders = self._orders, []
        return orders

    def next_time(self) -> float:
        """When ``datagrams`` should be called next; infinity while nobody watches."""
        if not self._viewers:
            return float("inf")
        outs = (out for one in self._streams.values() for out in one.outs.values())
        due = min((out.lane.next_time() for out in outs), default=float("inf"))
        return min(self._decide_at, max(due, self._looked_at + BEAT))

    def bitrate(self, stream: int) -> float:
        """What the first encoding was told, in bit/s."""
        return self._streams[stream].first.bitrate

    def sent(self, stream: int) -> Counter[str]:
        """Pieces sent so far: data, parity, again, dropped."""
        return self._streams[stream].sent

    def rate_of(self, member: Member) -> RateControl | None:
        """What is known of a viewer's path."""
        viewer = self._viewers.get(member)
        return viewer.rate if viewer is not None else None
