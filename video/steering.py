"""Steering: what follows from the rates of the viewers, a few times a second.

rates of viewers -> rates of lanes
                 -> bitrate of the first encoding: what the slowest of its viewers takes
                 -> who gets the second encoding, and its size
many viewers behind one forwarder -> one copy there
a lane that had to drop frames    -> a key frame, when it is empty again
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from vc_core.ids import Member
from video.groups import size_for, split
from video.history import rows_for
from video.pace import GAIN, GAIN_AT_FIRST
from video.sharing import Edge, Encoding, LaneKey, Order, Out, Streaming, Viewer

# Implementation
SPREAD_FROM = 4  # viewers at one forwarder from which one copy goes there
SPREAD_OVERLAP = 1.0  # s in which a viewer gets its own copies too, until its wish has arrived
DECIDE = 0.2  # s between two looks at rates and groups
REGROUP = 3.0  # s between two moves of viewers
SHARE = 0.90  # of a rate that goes to the encoder: headers and what is sent again
FIRST_RATES = 4e6  # bit/s up to which a new viewer's first key frame is hurried
LEAST_BITRATE = 60_000.0
CHANGE = 0.04  # of the bitrate from which the encoder hears of it
KEY_PAUSE = 0.4  # s between two orders for a key frame
SLOW_KEY_PAUSE = 3.0  # s, for a viewer that cannot follow


class Steering:
    """Of all streams of our own."""

    def __init__(self, edge: Edge, now: float) -> None:
        self._edge = edge
        self.streams: dict[int, Streaming] = {}
        self.viewers: dict[Member, Viewer] = {}
        self.orders: list[Order] = []
        self.due = now

    def order_key(self, streaming: Streaming, now: float, *, second: bool) -> None:
        """Ask the share child for a key frame, unless that was done just now."""
        encoding = streaming.encoding(second)
        if now - encoding.key_ordered >= KEY_PAUSE:
            encoding.key_ordered = now
            self.orders.append(Order(streaming.number, {"do": "key"}, second))

    def decide(self, now: float) -> None:
        """Rates into lanes and orders; who gets which encoding, and by which way."""
        self.due = now + DECIDE
        for viewer in self.viewers.values():
            viewer.rate.handle_timer(now)
        for streaming in self.streams.values():
            if streaming.viewers:
                self._group(streaming, now)
                self._spread(streaming, now)
                for name, out in streaming.outs.items():
                    self.set_rate(streaming, name, out)
                    self._catch_up(streaming, name, out, now)
                self._order_bitrates(streaming)

    def _part(self, member: Member) -> float:
        """bit/s of one stream: a viewer's rate is shared by the streams that it watches."""
        streams = sum(member in one.viewers for one in self.streams.values())
        return self.viewers[member].rate.target / max(1, streams)

    def set_rate(self, streaming: Streaming, name: LaneKey, out: Out) -> None:
        """A lane goes as fast as the slowest viewer behind it takes."""
        reached = streaming.behind(name, self.viewers)
        if reached:
            out.lane.rate = min(self._part(one.member) for one in reached)
            starting = out.lane.rate < FIRST_RATES and all(one.rate.starting for one in reached)
            gain = min(one.rate.hurry(GAIN) for one in reached)
            out.lane.gain = GAIN_AT_FIRST if starting else gain

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
                streaming.drop(out)
                out.waits_for_key = True
        if bool(slow) is not streaming.second_on:
            streaming.second_on = bool(slow)
            streaming.second = Encoding()
            self.orders.append(Order(streaming.number, self._second(streaming, rates), second=True))
        elif slow & moved:
            self.order_key(streaming, now, second=True)
        if moved - slow:
            self.order_key(streaming, now, second=False)

    def _second(self, streaming: Streaming, rates: dict[Member, float]) -> dict[str, Any]:
        """The order that begins or ends a second encoding."""
        if not streaming.slow:
            return {"do": "stop"}
        bps = self._bitrate(streaming, [rates[one] for one in streaming.slow])
        size = size_for(streaming.width, streaming.height, streaming.fps, bps)
        streaming.second.bitrate = bps
        width, height, fps = size
        sized = {"width": width, "height": height, "fps": fps, "bitrate": round(bps)}
        return {"do": "open", **sized}

    def _spread(self, streaming: Streaming, now: float) -> None:
        """One copy for many viewers of the first encoding behind one forwarder."""
        fit = {m for m in streaming.viewers - streaming.slow if self.viewers[m].forwarder}
        by = Counter(self.viewers[member].forwarder for member in fit)
        for member in streaming.viewers:
            forwarder = self.viewers[member].forwarder if member in fit else 0
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
            if name[1] is None and not streaming.behind(name, self.viewers)
        ]
        for name in gone:
            del streaming.outs[name]

    def _catch_up(self, streaming: Streaming, name: LaneKey, out: Out, now: float) -> None:
        """A lane that had dropped frames is empty again: it needs a key frame."""
        idle = name[1] in streaming.spread or name[1] not in (None, *streaming.viewers)
        if idle or not out.waits_for_key or not out.lane.empty:
            return
        second = streaming.second_on and name[1] in streaming.slow
        pause = SLOW_KEY_PAUSE if streaming.thin(name) else KEY_PAUSE
        encoding = streaming.encoding(second)
        if now - max(encoding.key_ordered, encoding.key_pushed) >= pause:
            self.order_key(streaming, now, second=second)

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
            bps = max(LEAST_BITRATE, self._bitrate(streaming, rates))
            encoding = streaming.encoding(second)
            if abs(bps - encoding.bitrate) > CHANGE * encoding.bitrate:
                encoding.bitrate = bps
                words = {"do": "bitrate", "bps": round(bps)}
                self.orders.append(Order(streaming.number, words, second))

    def _net(self, streaming: Streaming, member: Member) -> float:
        """What is left of a viewer's part without parity, repetition and what waits."""
        viewer = self.viewers[member]
        pieces = max(4, int(self._part(member) / 8 / max(1, streaming.fps) / 1200))
        rows = rows_for(pieces, viewer.rate.loss, viewer.rtt)
        out = streaming.outs.get((streaming.number, member, 0))
        waits = out.lane.backlog if out is not None else 0.0
        tired = 1.0 - min(0.5, 1.5 * max(0.0, waits - 0.04))
        lost = min(0.5, viewer.rate.loss) if rows == 0 else 0.02
        return self._part(member) * tired * (1 - lost) * pieces / (pieces + rows)
