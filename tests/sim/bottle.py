"""A whole room in a bottle: sessions, a signaling server, roads, one virtual clock.

Everything that happens is an entry in one heap, ordered by time; chance comes
from one seeded generator, so that a schedule can be run again exactly.

Roads between two members carry datagrams (lossy, reordered, doubled) and one
reliable stream in each direction (in order; what is under way when the road is
cut waits until it is mended). A road exists once both ends have opened it and
have had each other's description.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from signaling.limits import Limits
from signaling.rooms import Rooms
from vc_core.admission import Desk
from vc_core.commands import (
    CloseRoad,
    Command,
    HintRoad,
    OpenRoad,
    SendDatagram,
    SendSignal,
    WakeRoad,
    WriteRoad,
)
from vc_core.events import CodeReady, Ended, Event, MemberJoined
from vc_core.ids import LinkId, Member
from vc_core.invite import parse_invitation
from vc_core.keys import Identity
from vc_core.messages import Road
from vc_core.session import Session
from vc_core.signals import TO_CLIENT, TO_SERVER
from vc_core.wire import Record


class SeededKem:
    """Shaped like ML-KEM-768 and without its strength: enough for schedules."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def generate(self) -> tuple[bytes, object]:
        secret = self._rng.randbytes(32)
        return hashlib.shake_256(b"public" + secret).digest(1184), secret

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        fresh = self._rng.randbytes(32)
        pad = hashlib.shake_256(b"pad" + public).digest(32)
        hidden = bytes(a ^ b for a, b in zip(fresh, pad, strict=True))
        return fresh, hidden + bytes(1088 - 32)

    def decapsulate(self, secret: Any, ciphertext: bytes) -> bytes:
        public = hashlib.shake_256(b"public" + secret).digest(1184)
        pad = hashlib.shake_256(b"pad" + public).digest(32)
        return bytes(a ^ b for a, b in zip(ciphertext[:32], pad, strict=True))


@dataclass
class Weather:
    """What the network does to datagrams and streams."""

    delay: tuple[float, float] = (0.005, 0.02)
    loss: float = 0.0
    doubled: float = 0.0
    server_delay: tuple[float, float] = (0.005, 0.03)


@dataclass
class End:
    """One side of a road."""

    member: Member
    link: LinkId
    hinted: bool = False
    ready: bool = False
    closed: bool = False
    outbox: list[bytes] = field(default_factory=list)
    last_arrival: float = 0.0


