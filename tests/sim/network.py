"""The roads of a bottle: datagrams as the weather will, one stream in order.

A link's road has ways: direct pairs, which exist once both ends of an attempt have
the other's description, and forwarders that both are attached to. Datagrams are
lost, doubled and overtaken; the reliable stream waits while the way in use is cut
and goes on when it is mended or another is used, or is closed after a minute of
darkness, as QUIC would. An end that closes tells the other if it can, also one that
has no stream yet: at once, or when its last words have come.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.sim.clock import Clock
from tests.sim.people import End, Pair, Person
from vc_core.commands import (
    CloseForwarder,
    CloseRoad,
    Command,
    DropDirect,
    EvictSlot,
    HintRoad,
    OpenForwarder,
    OpenRoad,
    PokeDirect,
    SendDatagram,
    SendSignal,
    TryDirect,
    UseWay,
    WakeRoad,
    WriteRoad,
)
from vc_core.grant import Claims
from vc_core.ids import LinkId, Rung, Way
from vc_core.messages import Road
from vc_core.senderkeys import Opened

ICE_PATIENCE = 8.0  # s that a pair is looked for
ICE_STEP = 0.4
IDLE = 60.0  # s of darkness that QUIC bears
LINGER = 2.0  # s in which a closing road gets its last words out
LINGER_STEP = 0.02
SENT_AGAIN = (0.05, 0.3)  # s after which a lost piece of a stream is sent again
SLOT_LIFE = 2.0  # s until somebody notices that a forwarder is gone


@dataclass
class Weather:
    """What the network does to datagrams and signals."""

    delay: tuple[float, float] = (0.005, 0.02)
    loss: float = 0.0
    stream_loss: float = 0.0
    """Pieces of streams that QUIC has to send again, each time."""
    doubled: float = 0.0
    server_delay: tuple[float, float] = (0.005, 0.03)


class Network:
    """All roads."""

    def __init__(self, clock: Clock, chance: random.Random, pump: Callable[[Person], None]) -> None:
        self.weather = Weather()
        self.cuts: set[frozenset[str]] = set()
        """Pairs of people between whom no direct packet passes."""
        self.dead_forwarders: set[int] = set()
        self.full_forwarders: set[int] = set()
        """Those that take nobody new."""
        self.far_from: set[tuple[str, int]] = set()
        """(person, forwarder) between whom no packet passes."""
        self.spreads: dict[str, int] = {}
        """Frames that each person gave to a forwarder to be copied."""
        self.singles: dict[str, int] = {}
        """Copies of frames that each person sent itself."""
        self.on_voice: Callable[[Person, Opened], None] = lambda person, opened: None
        self._clock = clock
        self._chance = chance
        self._pump = pump
        self._people: dict[int, Person] = {}
        self._pairs: dict[str, Pair] = {}
        self.orders: dict[type, Callable[[Person, Any], None]] = {
            OpenRoad: self._open,
            TryDirect: self._try_direct,
            DropDirect: self._drop_direct,
            PokeDirect: lambda person, order: None,
            HintRoad: self._hint,
            UseWay: self._use,
            WriteRoad: lambda person, order: self.write(person, order.link, order.data),
            SendDatagram: self._send,
            WakeRoad: lambda person, order: None,
            CloseRoad: self._close_road,
            OpenForwarder: self._open_forwarder,
            CloseForwarder: self._close_forwarder,
            EvictSlot: self._evict,
        }

    def obey(self, person: Person, command: Command) -> None:
        """What a driver would do."""
        assert not isinstance(command, SendSignal)
        self.orders[type(command)](person, command)

    # What people ask for

    def _open(self, person: Person, command: OpenRoad) -> None:
        self._people[id(person)] = person
        person.ends[command.link] = End(person, command.member, command.link, command.leading)

    def _try_direct(self, person: Person, command: TryDirect) -> None:
        end = person.ends.get(command.link)
        if end is None:
            return
        pair = end.pairs[command.attempt] = Pair(end, command.attempt)
        tag = f"{person.connection}/{person.name}/{command.link}/{command.attempt}"
        self._pairs[tag] = pair
        road = Road(command.attempt, "ufrag", "password", (tag,), True, False)
        self._clock.later(0.002, lambda: self._describe(pair, road))
        self._clock.later(ICE_PATIENCE, lambda: self._give_up(pair))
        self._clock.later(ICE_STEP, lambda: self._try(pair))

    def _describe(self, pair: Pair, road: Road) -> None:
        end = pair.end
        if not (pair.closed or end.closed or end.owner.dead):
            end.owner.session.road_described(end.member, end.link, road)
            self._pump(end.owner)

    def _drop_direct(self, person: Person, command: DropDirect) -> None:
        end = person.ends.get(command.link)
        pair = end.pairs.pop(command.attempt, None) if end is not None else None
        if pair is not None:
            pair.closed = True

    def _hint(self, person: Person, command: HintRoad) -> None:
        end, road = person.ends.get(command.link), command.road
        pair = end.pairs.get(road.attempt) if end is not None else None
        theirs = self._pairs.get(road.candidates[0]) if road.candidates else None
        if pair is not None and theirs is not None and pair.partner is None:
            pair.partner = theirs
            self._clock.later(self._delay(), lambda: self._try(pair))

    def _use(self, person: Person, command: UseWay) -> None:
        end = person.ends.get(command.link)
        if end is not None:
            end.way = command.way
            self._try_stream(end)
            self._flow(end)

    def write(self, person: Person, link: LinkId, data: bytes) -> None:
        """Bytes for the stream."""
        end = person.ends.get(link)
        if end is None or not end.streaming or end.closed:
            return
        arrival = self._clock.now + self._delay()
        while self._chance.random() < self.weather.stream_loss:
            arrival += self._chance.uniform(*SENT_AGAIN)
        arrival = max(arrival, end.queue[-1][0] if end.queue else 0.0)
        end.queue.append((arrival, data))
        self._clock.at(arrival, lambda: self._flow(end))

    def _send(self, person: Person, command: SendDatagram) -> None:
        self.send_by(person, command.link, command.way, command.datagram)

    def send(self, person: Person, link: LinkId, datagram: bytes) -> None:
        """One datagram the way that is in use."""
        end = person.ends.get(link)
        if end is not None and end.way is not None:
            self.send_by(person, link, end.way, datagram)

    def send_by(self, person: Person, link: LinkId, way: Way, datagram: bytes) -> None:
        """One datagram a certain way."""
        end = person.ends.get(link)
        if end is None or end.closed:
            return
        for _ in range(1 + (self._chance.random() < self.weather.doubled)):
            if self._leads(end, way) and self._chance.random() >= self.weather.loss:
                self._clock.later(self._delay(), lambda: self._land(end, way, datagram))

    def speak(self, person: Person, datagram: bytes) -> None:
        """One sealed frame to everybody who listens, as a driver sends it."""
        session = person.session
        spread = session.spread_by()
        if spread is not None:
            self.spreads[person.name] = self.spreads.get(person.name, 0) + 1
            way = session.room.ways.berths.way(spread)
            for link in list(person.ends):
                self.send_by(person, link, way, datagram)
        for _, link in session.listeners(spread):
            self.singles[person.name] = self.singles.get(person.name, 0) + 1
            self.send(person, link, datagram)

    def _close_road(self, person: Person, command: CloseRoad) -> None:
        end = person.ends.get(command.link)
        if end is not None:
            end.leaving = True
            self._let_go(end, self._clock.now + LINGER)

    def _open_forwarder(self, person: Person, command: OpenForwarder) -> None:
        number = command.number
        person.opened[number] = command
        full = number in self.full_forwarders
        if number in person.slots or full or not self._reaches(person, number):
            return
        person.slots.add(number)

        def attached() -> None:
            forwarding = person.session.forwarding
            if not person.dead and number in person.slots and forwarding is not None:
                forwarding.attached(number, "udp", self._clock.now)
                self._pump(person)

        self._clock.later(3 * self._delay(), attached)

    def _close_forwarder(self, person: Person, command: CloseForwarder) -> None:
        person.slots.discard(command.number)
        person.opened.pop(command.number, None)

    def _evict(self, _host: Person, command: EvictSlot) -> None:
        """The host's own forwarder takes a slot back."""
        for person in self._people.values():
            if person.session.room.number == command.slot:
                for number, order in person.opened.items():
                    if any(Claims.parse(one.claims).room == command.room for one in order.grants):
                        person.slots.discard(number)

    # What the network does

    def cut(self, one: str, other: str) -> None:
        """No direct packet passes between two people."""
        self.cuts.add(frozenset((one, other)))

    def mend(self, one: Person, other: Person) -> None:
        """Packets pass again; what waited in streams arrives."""
        self.cuts.discard(frozenset((one.name, other.name)))
        for end in (*one.ends.values(), *other.ends.values()):
            self._clock.later(self._delay(), partial(self._flow, end))

    def wake(self, person: Person) -> None:
        """Somebody hears and speaks again; what waited in streams arrives."""
        for end in list(person.ends.values()):
            for side in (end, self._partner(end, end.way)):
                if side is not None:
                    self._clock.later(self._delay(), partial(self._flow, side))

    def kill_forwarder(self, number: int, people: list[Person]) -> None:
        """A forwarder dies; whoever was attached notices after a while."""
        self.dead_forwarders.add(number)
        for person in people:
            if number in person.slots:
                person.slots.discard(number)
                self._clock.later(SLOT_LIFE, partial(self._slot_lost, person, number))

    def drain_forwarder(self, number: int, people: list[Person]) -> None:
        """A forwarder takes nobody new, and tells those who are there."""
        self.full_forwarders.add(number)
        for person in people:
            if number in person.slots:
                self._clock.later(self._delay(), partial(self._slot_ends, person, number))

    def _slot_ends(self, person: Person, number: int) -> None:
        forwarding = person.session.forwarding
        if number in person.slots and forwarding is not None:
            forwarding.attached(number, "udp", self._clock.now, ending=True)
            self._pump(person)

    def _slot_lost(self, person: Person, number: int) -> None:
        forwarding = person.session.forwarding
        if not person.dead and forwarding is not None:
            forwarding.lost(number, "relay-silent", self._clock.now)
            self._pump(person)

    def _reaches(self, person: Person, number: int) -> bool:
        return number not in self.dead_forwarders and (person.name, number) not in self.far_from

    def _delay(self) -> float:
        return self._chance.uniform(*self.weather.delay)

    def _partner(self, end: End, way: Way | None = None) -> End | None:
        """The other end of a link's road, as seen on one way."""
        if way is not None and way.rung is Rung.DIRECT:
            pair = end.pairs.get(way.number)
            partner = pair.partner if pair is not None and pair.open else None
            return partner.end if partner is not None and not partner.closed else None
        others = (one for one in self._people.values() if one.session.room.number == end.member)
        ends = [
            theirs
            for other in others
            if not other.dead and way is not None and way.number in other.slots
            for theirs in other.ends.values()
            if theirs.member == end.owner.number and not theirs.closed
        ]
        return ends[-1] if ends else None

    def _passes(self, end: End, way: Way | None) -> bool:
        """Whether both ends run, and a packet of this one reaches the other by a way."""
        partner = self._partner(end, way) if self._leads(end, way) else None
        return partner is not None and not (partner.owner.asleep or end.owner.asleep)

    def _leads(self, end: End, way: Way | None) -> bool:
        """Whether a packet of this end reaches the other's socket by a way."""
        if way is None:
            return False
        partner = self._partner(end, way)
        if partner is None or partner.closed or partner.owner.dead or end.owner.dead:
            return False
        one, other = end.owner, partner.owner
        if way.rung is Rung.DIRECT:
            return frozenset((one.name, other.name)) not in self.cuts
        return all(
            way.number in who.slots and self._reaches(who, way.number) for who in (one, other)
        )

    def _try(self, pair: Pair) -> None:
        partner, end = pair.partner, pair.end
        if pair.open or pair.closed or end.closed or partner is None:
            return
        apart = frozenset((end.owner.name, partner.end.owner.name)) in self.cuts
        gone = partner.closed or partner.end.closed or partner.end.owner.dead
        if partner.partner is not pair or apart or gone:
            self._clock.later(ICE_STEP, lambda: self._try(pair))
            return
        end.partner, partner.end.partner = partner.end, end
        pair.open = partner.open = True
        for side in (pair, partner):
            self._tell(side.end, "way_opened", Way(Rung.DIRECT, side.attempt))

    def _try_stream(self, end: End) -> None:
        """QUIC begins when the leading side has a way."""
        if end.streaming or end.closed or not end.leading or end.way is None:
            return
        partner = self._partner(end, end.way)
        if partner is None or not self._passes(end, end.way):
            self._clock.later(ICE_STEP, lambda: self._try_stream(end))
            return
        follower = partner
        end.begun = follower.begun = True
        self._clock.later(self._delay(), lambda: self._stream_opened(end))
        self._clock.later(2 * self._delay(), lambda: self._stream_opened(follower))
        self._clock.later(IDLE, lambda: self._watch(end))
        self._clock.later(IDLE, lambda: self._watch(follower))

    def _stream_opened(self, end: End) -> None:
        if not end.streaming and not end.closed:
            end.streaming = True
            self._tell(end, "stream_opened")

    def _give_up(self, pair: Pair) -> None:
        if not pair.open and not pair.closed:
            pair.closed = True
            pair.end.pairs.pop(pair.attempt, None)
            self._tell(pair.end, "way_failed", Way(Rung.DIRECT, pair.attempt), "direct-failed")

    def _watch(self, end: End) -> None:
        """QUIC closes after a minute of darkness."""
        if end.closed or end.owner.dead:
            return
        if self._passes(end, end.way):
            end.dark_since = None
        elif end.dark_since is None:
            end.dark_since = self._clock.now
        elif self._clock.now - end.dark_since >= IDLE:
            self._tell(end, "stream_closed")
            return
        self._clock.later(IDLE / 6, lambda: self._watch(end))

    def _flow(self, end: End) -> None:
        while end.queue and end.queue[0][0] <= self._clock.now and self._passes(end, end.way):
            partner = self._partner(end, end.way)
            assert partner is not None
            _, data = end.queue.popleft()
            self._stream_opened(partner)
            self._tell(partner, "receive_stream", data)

    def _land(self, end: End, way: Way, datagram: bytes) -> None:
        theirs = self._partner(end, way)
        if theirs is None or not self._leads(end, way):
            return
        if theirs.owner.asleep:  # it waits in its socket
            theirs.owner.backlog.append(lambda: self._land(end, way, datagram))
            return
        if datagram[0] < 128:
            self._tell(theirs, "receive_probe", way, datagram)
            return
        session, now = theirs.owner.session, self._clock.now
        opened = session.hear(theirs.member, theirs.link, way, datagram, now)
        if opened is not None:
            self.on_voice(theirs.owner, opened)
        self._pump(theirs.owner)

    def _let_go(self, end: End, latest: float) -> None:
        if end.queue and self._clock.now < latest:
            self._clock.later(LINGER_STEP, lambda: self._let_go(end, latest))
        else:
            self._close(end)

    def _close(self, end: End) -> None:
        told = not end.closed and end.begun and self._passes(end, end.way)
        partner = self._partner(end, end.way)
        end.closed = True
        end.queue.clear()
        end.owner.ends.pop(end.link, None)
        if told and partner is not None and self._chance.random() >= self.weather.loss:
            self._clock.later(self._delay(), lambda: self._tell(partner, "stream_closed"))

    def _tell(self, end: End, method: str, *what: object) -> None:
        person = end.owner
        if person.asleep:
            person.backlog.append(lambda: self._tell(end, method, *what))
        elif not person.dead and not end.closed:
            getattr(person.session, method)(end.member, end.link, *what, self._clock.now)
            self._pump(person)
