"""A whole room in a bottle: sessions, a signaling server, roads, one virtual clock.

Chance comes from one seeded generator, so that a schedule can be run again
exactly. The signaling server is the real one (``signaling.rooms``); a hostile
one is the same with a hand (``meddle``) on everything that it delivers.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from signaling.limits import Limits
from signaling.rooms import Rooms
from tests.sim.clock import Clock
from tests.sim.kem import SeededKem
from tests.sim.network import Network, Weather
from tests.sim.people import Person
from vc_core.admission import Desk
from vc_core.commands import Command, SendSignal
from vc_core.events import CodeReady, MemberJoined
from vc_core.invite import parse_invitation
from vc_core.join import Kem
from vc_core.keys import Identity, PublicIdentity
from vc_core.session import Session
from vc_core.signals import TO_CLIENT, TO_SERVER
from vc_core.wire import Record

Meddle = Callable[[Person, Record], list[Record]]


class Bottle:
    """The world of one schedule."""

    def __init__(self, seed: int, kem: Kem | None = None) -> None:
        """``kem`` is the real one or, by default, a seeded double."""
        self.random = random.Random(seed)
        self.rng = self.random.randbytes
        self.clock = Clock()
        self.network = Network(self.clock, self.random, self.pump)
        self.people: dict[str, Person] = {}
        self.server_up = True
        self.meddle: Meddle | None = None
        """A hostile server's hand on every signal that it delivers."""
        self._kem = kem or SeededKem(self.random)
        self._connections = itertools.count(1)
        self._rooms = Rooms(Limits(), self.rng)
        self._signal_order: dict[int, float] = {}
        self._by_connection: dict[int, Person] = {}
        self._tick()

    def _tick(self) -> None:
        """The server's own timer."""
        self._from_server(self._rooms.handle_timer(self.now))
        self.clock.later(1.0, self._tick)

    @property
    def now(self) -> float:
        """The time."""
        return self.clock.now

    @property
    def weather(self) -> Weather:
        """What the network does."""
        return self.network.weather

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True as soon as ``until`` holds (or at the end without it)."""
        return self.clock.run(seconds, until)

    # ---- People ------------------------------------------------------------------

    def identity(self) -> Identity:
        """A new person's keys."""
        return Identity.generate(self.rng)

    def host(self, name: str = "host", guests: int = 8, identity: Identity | None = None) -> Person:
        """Somebody opens a room."""
        identity = identity or self.identity()

        def desk(identity: Identity, kem: Any, rng: Any) -> Desk:
            return Desk(identity, kem, rng, "", "ws://server:8765", guests=guests)

        session = Session.host(identity, name, desk, self._kem, self.rng, self.now)
        return self._add(name, session, identity)

    def join(
        self,
        name: str,
        code: str,
        identity: Identity | None = None,
        judge: Callable[[str, PublicIdentity], bool] = lambda name, who: False,
        key: str | None = None,
    ) -> Person:
        """Somebody types a code; ``key`` tells two people of one name apart."""
        identity = identity or self.identity()
        invitation = parse_invitation(code)
        session = Session.join(invitation, identity, name, self._kem, self.rng, self.now, judge)
        return self._add(key or name, session, identity)

    def _add(self, name: str, session: Session, identity: Identity) -> Person:
        person = Person(name, session, identity, next(self._connections))
        self.people[name] = person
        self._connect(person)
        self.pump(person)
        return person

    def kill(self, person: Person) -> None:
        """The process is gone without a word."""
        person.dead = True
        self._disconnect(person)

    def code(self, host: Person) -> str:
        """The newest spoken code."""
        return str(host.of(CodeReady)[-1].code)

    def link(self, host: Person) -> str:
        """The newest link."""
        return str(host.of(CodeReady)[-1].link)

    def party(self, *names: str, seconds: float = 10.0) -> list[Person]:
        """A host and guests, all of whom see each other and have streams."""
        host = self.host(names[0])
        assert self.run(5, lambda: bool(host.of(CodeReady)))
        people = [host]
        for name in names[1:]:
            people.append(self.join(name, self.code(host)))
            done = self.run(seconds, lambda: self._together(people))
            assert done, {p.name: p.events for p in people}
        return people

    def _together(self, people: list[Person]) -> bool:
        return all(
            p.living
            and len(p.of(MemberJoined)) >= len(people) - 1
            and all(peer.streaming for peer in p.session.room.peers.values())
            for p in people
        )

    # ---- Network -----------------------------------------------------------------

    def cut(self, one: str, other: str) -> None:
        """No packet passes between two people."""
        self.network.cut(one, other)

    def mend(self, one: str, other: str) -> None:
        """Packets pass again."""
        self.network.mend(self.people[one], self.people[other])

    def stop_server(self) -> None:
        """The signaling server dies and forgets."""
        self.server_up = False
        self._rooms = Rooms(Limits(), self.rng)
        self._by_connection.clear()
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
                self._connect(person)
                person.session.signaling_back(self.now)
                self.pump(person)

    def _connect(self, person: Person) -> None:
        """Each from an address of its own, so that the server's limits stay out of the way."""
        if self.server_up:
            self._by_connection[person.connection] = person
            number = person.connection
            self._rooms.connected(number, bytes((10, 0, number >> 8, number & 255)), self.now)

    # ---- Pump --------------------------------------------------------------------

    def pump(self, person: Person) -> None:
        """Commands, then events, then the one timer."""
        session = person.session
        while not person.dead and (command := session.next_command()) is not None:
            self._obey(person, command)
        while (event := session.next_event()) is not None:
            person.events.append(event)
        for opened in session.ready_media():
            self.network.on_voice(person, opened)
        timer = session.next_timer()
        if timer is not None and (person.timer is None or timer < person.timer):
            person.timer = timer
            self.clock.at(timer, lambda: self._ring(person, timer))

    def _ring(self, person: Person, timer: float) -> None:
        if person.dead or person.timer != timer:
            return
        person.timer = None
        person.session.handle_timer(self.now)
        self.pump(person)

    def _obey(self, person: Person, command: Command) -> None:
        if isinstance(command, SendSignal):
            self._to_server(person, command.signal)
        else:
            self.network.obey(person, command)

    # ---- Signaling ---------------------------------------------------------------

    def _to_server(self, person: Person, signal: Record) -> None:
        connection = person.connection
        data = TO_SERVER.write(signal)

        def arrive() -> None:
            if self.server_up and self._by_connection.get(connection) is person:
                outputs = self._rooms.receive(connection, TO_SERVER.read(data), self.now, self.now)
                self._from_server(outputs)

        self.clock.at(self._in_order(connection), arrive)

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
        connection = person.connection

        def arrive() -> None:
            if not person.dead and person.connection == connection and self.server_up:
                person.session.receive_signal(TO_CLIENT.read(data), self.now)
                self.pump(person)

        self.clock.at(self._in_order(-connection), arrive)

    def _disconnect(self, person: Person) -> None:
        known = self._by_connection.pop(person.connection, None)
        if known is not None and self.server_up:
            self._from_server(self._rooms.disconnected(person.connection, self.now))
