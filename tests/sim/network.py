"""The roads of a bottle: datagrams as the weather will, one stream in order.

A road exists once both ends have opened it and one has had the other's
description. Datagrams are lost, doubled and overtaken; the reliable stream waits
while the road is cut and goes on when it is mended, or is closed after a minute
of darkness, as QUIC would. An end that closes tells the other if it can.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.sim.clock import Clock
from tests.sim.people import End, Person
from vc_core.commands import OpenRoad
from vc_core.ids import LinkId
from vc_core.messages import Road
from vc_core.senderkeys import Opened

ICE_PATIENCE = 8.0  # s that a road is tried
ICE_STEP = 0.4
IDLE = 60.0  # s of darkness that QUIC bears
LINGER = 0.3  # s in which a closing road gets its last words out


@dataclass
class Weather:
    """What the network does to datagrams and signals."""

    delay: tuple[float, float] = (0.005, 0.02)
    loss: float = 0.0
    doubled: float = 0.0
    server_delay: tuple[float, float] = (0.005, 0.03)


class Network:
    """All roads."""

    def __init__(self, clock: Clock, chance: random.Random, pump: Callable[[Person], None]) -> None:
        self.weather = Weather()
        self.cuts: set[frozenset[str]] = set()
        self.on_voice: Callable[[Person, Opened], None] = lambda person, opened: None
        self._clock = clock
        self._chance = chance
        self._pump = pump
        self._tags: dict[str, End] = {}

    # What people ask for

    def open(self, person: Person, command: OpenRoad) -> None:
        """Somebody looks for a road."""
        end = End(person, command.member, command.link, command.leading)
        person.ends[command.link] = end
        tag = f"{person.connection}/{person.name}/{command.link}"
        self._tags[tag] = end
        road = Road("ufrag", "password", (tag,), True)
        self._clock.later(0.002, lambda: self._tell(end, "road_described", road))
        self._clock.later(ICE_PATIENCE, lambda: self._give_up(end))
        self._clock.later(ICE_STEP, lambda: self._try(end))

    def hint(self, person: Person, link: LinkId, road: Road) -> None:
        """The other side's description has come."""
        end = person.ends.get(link)
        theirs = self._tags.get(road.candidates[0]) if road.candidates else None
        if end is not None and theirs is not None and end.partner is None:
            end.partner = theirs
            self._clock.later(self._delay(), lambda: self._try(end))

    def write(self, person: Person, link: LinkId, data: bytes) -> None:
        """Bytes for the stream."""
        end = person.ends.get(link)
        if end is None or not end.streaming or end.closed:
            return
        earliest = end.queue[-1][0] if end.queue else 0.0
        arrival = max(self._clock.now + self._delay(), earliest)
        end.queue.append((arrival, data))
        self._clock.at(arrival, lambda: self._flow(end))

    def send(self, person: Person, link: LinkId, datagram: bytes) -> None:
        """One datagram."""
        end = person.ends.get(link)
        if end is None or end.closed or end.partner is None:
            return
        for _ in range(1 + (self._chance.random() < self.weather.doubled)):
            if not self._blocked(end) and self._chance.random() >= self.weather.loss:
                self._clock.later(self._delay(), lambda: self._land(end, datagram))

    def close(self, person: Person, link: LinkId) -> None:
        """An end lets go of its road, after its last words."""
        end = person.ends.get(link)
        if end is not None:
            self._clock.later(LINGER, lambda: self._close(end))

    # What the network does

    def cut(self, one: str, other: str) -> None:
        """No packet passes between two people."""
        self.cuts.add(frozenset((one, other)))

    def mend(self, one: Person, other: Person) -> None:
        """Packets pass again; what waited in streams arrives."""
        self.cuts.discard(frozenset((one.name, other.name)))
        for end in (*one.ends.values(), *other.ends.values()):
            self._clock.later(self._delay(), partial(self._flow, end))

    def wake(self, person: Person) -> None:
        """Somebody hears and speaks again; what waited in streams arrives."""
        for end in list(person.ends.values()):
            for side in (end, end.partner):
                if side is not None:
                    self._clock.later(self._delay(), partial(self._flow, side))

    def _delay(self) -> float:
        return self._chance.uniform(*self.weather.delay)

    def _blocked(self, end: End) -> bool:
        """Whether nothing passes from this end to its partner."""
        partner = end.partner
        if partner is None or partner.closed or partner.owner.dead or end.owner.dead:
            return True
        if partner.owner.asleep or end.owner.asleep:
            return True
        return frozenset((end.owner.name, partner.owner.name)) in self.cuts

    def _try(self, end: End) -> None:
        partner = end.partner
        if end.streaming or end.closed or partner is None:
            return
        if partner.partner is not end or self._blocked(end):
            self._clock.later(ICE_STEP, lambda: self._try(end))
            return
        for side in (end, partner):
            self._tell(side, "road_opened")
        leader = end if end.leading else partner
        self._clock.later(self._delay(), lambda: self._stream_opened(leader))
        follower = partner if end.leading else end
        self._clock.later(2 * self._delay(), lambda: self._stream_opened(follower))
        self._clock.later(IDLE, lambda: self._watch(end))
        self._clock.later(IDLE, lambda: self._watch(partner))

    def _stream_opened(self, end: End) -> None:
        if not end.streaming and not end.closed:
            end.streaming = True
            self._tell(end, "stream_opened")

    def _give_up(self, end: End) -> None:
        if not end.streaming and not end.closed:
            self._tell(end, "road_failed")

    def _watch(self, end: End) -> None:
        """QUIC closes after a minute of darkness."""
        if end.closed or end.owner.dead:
            return
        if not self._blocked(end):
            end.dark_since = None
        elif end.dark_since is None:
            end.dark_since = self._clock.now
        elif self._clock.now - end.dark_since >= IDLE:
            self._tell(end, "stream_closed")
            return
        self._clock.later(IDLE / 6, lambda: self._watch(end))

    def _flow(self, end: End) -> None:
        partner = end.partner
        while end.queue and end.queue[0][0] <= self._clock.now and not self._blocked(end):
            assert partner is not None
            _, data = end.queue.popleft()
            self._stream_opened(partner)
            self._tell(partner, "receive_stream", data)

    def _land(self, end: End, datagram: bytes) -> None:
        theirs = end.partner
        if theirs is None or self._blocked(end):
            return
        if datagram[0] < 128:
            self._tell(theirs, "receive_probe", datagram)
            return
        session, now = theirs.owner.session, self._clock.now
        opened = session.hear(theirs.member, theirs.link, datagram, now)
        if opened is not None:
            self.on_voice(theirs.owner, opened)
        self._pump(theirs.owner)

    def _close(self, end: End) -> None:
        told = not end.closed and end.streaming and not self._blocked(end)
        end.closed = True
        end.owner.ends.pop(end.link, None)
        partner = end.partner
        if told and partner is not None and partner.streaming:
            self._clock.later(self._delay(), lambda: self._tell(partner, "stream_closed"))

    def _tell(self, end: End, method: str, *what: object) -> None:
        person = end.owner
        if person.asleep:
            self._clock.later(0.1, lambda: self._tell(end, method, *what))
        elif not person.dead and not end.closed:
            getattr(person.session, method)(end.member, end.link, *what, self._clock.now)
            self._pump(person)