@dataclass
class Person:
    """A session with what it heard, and its place in the network."""

    name: str
    session: Session
    connection: int
    events: list[Event] = field(default_factory=list)
    ends: dict[LinkId, End] = field(default_factory=dict)
    dead: bool = False
    timer: float | None = None

    def of(self, kind: type[Any]) -> list[Any]:
        """Events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def ended(self) -> bool:
        """Whether its room is over."""
        return bool(self.of(Ended))


class Bottle:
    """The world of one schedule."""

    def __init__(self, seed: int, weather: Weather | None = None) -> None:
        self.random = random.Random(seed)
        self.rng = self.random.randbytes
        self.now = 100.0
        self.weather = weather or Weather()
        self.people: dict[str, Person] = {}
        self.cuts: set[frozenset[str]] = set()
        self.server_up = True
        self.meddle: Callable[[Person, Record], list[Record]] | None = None
        """A hostile server's hand on every signal that it delivers."""
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = itertools.count()
        self._connections = itertools.count(1)
        self._rooms = Rooms(Limits(), self.rng)
        self._signal_order: dict[int, float] = {}
        self._by_connection: dict[int, Person] = {}
        self._tags: dict[str, End] = {}

    # ---- People ------------------------------------------------------------------

    def host(self, name: str = "host", guests: int = 8) -> Person:
        """Somebody opens a room."""
        identity = Identity.generate(self.rng)
        kem = SeededKem(self.random)

        def desk(identity: Identity, kem: Any, rng: Any) -> Desk:
            return Desk(identity, kem, rng, "", "ws://server:8765", guests=guests)

        return self._add(name, Session.host(identity, name, desk, kem, self.rng, self.now))

    def join(self, name: str, code: str, identity: Identity | None = None) -> Person:
        """Somebody types a code."""
        identity = identity or Identity.generate(self.rng)
        kem = SeededKem(self.random)
        invitation = parse_invitation(code)
        session = Session.join(invitation, identity, name, kem, self.rng, self.now)
        return self._add(name, session)

    def _add(self, name: str, session: Session) -> Person:
        person = Person(name, session, next(self._connections))
        self.people[name] = person
        self._by_connection[person.connection] = person
        self._rooms.connected(
            person.connection, bytes([10, 0, 0, person.connection % 250]), self.now
        )
        self.pump(person)
        return person

    def kill(self, person: Person) -> None:
        """The process is gone without a word."""
        person.dead = True
        self._disconnect(person)

    def code(self, host: Person) -> str:
        """The newest spoken code."""
        return str(host.of(CodeReady)[-1].code)

    # ---- Network -----------------------------------------------------------------

    def cut(self, one: str, other: str) -> None:
        """No packet passes between two people."""
        self.cuts.add(frozenset((one, other)))

    def mend(self, one: str, other: str) -> None:
        """Packets pass again; what waited in streams arrives."""
        self.cuts.discard(frozenset((one, other)))
        for person in (self.people[one], self.people[other]):
            for end in person.ends.values():
                waiting, end.outbox = end.outbox, []
                for data in waiting:
                    self._stream(person, end, data)

    def stop_server(self) -> None:
        """The signaling server dies and forgets."""
        self.server_up = False
        self._rooms = Rooms(Limits(), self.rng)
        for person in self.people.values():
            if not person.dead:
                person.session.signaling_lost(self.now)
                self.pump(person)

    def start_server(self) -> None:
        """A fresh signaling server at the same address."""
        self.server_up = True
        for person in self.people.values():
            if not person.dead and not person.ended:
                self._by_connection.pop(person.connection, None)
                person.connection = next(self._connections)
                self._by_connection[person.connection] = person
                address = bytes([10, 0, 0, person.connection % 250])
                self._rooms.connected(person.connection, address, self.now)
                person.session.signaling_back(self.now)
                self.pump(person)

    # ---- Time --------------------------------------------------------------------

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._heap, (max(time, self.now), next(self._tie), action))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True as soon as ``until`` holds (or at the end without it)."""
        end = self.now + seconds
        while not (until is not None and until()):
            if not self._heap or self._heap[0][0] > end:
                self.now = end
                return until is None or until()
            self.now, _, action = heapq.heappop(self._heap)
            action()
        return True

    # ---- Pump --------------------------------------------------------------------

    def pump(self, person: Person) -> None:
        """Commands, then events, then the one timer."""
        session = person.session
        while not person.dead and (command := session.next_command()) is not None:
            self._obey(person, command)
        while (event := session.next_event()) is not None:
            person.events.append(event)
        session.ready_media()
        timer = session.next_timer()
        if timer is not None and (person.timer is None or timer < person.timer):
            person.timer = timer
            self.at(timer, lambda: self._ring(person, timer))

    def _ring(self, person: Person, timer: float) -> None:
        if person.dead or person.timer != timer:
            return
        person.timer = None
        person.session.handle_timer(self.now)
        self.pump(person)

    def _obey(self, person: Person, command: Command) -> None:
        if isinstance(command, SendSignal):
            self._to_server(person, command.signal)
        elif isinstance(command, OpenRoad):
            end = person.ends[command.link] = End(command.member, command.link)
            tag = f"{person.name}/{command.link}"
            self._tags[tag] = end
            road = Road("ufrag", "password", (tag,), True)
            self.at(self.now + 0.002, lambda: self._described(person, end, road))
        elif isinstance(command, HintRoad):
            self._hinted(person, command)
        elif isinstance(command, WriteRoad):
            found = person.ends.get(command.link)
            if found is not None:
                self._stream(person, found, command.data)
        elif isinstance(command, SendDatagram):
            found = person.ends.get(command.link)
            if found is not None:
                self._datagram(person, found, command.datagram)
        elif isinstance(command, CloseRoad):
            closing = person.ends.get(command.link)
            if closing is not None:
                self.at(self.now + 0.3, lambda: self._close(person, closing))
        else:
            assert isinstance(command, WakeRoad)

    # ---- Signaling ---------------------------------------------------------------

    def _to_server(self, person: Person, signal: Record) -> None:
        connection = person.connection
        data = TO_SERVER.write(signal)

        def arrive() -> None:
            if self.server_up and self._by_connection.get(connection) is person:
                outputs = self._rooms.receive(connection, TO_SERVER.read(data), self.now)
                self._from_server(outputs)

        self.at(self._in_order(connection), arrive)

    def _in_order(self, connection: int) -> float:
        earliest = self.now + self.random.uniform(*self.weather.server_delay)
        self._signal_order[connection] = max(self._signal_order.get(connection, 0.0), earliest)
        return self._signal_order[connection]

    def _from_server(self, outputs: Any) -> None:
        for connection, signal in outputs:
            person = self._by_connection.get(connection)
            if person is None:
                continue
            signals = [signal] if self.meddle is None else self.meddle(person, signal)
            for one in signals:
                self.deliver(person, one)

    def deliver(self, person: Person, signal: Record) -> None:
        """A signal reaches somebody."""
        data = TO_CLIENT.write(signal)
        connection = -person.connection

        def arrive() -> None:
            if not person.dead and person.connection == -connection and self.server_up:
                person.session.receive_signal(TO_CLIENT.read(data), self.now)
                self.pump(person)

        self.at(self._in_order(connection), arrive)

    def _disconnect(self, person: Person) -> None:
        self._by_connection.pop(person.connection, None)
        self._from_server(self._rooms.disconnected(person.connection, self.now))

    # ---- Roads -------------------------------------------------------------------

    def _other(self, person: Person, end: End) -> tuple[Person, End] | None:
        partner = getattr(end, "partner", None)
        if partner is None:
            return None
        other = self.people[partner.split("/")[0]]
        return other, self._tags[partner]

    def _described(self, person: Person, end: End, road: Road) -> None:
        if not person.dead and not end.closed:
            person.session.road_described(end.member, end.link, road, self.now)
            self.pump(person)

    def _hinted(self, person: Person, command: HintRoad) -> None:
        end = person.ends.get(command.link)
        tag = command.road.candidates[0] if command.road.candidates else ""
        if end is None or tag not in self._tags:
            return
        end.partner = tag  # type: ignore[attr-defined]
        end.hinted = True
        found = self._other(person, end)
        assert found is not None
        other, theirs = found
        if theirs.hinted:
            self.at(self.now + 0.01, lambda: self._connect(person, end, other, theirs))

    def _connect(self, one: Person, end: End, other: Person, theirs: End) -> None:
        if self._blocked(one, other) or end.closed or theirs.closed or one.dead or other.dead:
            return
        for person, side in ((one, end), (other, theirs)):
            side.ready = True
            person.session.road_opened(side.member, side.link, self.now)
            person.session.stream_opened(side.member, side.link, self.now)
            self.pump(person)

    def _blocked(self, one: Person, other: Person) -> bool:
        return frozenset((one.name, other.name)) in self.cuts

    def _stream(self, person: Person, end: End, data: bytes) -> None:
        found = self._other(person, end)
        if found is None or end.closed:
            return
        other, theirs = found
        if self._blocked(person, other) or other.dead:
            end.outbox.append(data)
            return
        arrival = self.now + self.random.uniform(*self.weather.delay)
        end.last_arrival = arrival = max(arrival, end.last_arrival)

        def arrive() -> None:
            if self._blocked(person, other):
                end.outbox.append(data)
            elif not other.dead and not theirs.closed:
                other.session.receive_stream(theirs.member, theirs.link, data, self.now)
                self.pump(other)

        self.at(arrival, arrive)

    def _datagram(self, person: Person, end: End, data: bytes) -> None:
        found = self._other(person, end)
        if found is None or end.closed:
            return
        other, theirs = found
        copies = 1 + (self.random.random() < self.weather.doubled)
        for _ in range(copies):
            if self._blocked(person, other) or self.random.random() < self.weather.loss:
                continue
            delay = self.random.uniform(*self.weather.delay)
            self.at(self.now + delay, lambda: self._land(person, other, theirs, data))

    def _land(self, person: Person, other: Person, theirs: End, data: bytes) -> None:
        if other.dead or theirs.closed or self._blocked(person, other):
            return
        if data[0] < 128:
            other.session.receive_probe(theirs.member, theirs.link, data, self.now)
        else:
            self.heard(other, other.session.hear(theirs.member, theirs.link, data, self.now))
        self.pump(other)

    def heard(self, person: Person, opened: Any) -> None:
        """A voice packet was opened; schedules that care replace this."""

    def _close(self, person: Person, end: End) -> None:
        end.closed = True
        person.ends.pop(end.link, None)

    # ---- Stories -----------------------------------------------------------------

    def party(self, *names: str, seconds: float = 10.0) -> list[Person]:
        """A host and guests, all of whom see each other."""
        host = self.host(names[0])
        assert self.run(5, lambda: bool(host.of(CodeReady)))
        guests = [self.join(name, self.code(host)) for name in names[1:]]
        people = [host, *guests]
        full = len(people) - 1
        done = self.run(seconds, lambda: all(len(p.of(MemberJoined)) >= full for p in people))
        assert done, {p.name: p.events for p in people}
        return people
