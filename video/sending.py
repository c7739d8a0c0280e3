"""Sending: from encoded frames to datagrams for each viewer, and back from their feedback.

    push(frame) -> History: cut, sealed when it leaves
                -> Lane of each viewer (or of a forwarder that copies): paced
    feedback    -> RateControl of that viewer -> orders for the share child: bitrate, key
                -> pieces sent again, the same bytes

What is decided from rates stands in ``video.steering``; the other half, of a viewer, is
``video.watching``.

Rule 1: nothing here reads a clock or sends; the engine calls ``datagrams`` when
        ``next_time`` has come and after everything that it puts in.
Rule 2: a viewer has a rate of its own; who is far below the others gets the second
        encoding (video.groups), and who cannot follow even that key frames when it can.
Rule 3: a key frame costs everybody: one viewer can force few of them.
Rule 4: what waits for a viewer is bounded in time; then it is dropped and a key frame asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vc_core.attest import picture_digest
from vc_core.feedback import EVERY_PIECE, Feedback, Wanted
from vc_core.ids import Member
from vc_core.keyring import SealedPiece
from vc_core.packet import MAX_DATAGRAM, OVERHEAD
from video.fragment import MAX_BACK, Picture
from video.history import LOSSY, History, OnItsWay, rows_for
from video.pace import BEAT, Lane, Queued
from video.parity import ROWS
from video.rate import WIRE, RateControl
from video.sharing import (
    Edge,
    Encoded,
    Item,
    LaneKey,
    Order,
    Out,
    Outgoing,
    Streaming,
    Viewer,
)
from video.steering import KEYS, SPREAD_OVERLAP, Steering

# Implementation
BACKLOG = 0.30  # s that frames may wait until they are dropped
LARGE_BACKLOG = 1.2  # s that a key frame may wait
WRAPPED = OVERHEAD + WIRE  # bytes around a piece
RESENT = 0.7  # round trips in which a piece is not sent again
MOST_AT_ONCE = 32
"""Datagrams of one look, each sealed and perhaps with parity to be made: 1.7 ms. Voice runs
on the same loop, and comes between."""


class Sharer:
    """All streams of our own to all their viewers."""

    def __init__(self, edge: Edge, now: float) -> None:
        self._edge = edge
        self._steering = Steering(edge, now)
        self._streams = self._steering.streams
        self._viewers = self._steering.viewers
        self._numbers: Counter[int] = Counter()
        """Frames of a stream's number, ever: they are not counted anew when it is shared again."""
        self._waiting: dict[tuple[int, Member], float] = {}
        """When viewers who come too often are let in: (stream, member)."""
        self._looked_at = now - BEAT
        self._interrupted = False

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
            known.shaped = float("-inf")  # the second encoding follows at once
            return
        history = History(stream, self._edge.seal)
        self._streams[stream] = Streaming(stream, width, height, fps, bitrate, seconds, history)

    def no_second(self, stream: int) -> None:
        """The share child can make no second encoding (any more)."""
        streaming = self._streams.get(stream)
        if streaming is not None:
            streaming.seconds, streaming.shape = False, None
            for member in streaming.slow:
                streaming.clear(member)

    def end(self, stream: int) -> None:
        """A stream is over."""
        self._streams.pop(stream, None)
        self._waiting = {one: due for one, due in self._waiting.items() if one[0] != stream}
        self._forget_idle()

    def watched(self, stream: int, member: Member, on: bool, now: float) -> None:
        """A member watches a stream, or no longer (``StreamWatched``)."""
        streaming = self._streams.get(stream)
        if streaming is None:
            return
        if on and member not in streaming.viewers:
            if streaming.viewers and not self._steering.may_force(member, now):
                self._waiting.setdefault((stream, member), now + 1 / KEYS.per_second)
                return
            self._waiting.pop((stream, member), None)
            self._viewers.setdefault(member, Viewer(member, RateControl(now)))
            streaming.viewers.add(member)
            streaming.fresh.add(member)
            self._steering.due = now
        elif not on:
            self._waiting.pop((stream, member), None)
            streaming.leave(member)
            self._steering.due = now
        self._forget_idle()

    def _forget_idle(self) -> None:
        watching = {one for streaming in self._streams.values() for one in streaming.viewers}
        for member in self._viewers.keys() - watching:
            del self._viewers[member]

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
        second = streaming.gets_second(member)
        fresh = now - streaming.encoding(second).key_pushed < viewer.rtt + BACKLOG
        alone = member not in streaming.spread
        out = streaming.outs.get((stream, member, 0)) if alone else None
        if not fresh and (out is None or not out.waits_for_key):
            if out is not None:
                out.waits_for_key = True
                streaming.drop(out)
            if len(streaming.viewers) > 1 and not self._steering.may_force(member, now):
                return
            self._steering.order_key(streaming, now, second=second)

    # Frames in

    def push(self, stream: int, encoded: Encoded, now: float) -> int | None:
        """A frame of the share child; its number, or None if nobody gets it.

        ``LocalProtocolError`` for a frame that is too large to be sent.
        """
        streaming = self._streams.get(stream)
        if streaming is None or not streaming.viewers:
            return None
        if encoded.second and not streaming.second_on:
            return None  # it was told to stop
        encoding = streaming.encoding(encoded.second)
        number = self._numbers[stream]
        back = 0 if encoded.key else number - (encoding.last if encoding.last is not None else -1)
        if not encoded.key and (encoding.last is None or back > MAX_BACK):
            self._steering.order_key(streaming, now, second=encoded.second)
            return None
        self._numbers[stream] += 1
        timestamp = int(encoded.captured * 1000) % (1 << 32)
        size = encoded.width, encoded.height
        picture = Picture(number, back, encoded.codec, timestamp, *size, encoded.data)
        frame = streaming.history.add(picture, now, second=encoded.second)
        encoding.last = number
        encoding.demand.add(len(encoded.data), encoding.bitrate, now)
        if encoded.key:
            encoding.key_pushed = now
            if not encoded.second:
                for member in streaming.groups.rise(now):
                    streaming.exploring.forget(member)
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
        forwarders = set()
        for member in streaming.viewers:
            quiet = now < streaming.quiet.get(member, now)
            if streaming.gets_second(member) is not second or (second and quiet):
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
            self._steering.set_rate(streaming, name, streaming.outs[name])
        return name, streaming.outs[name]

    def _queue(
        self, streaming: Streaming, name: LaneKey, out: Out, frame: OnItsWay, now: float
    ) -> None:
        key, waits = frame.picture.key, out.lane.backlog
        if streaming.thin(name) and not (key and out.lane.empty):
            out.waits_for_key = True
            return
        out.large = out.large and waits > BACKLOG / 2
        if out.large and not key and out.lane.rate > out.key_rate / 2 and waits > LARGE_BACKLOG:
            out.waits_for_key = True  # another would be as large: this one goes on alone
            return
        if key or waits > (LARGE_BACKLOG if out.large else BACKLOG):
            streaming.drop(out)
            out.waits_for_key, out.large = True, key
            self._steering.set_rate(streaming, name, out)
            out.key_rate = out.lane.rate
        if out.waits_for_key and not key:
            return
        out.waits_for_key = streaming.thin(name)
        fragments = frame.fragments
        for index in range(fragments.count):
            item = frame, False, index
            out.lane.push(Queued(frame.picture.number, item, fragments.size(index) + WRAPPED))
        rows = self._rows(streaming, name, frame, now)
        for index in range(rows * fragments.blocks):
            out.lane.push(Queued(frame.picture.number, (frame, True, index), MAX_DATAGRAM + WIRE))

    def _rows(self, streaming: Streaming, name: LaneKey, frame: OnItsWay, now: float) -> int:
        """Parity for each block of a frame."""
        fragments, member = frame.fragments, name[1]
        reached = streaming.behind(name, self._viewers)
        loss = max((self._steering.loss_of(streaming, one, now) for one in reached), default=0.0)
        rtt = max((one.rtt for one in reached), default=0.0)
        rows = rows_for(fragments.count, loss, rtt)
        if frame.second and member is not None:
            fill = self._steering.fill(streaming, member, len(frame.picture.data), now)
            rows = max(rows, min(ROWS, round(fill / MAX_DATAGRAM / fragments.blocks)))
        return rows

    # Datagrams out

    def datagrams(self, now: float) -> list[Outgoing]:
        """What may leave now; if that is much, the rest at the next call, which is due at once."""
        self._looked_at = now
        for (stream, member), due in list(self._waiting.items()):
            if now >= due:
                del self._waiting[stream, member]
                self.watched(stream, member, True, now)
        if now >= self._steering.due:
            self._steering.decide(now)
        found: list[Outgoing] = []
        for streaming in self._streams.values():
            for name, out in list(streaming.outs.items()):
                if out.lane.next_time() <= now:
                    self._empty(streaming, name, out.lane, now, found)
        self._interrupted = len(found) >= MOST_AT_ONCE
        return found

    def _empty(
        self,
        streaming: Streaming,
        name: LaneKey,
        lane: Lane[Item],
        now: float,
        found: list[Outgoing],
    ) -> None:
        """What may leave of a lane."""
        stream, member, forwarder = name
        handle = stream if member is None else 0
        reached = streaming.behind(name, self._viewers)
        while len(found) < MOST_AT_ONCE and (item := lane.pop(now)) is not None:
            frame, of_parity, index = item
            piece = streaming.history.sealed(frame, of_parity, index, now)
            if piece is None:
                continue
            for viewer in reached:
                self._count(streaming, viewer, piece, item, now, copied=member is None)
            streaming.sent["parity" if of_parity else "data"] += 1
            streaming.sent["bytes"] += len(piece.datagram)
            found.append(Outgoing(piece.datagram, member, forwarder, handle))

    def _count(
        self,
        streaming: Streaming,
        viewer: Viewer,
        piece: SealedPiece,
        item: Item,
        now: float,
        *,
        copied: bool,
    ) -> None:
        """A piece leaves for a viewer, by itself or ``copied`` by a forwarder."""
        (frame, of_parity, index), member = item, viewer.member
        twice = bool(streaming.spread) and self._comes_twice(streaming, member, frame)
        if copied and twice:
            return  # counted with the other copy; each by itself would look like loss
        packet = streaming.number, piece.generation, piece.ctr
        again = not of_parity and (member, index) in frame.sent
        # Which of two copies an arrival speaks of, nobody knows.
        viewer.rate.sent(packet, len(piece.datagram), now, again=again or twice)
        if not of_parity:
            frame.sent[member, index] = now
            streaming.sent["again"] += again and not copied

    @staticmethod
    def _comes_twice(streaming: Streaming, member: Member, frame: OnItsWay) -> bool:
        """Whether a viewer behind a forwarder is sent this frame by itself as well."""
        _, since = streaming.spread.get(member, (0, float("-inf")))
        return frame.pushed - since < SPREAD_OVERLAP

    # Feedback in

    def feedback(self, member: Member, feedback: Feedback, now: float) -> None:
        """What a viewer says of one of our streams."""
        streaming = self._streams.get(feedback.stream)
        viewer = self._viewers.get(member)
        if streaming is None or viewer is None or member not in streaming.viewers:
            return
        stream, generation = feedback.stream, feedback.generation
        names = [((stream, generation, ctr), at) for ctr, at in feedback.arrivals]
        before = viewer.rate.target
        viewer.rate.receive(names, now)
        if viewer.rate.target < before:
            self._steering.due = now
        for wanted in feedback.wanted:
            self._again(streaming, viewer, wanted, now)

    def _again(self, streaming: Streaming, viewer: Viewer, wanted: Wanted, now: float) -> None:
        """Send pieces again that were sent to this viewer and can still be asked for."""
        frame = streaming.history.find(wanted.frame)
        if frame is None or frame.second is not streaming.gets_second(viewer.member):
            return  # forgotten, or of no use to it any more
        every = wanted.index == EVERY_PIECE
        indices = range(frame.fragments.count) if every else (wanted.index,)
        _, out = self._out(streaming, (streaming.number, viewer.member, 0), now)
        for index in indices:
            sent = frame.sent.get((viewer.member, index))
            if sent is None or now - sent < RESENT * viewer.rtt or out.lane.backlog > BACKLOG:
                continue
            size = frame.fragments.size(index) + WRAPPED
            for _ in range(2 if viewer.rate.loss >= LOSSY else 1):
                if out.lane.push_again(Queued(wanted.frame, (frame, False, index), size)):
                    frame.sent[viewer.member, index] = now

    # Out

    def orders(self) -> list[Order]:
        """Words for the share children since this was last asked."""
        orders, self._steering.orders = self._steering.orders, []
        return orders

    def next_time(self) -> float:
        """When ``datagrams`` should be called next; infinity while nobody watches."""
        waiting = min(self._waiting.values(), default=float("inf"))
        if not self._viewers:
            return waiting
        outs = (out for one in self._streams.values() for out in one.outs.values())
        due = min((out.lane.next_time() for out in outs), default=float("inf"))
        pause = 0.0 if self._interrupted else BEAT
        return min(waiting, self._steering.due, max(due, self._looked_at + pause))

    def bitrate(self, stream: int) -> float:
        """What the first encoding was told, in bit/s."""
        return self._streams[stream].first.bitrate

    def sent(self, stream: int) -> Counter[str]:
        """Pieces sent so far: data, parity, again, dropped; and bytes, of all datagrams."""
        return self._streams[stream].sent

    def rate_of(self, member: Member) -> RateControl | None:
        """What is known of a viewer's path."""
        viewer = self._viewers.get(member)
        return viewer.rate if viewer is not None else None
