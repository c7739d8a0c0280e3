"""A whole room in a bottle: sessions, a signaling server, roads, one virtual clock.

Chance comes from one seeded generator, so that a schedule can be run again
exactly. The signaling server is the real one (``signaling.rooms``); a hostile
one is the same with a hand (``meddle``) on everything that it delivers. Hosts may
keep servers of their own, which die with them.
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
from vc_core.commands import Command, OpenServer, SendSignal, UseServer
from vc_core.events import CodeReady, MemberJoined
from vc_core.invite import parse_invitation, server_url
from vc_core.join import Kem
from vc_core.keys import Identity, PublicIdentity
from vc_core.servers import Change, Servers
from vc_core.session import Session
from vc_core.signals import TO_CLIENT, TO_SERVER
from vc_core.wire import Record

MAIN = "ws://server:8765"
SERVER_START = 0.1  # s until a member's own server runs, or is connected to

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
        self.on_pump: Callable[[Person], None] = lambda person: None
        """Looks at everybody who was told something."""
        self.meddle: Meddle | None = None
        """A hostile server's hand on every signal that it delivers."""
        self._kem = kem or SeededKem(self.random)
        self._connections = itertools.count(1)
        self._servers: dict[str, Rooms] = {MAIN: Rooms(Limits(), self.rng)}
        self._signal_order: dict[int, float] = {}
        self._by_connection: dict[int, tuple[Person, str]] = {}
        self._tick()

    def _tick(self) -> None:
        """The servers' own timer."""
        for rooms in list(self._servers.values()):
            self._from_server(rooms.handle_timer(self.now))
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

    def host(
        self,
        name: str = "host",
        guests: int = 8,
        identity: Identity | None = None,
        *,
        embedded: bool = False,
    ) -> Person:
        """Somebody opens a room; ``embedded``: at a server of its own."""
        identity = identity or self.identity()
        server = self._open_server(name) if embedded else MAIN
        desk = self._desk_of(lambda: server, guests)
        session = Session.host(identity, name, desk, self._kem, self.rng, self.now)
        if embedded:
            session.room.server = server
        return self._add(name, session, identity, server)

    def _desk_of(self, server: Callable[[], str], guests: int = 8) -> Any:
        """A factory of desks at the server in use."""

        def desk(identity: Identity, kem: Any, rng: Any) -> Desk:
            return Desk(identity, kem, rng, server(), guests=guests)

        return desk

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
        server = server_url(invitation.servers[0]) if invitation.servers else MAIN
        person = self._add(key or name, session, identity, server)
        session.prepare(self._desk_of(lambda: person.servers.primary or MAIN))
        return person

    def _add(self, name: str, session: Session, identity: Identity, server: str = MAIN) -> Person:
        person = Person(name, session, identity, next(self._connections), Servers(server))
        self.people[name] = person
        if self._up(server):
            self._plug(person, server)
            person.servers.connected(server)
        self.pump(person)
        return person

    def kill(self, person: Person) -> None:
        """The process is gone without a word."""
        person.dead = True
        for url in list(person.lines):
            self._unplug(person, url)
        self._end_server_of(person)

    def _end_server_of(self, person: Person) -> None:
        """A member's own server dies with it."""
        url = _own(person.name)
        if url in self._servers:
            self._lose(url)
            del self._servers[url]

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

    def sleep(self, person: Person, seconds: float) -> None:
        """A process is stopped; nothing reaches it until it goes on."""
        person.asleep = True
        self.clock.later(seconds, lambda: self._wake(person))

    def _wake(self, person: Person) -> None:
        person.asleep = False
        person.timer = None
        waited, person.backlog = person.backlog, []
        if not person.dead:
            before = self.random.randint(0, len(waited))  # read before the timers are looked at
            for arrive in waited[:before]:
                arrive()
            person.session.handle_timer(self.now)
            self.pump(person)
            for arrive in waited[before:]:
                arrive()
            self.network.wake(person)

    def stop_server(self) -> None:
        """The signaling server dies and forgets."""
        self.server_up = False
        self._lose(MAIN)
        self._servers[MAIN] = Rooms(Limits(), self.rng)

    def start_server(self) -> None:
        """A fresh signaling server at the same address."""
        self.server_up = True
        for person in list(self.people.values()):
            if not person.dead and not person.ended and MAIN in person.servers.known:
                self._reach(person, MAIN)

    def runs(self, url: str) -> bool:
        """Whether a server answers there."""
        return self._up(url)

    def _up(self, url: str) -> bool:
        return self.server_up if url == MAIN else url in self._servers

    def _plug(self, person: Person, url: str) -> None:
        """Each from an address of its own, so that the server's limits stay out of the way."""
        first = not person.lines and person.connection not in self._by_connection
        number = person.lines[url] = person.connection if first else next(self._connections)
        self._by_connection[number] = person, url
        address = bytes((10, 0, number >> 8, number & 255))
        self._servers[url].connected(number, address, self.now)

    def _unplug(self, person: Person, url: str) -> None:
        """The server sees that a connection is gone."""
        number = person.lines.pop(url, None)
        known = self._by_connection.pop(number, None) if number is not None else None
        if known is not None and number is not None and self._up(url):
            self._from_server(self._servers[url].disconnected(number, self.now))

    def _reach(self, person: Person, url: str) -> None:
        """A server is connected, and the session hears what that changes."""
        self._plug(person, url)
        signals, change = person.servers.connected(url)
        for signal in signals:
            self._send_to(person, url, signal)
        self._tell_change(person, change)

    def _lose(self, url: str) -> None:
        for person in list(self.people.values()):
            number = person.lines.pop(url, None)
            if number is not None:
                self._by_connection.pop(number, None)
                if not person.dead:
                    self._tell_change(person, person.servers.lost(url))

    def _tell_change(self, person: Person, change: Change) -> None:
        if change in (Change.LOST, Change.OTHER):
            person.session.signaling_lost(self.now)
        if change in (Change.BACK, Change.OTHER):
            person.session.signaling_back(self.now)
        self.pump(person)

    def _open_server(self, name: str) -> str:
        self._servers[_own(name)] = Rooms(Limits(), self.rng)
        return _own(name)

    def _keep_server(self, person: Person) -> None:
        if person.living:
            self._end_server_of(person)
            url = self._open_server(person.name)
            person.servers.add(url)
            self._plug(person, url)
            for signal in person.servers.connected(url)[0]:
                self._send_to(person, url, signal)
            if (office := person.session.office) is not None:
                office.server_opened(url, self.now)
            self.pump(person)

    def _use_server(self, person: Person, url: str) -> None:
        if person.living and url not in person.lines:
            for over in person.servers.add(url):
                self._unplug(person, over)
            if url in self._servers:
                self._reach(person, url)

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
        self.on_pump(person)
        _check_agenda(session)
        timer = session.next_timer()
        if timer is not None and (person.timer is None or timer < person.timer):
            person.timer = timer
            self.clock.at(timer, lambda: self._ring(person, timer))

    def _ring(self, person: Person, timer: float) -> None:
        if person.dead or person.asleep or person.timer != timer:
            return
        person.timer = None
        person.session.handle_timer(self.now)
        self.pump(person)

    def _obey(self, person: Person, command: Command) -> None:
        if isinstance(command, SendSignal):
            self._to_server(person, command.signal)
        elif isinstance(command, OpenServer):
            self.clock.later(SERVER_START, lambda: self._keep_server(person))
        elif isinstance(command, UseServer):
            url = command.url
            self.clock.later(SERVER_START, lambda: self._use_server(person, url))
        else:
            self.network.obey(person, command)

    # ---- Signaling ---------------------------------------------------------------

    def _to_server(self, person: Person, signal: Record) -> None:
        for url in person.servers.route(signal):
            self._send_to(person, url, signal)

    def _send_to(self, person: Person, url: str, signal: Record) -> None:
        connection = person.lines[url]
        data = TO_SERVER.write(signal)

        def arrive() -> None:
            if self._by_connection.get(connection) == (person, url):
                said = TO_SERVER.read(data)
                outputs = self._servers[url].receive(connection, said, self.now, self.now)
                self._from_server(outputs)

        self.clock.at(self._in_order(connection), arrive)

    def _in_order(self, connection: int) -> float:
        earliest = self.now + self.random.uniform(*self.weather.server_delay)
        self._signal_order[connection] = max(self._signal_order.get(connection, 0.0), earliest)
        return self._signal_order[connection]

    def _from_server(self, outputs: Any) -> None:
        for connection, signal in outputs:
            known = self._by_connection.get(connection)
            if known is None:
                continue
            person, _ = known
            signals = [signal] if self.meddle is None else self.meddle(person, signal)
            for one in signals:
                self._deliver(person, connection, one)

    def deliver(self, person: Person, signal: Record) -> None:
        """A signal reaches somebody, from the server in use."""
        url = person.servers.primary
        if url is not None:
            self._deliver(person, person.lines[url], signal)

    def _deliver(self, person: Person, connection: int, signal: Record) -> None:
        data = TO_CLIENT.write(signal)

        def arrive() -> None:
            if person.asleep:
                person.backlog.append(arrive)
            elif not person.dead and connection in self._by_connection:
                person.session.receive_signal(TO_CLIENT.read(data), self.now)
                self.pump(person)

        self.clock.at(self._in_order(-connection), arrive)


def _own(name: str) -> str:
    """Where a member's own server is."""
    return f"ws://{name}.example:8765"


def _check_agenda(session: Session) -> None:
    """Nothing may be due before the agenda says so."""
    agenda = session.room.ways.agenda
    for peer in session.room.peers.values():
        assert agenda.due(peer) <= agenda._work_out(peer), f"{peer.name}'s agenda is old"
