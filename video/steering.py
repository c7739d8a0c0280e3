"""Steering: what follows from the rates of the viewers, a few times a second.

rates of viewers -> rates of lanes
                 -> bitrate of the first encoding: what the slowest of its viewers takes
                 -> who gets the second encoding, and its size
many viewers behind one forwarder -> one copy there
a lane that had to drop frames    -> a key frame, when it is empty again
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from vc_core.bucket import Bucket, Rate
from vc_core.ids import Member
from video.groups import STILL_WIDE, UNKNOWN, Path, size_for
from video.history import rows_for
from video.pace import GAIN, GAIN_AT_FIRST
from video.rate import SHORT_QUEUE
from video.sharing import Edge, Encoding, LaneKey, Order, Out, Streaming, Viewer

# Implementation
SPREAD_FROM = 4  # viewers at one forwarder from which one copy goes there
SPREAD_UNTIL = 2  # and until which it does: no copy comes and goes with one viewer
SPREAD_OVERLAP = 1.0  # s in which a viewer gets its own copies too, until its wish has arrived
DECIDE = 0.2  # s between two looks at rates and groups
ENOUGH = 1.1  # times what a viewer must show before it rises
PROVEN = 1.3  # times what has arrived that a path is believed to carry
GENTLY = 1.4  # times its bitrate that a second encoding gets when its paths are found clear
RESHAPE = 6.0  # s between two sizes of a second encoding
HUSH = 0.1  # s, and two round trips, until copies come no more to who wants them no more
SHARE = 0.90  # of a rate that goes to the encoder: headers and what is sent again
FIRST_RATES = 4e6  # bit/s up to which a new viewer's first key frame is hurried
LEAST_BITRATE = 60_000.0
CHANGE = 0.04  # of the bitrate from which the encoder hears of it
KEY_PAUSE = 0.4  # s between two orders for a key frame
KEY_LATE = 2.0  # s that one which was ordered may take, as VP9 does on a busy machine
SLOW_KEY_PAUSE = 3.0  # s, for a viewer that cannot follow, or has asked too often
KEYS = Rate(per_second=0.2, burst=10)  # key frames that one viewer can force


class Steering:
    """Of all streams of our own."""

    def __init__(self, edge: Edge, now: float) -> None:
        self._edge = edge
        self.streams: dict[int, Streaming] = {}
        self.viewers: dict[Member, Viewer] = {}
        self.orders: list[Order] = []
        self.due = now
        self._keys: dict[Member, Bucket] = {}
        """What members may still force: of all who ever watched."""

    def may_force(self, member: Member, now: float) -> bool:
        """Whether a member may have a key frame made, which counts as one."""
        return self._keys.setdefault(member, Bucket(KEYS, now)).take(now)

    def order_key(self, streaming: Streaming, now: float, *, second: bool) -> None:
        """Ask the share child for a key frame, unless that was done just now, or it is at it."""
        encoding = streaming.encoding(second)
        comes = encoding.key_ordered > encoding.key_pushed
        if now - encoding.key_ordered >= (KEY_LATE if comes else KEY_PAUSE):
            encoding.key_ordered = now
            self.orders.append(Order(streaming.number, {"do": "key"}, second))

    def decide(self, now: float) -> None:
        """Rates into lanes and orders; who gets which encoding, and by which way."""
        self.due = now + DECIDE
        for viewer in self.viewers.values():
            viewer.rate.handle_timer(now)
        for streaming in self.streams.values():
            if streaming.viewers:
                keys = self._group(streaming, now)
                self._spread(streaming, now)
                for name, out in streaming.outs.items():
                    self.set_rate(streaming, name, out)
                    self._catch_up(streaming, name, out, now)
                self._order_bitrates(streaming, now)
                for second in keys:  # after their bitrates: they are made at once
                    self.order_key(streaming, now, second=second)
            elif streaming.second_on:
                self._close_second(streaming)

    def _part(self, member: Member) -> float:
        """bit/s of one stream: a viewer's rate is shared by the streams that it watches."""
        streams = sum(member in one.viewers for one in self.streams.values())
        return self.viewers[member].rate.target / max(1, streams)

    def _path(self, streaming: Streaming, member: Member) -> Path:
        """What is known of a viewer's path.

        A newcomer begins with the second encoding where others get more than ``UNKNOWN``:
        neither it nor they shall pay for finding out.
        """
        part, rate = self._part(member), self.viewers[member].rate
        if not streaming.seconds:
            return Path(part, part)
        if not rate.delivered:
            return Path(part, min(part, UNKNOWN), known=False)
        if member in streaming.slow:
            return Path(part, part * min(1.0, PROVEN * rate.delivered / rate.target))
        return Path(part, part)

    def fill(self, streaming: Streaming, member: Member, size: int, now: float) -> int:
        """Bytes beside a frame of the second encoding that find out whether a path carries more."""
        shape, part = streaming.shape, self._part(member)
        if shape is None or streaming.thin((streaming.number, member, 0)):
            return 0
        level = streaming.exploring.level(member, self.viewers[member].rate, now)
        level = min(level, part, ENOUGH * streaming.rises_from)
        return max(0, int(level / 8 / shape[2]) - size)

    def set_rate(self, streaming: Streaming, name: LaneKey, out: Out) -> None:
        """A lane goes as fast as the slowest viewer behind it takes."""
        reached = streaming.behind(name, self.viewers)
        if reached:
            out.lane.rate = min(self._part(one.member) for one in reached)
            starting = out.lane.rate < FIRST_RATES and all(one.rate.starting for one in reached)
            starting = starting and out.large and not streaming.gets_second(name[1])
            gain = min(one.rate.hurry(GAIN) for one in reached)
            out.lane.gain = GAIN_AT_FIRST if starting else gain

    @staticmethod
    def loss_of(streaming: Streaming, viewer: Viewer, now: float) -> float:
        """What a viewer's path loses by itself."""
        return 0.0 if streaming.groups.just_fell(viewer.member, now) else viewer.rate.loss

    # ---- Who gets which --------------------------------------------------------------

    def _group(self, streaming: Streaming, now: float) -> set[bool]:
        """Viewers to encodings; those (second or not) that need a key frame."""
        groups, fresh = streaming.groups, streaming.fresh
        paths = {member: self._path(streaming, member) for member in streaming.viewers}
        most = streaming.bitrate / SHARE if streaming.bitrate else float("inf")
        first, second = (one.demand.need(now) for one in (streaming.first, streaming.second))
        fallen = groups.decide(paths, (min(most, first), second), now)
        quick = [paths[one].target for one in paths.keys() - groups.slow]
        streaming.rises_from = min(most, first, *quick) / STILL_WIDE
        for member in fallen:
            streaming.clear(member)
        keys = {False} if groups.rising or fresh - groups.slow else set()
        if not groups.slow and streaming.second_on:
            self._close_second(streaming)
        elif groups.slow and streaming.seconds:
            begun = self._shape_second(streaming, paths, now)
            if not begun and (fallen or fresh & groups.slow):
                keys.add(True)
        streaming.fresh = set()
        return keys

    def _shape_second(self, streaming: Streaming, paths: Mapping[Member, Path], now: float) -> bool:
        """Begin a second encoding, or give it another size; whether that was done."""
        bps = self._bitrate(streaming, [paths[one].proven for one in self._of_second(streaming)])
        first = streaming.width, streaming.height, streaming.fps
        shape = size_for(*first, bps, streaming.shape)
        if shape == streaming.shape or now - streaming.shaped < RESHAPE:
            return False
        if streaming.shape is None:
            streaming.second = Encoding()
            if self._of_second(streaming) <= streaming.fresh:
                bps = min(bps, UNKNOWN)
                shape = size_for(*first, bps)
        streaming.second.bitrate, streaming.second.key_ordered = bps, now
        streaming.shape, streaming.shaped = shape, now
        width, height, fps = shape
        sized = {"width": width, "height": height, "fps": fps, "bitrate": round(bps)}
        self.orders.append(Order(streaming.number, {"do": "open", **sized}, second=True))
        return True

    def _close_second(self, streaming: Streaming) -> None:
        streaming.shape, streaming.shaped = None, float("-inf")
        self.orders.append(Order(streaming.number, {"do": "stop"}, second=True))

    @staticmethod
    def _of_second(streaming: Streaming) -> frozenset[Member]:
        """Those whose paths the second encoding must fit."""
        return streaming.slow - streaming.groups.crawling or streaming.slow

    # ---- By which way ----------------------------------------------------------------

    def _spread(self, streaming: Streaming, now: float) -> None:
        """One copy for many viewers of the first encoding behind one forwarder."""
        groups = streaming.groups
        fit = {
            one
            for one in streaming.viewers
            if self.viewers[one].forwarder and groups.settled(one, now)
        }
        spreading = {forwarder for forwarder, _ in streaming.spread.values()}
        by = Counter(self.viewers[member].forwarder for member in fit)
        for member in streaming.viewers:
            forwarder = self.viewers[member].forwarder if member in fit else 0
            many = SPREAD_UNTIL if forwarder in spreading else SPREAD_FROM
            wanted = forwarder if by[forwarder] >= many else 0
            if streaming.spread.get(member, (0, 0.0))[0] != wanted:
                self._edge.carry(streaming.number, member, wanted)
                if wanted:
                    streaming.spread[member] = wanted, now
                else:
                    del streaming.spread[member]
                    streaming.quiet[member] = now + 2 * self.viewers[member].rtt + HUSH
        gone = [
            name
            for name in streaming.outs
            if name[1] is None and not streaming.behind(name, self.viewers)
        ]
        for name in gone:
            del streaming.outs[name]

    def _catch_up(self, streaming: Streaming, name: LaneKey, out: Out, now: float) -> None:
        """A lane that had dropped frames is empty again: it needs a key frame."""
        idle = name[1] in streaming.spread or name[1] not in (None, *streaming.viewers)
        if idle or not out.waits_for_key or not out.lane.empty:
            return
        second = streaming.gets_second(name[1])
        keys = self._keys.get(name[1]) if name[1] is not None else None
        tired = keys is not None and not keys.has(now)
        pause = SLOW_KEY_PAUSE if tired or streaming.thin(name) else KEY_PAUSE
        encoding = streaming.encoding(second)
        if now - max(encoding.key_ordered, encoding.key_pushed) >= pause:
            self.order_key(streaming, now, second=second)

    def _bitrate(self, streaming: Streaming, rates: list[float]) -> float:
        """bit/s for an encoder whose frames must fit through all of ``rates``."""
        bps = SHARE * min(rates)
        return min(bps, streaming.bitrate) if streaming.bitrate else bps

    def _order_bitrates(self, streaming: Streaming, now: float) -> None:
        for second in (False, True):
            if second and not streaming.second_on:
                continue
            rest = streaming.viewers - streaming.slow or streaming.viewers
            members = self._of_second(streaming) if second else rest
            rates = [self._net(streaming, member, now) for member in members]
            bps = max(LEAST_BITRATE, self._bitrate(streaming, rates))
            encoding = streaming.encoding(second)
            if second:
                bps = min(bps, encoding.bitrate * self._gently(members))
            if abs(bps - encoding.bitrate) > CHANGE * encoding.bitrate:
                encoding.bitrate = bps
                words = {"do": "bitrate", "bps": round(bps)}
                self.orders.append(Order(streaming.number, words, second))

    def _gently(self, members: Iterable[Member]) -> float:
        """Times its bitrate that a second encoding may have now: paths are felt for."""
        rates = [self.viewers[member].rate for member in members]
        clear = all(rate.delivered and rate.queue < SHORT_QUEUE for rate in rates)
        return GENTLY if clear else 1.0

    def _net(self, streaming: Streaming, member: Member, now: float) -> float:
        """What is left of a viewer's part without parity, repetition and what waits."""
        viewer = self.viewers[member]
        pieces = max(4, int(self._part(member) / 8 / max(1, streaming.fps) / 1200))
        loss = self.loss_of(streaming, viewer, now)
        rows = rows_for(pieces, loss, viewer.rtt)
        out = streaming.outs.get((streaming.number, member, 0))
        waits = out.lane.backlog if out is not None else 0.0
        tired = 1.0 - min(0.5, 1.5 * max(0.0, waits - 0.04))
        lost = min(0.5, loss) if rows == 0 else 0.02
        return self._part(member) * tired * (1 - lost) * pieces / (pieces + rows)
