"""Random schedules: a room lives through whatever a seed says, and keeps its promises.

    storm   joins, leaves, kicks, kills, cuts, partitions, sleeping processes, bad
            weather, server restarts, a hostile server, texts and voice, all at
            random times, to hosts as to guests
    calm    everything is mended, nobody does anything more

Promises, watched all the time:
  1  a voice packet opens only for who stood in the roster it was sealed for, and
     only such people ever hold its key; the roster holds nobody unknown
  2  a sender that hears the host uses the key of a new entry within 2 s
  3  texts come in order and never twice; between two who stay, none is lost
  4  nothing grows without bound, nothing raises, every schedule ends
and after the calm:
  5  all who are left agree on roster and room code, or their room has ended; only
     where a half has removed the other's host, or let somebody in whom the other
     does not know, are there two rooms, and people are told
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial

from tests.sim.bottle import Bottle
from tests.sim.hostile import HostileServer
from tests.sim.people import Person
from tests.sim.words import ending, room_code, texts, warnings
from vc_core.entry import Entry
from vc_core.events import CodeReady
from vc_core.ids import Member
from vc_core.join import Kem
from vc_core.mailboxes import MAX_SECRETS
from vc_core.messages import Position
from vc_core.senderkeys import Opened

NAMES = ("ann", "bob", "cyd", "dan", "eve", "flo", "gus")
STORM = 45.0  # s
CALM = 12.0  # s of quiet after all agree
LAST_WORDS = 90.0  # s for rooms without a host to end, and for halves to meet
MAX_STEPS = 400_000
ACCUSATIONS = {"voice-forged", "peer-misbehaved"}


@dataclass
class Said:
    """One text."""

    sender: Person
    text: str
    to: list[Person]


@dataclass
class Schedule:
    """One seed's story."""

    seed: int
    kem: Kem | None = None
    torn: bool = False
    """Whether the room is parted again and again, and each half removes people of the other."""
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed ^ 0x5EED)
        self.bottle = Bottle(self.seed, self.kem)
        self.said: list[Said] = []
        self.heard = 0
        self.entries: dict[bytes, Entry] = {}
        self.unkept: dict[str, float] = {}
        self.gone: set[str] = set()
        """Keys in the bottle of everybody who left, was kicked or was killed."""
        self.names = iter(f"{name}{turn or ''}" for turn in range(9) for name in NAMES)
        self.count = 0
        self.bottle.network.on_voice = self._heard
        self.bottle.on_pump = self._collect

    # ---- The story ---------------------------------------------------------------

    def run(self) -> None:
        """Everything; raises ``AssertionError`` when a promise is broken."""
        bottle, chance = self.bottle, self.chance
        bottle.host(embedded=chance.random() < 0.3)
        bottle.run(1)
        bottle.weather.loss = chance.choice((0.0, 0.0, 0.02, 0.1, 0.3))
        bottle.weather.doubled = chance.choice((0.0, 0.05, 0.3))
        bottle.weather.delay = chance.choice(((0.001, 0.004), (0.005, 0.02), (0.02, 0.25)))
        bottle.weather.server_delay = chance.choice(((0.002, 0.01), (0.01, 0.3)))
        if chance.random() < 0.4:
            bottle.meddle = HostileServer(chance)
        for _ in range(chance.randint(1, 4)):
            self._join()
        self._watch()
        self._speak()
        actions = chance.randint(5, 30)
        for time in sorted(chance.uniform(0, STORM) for _ in range(actions)):
            bottle.run(max(0.0, 101.0 + time - bottle.now))
            self._act()
        self._calm()

    def _act(self) -> None:
        actions = {
            self._say: 14,
            self._join: 3,
            self._cut: 4,
            self._mend: 3,
            self._leave: 1,
            self._kill: 1,
            self._kick: 1,
            self._lock: 1,
            self._invite: 1,
            self._server: 2,
            self._blackout: 1,
            self._partition: 1,
            self._sleep: 1,
            self._name_deputies: 1,
        }
        if self.torn:
            actions |= {self._say: 6, self._invite: 2, self._leave: 2, self._sleep: 2}
            actions |= {self._kick: 5, self._partition: 5}
        action = self.chance.choices(list(actions), list(actions.values()))[0]
        action()

    def _calm(self) -> None:
        bottle = self.bottle
        bottle.meddle = None
        bottle.weather.loss = bottle.weather.doubled = 0.0
        bottle.weather.delay = (0.005, 0.02)
        bottle.weather.server_delay = (0.005, 0.03)
        if not bottle.server_up:
            bottle.start_server()
        for cut in sorted(map(sorted, bottle.network.cuts)):
            bottle.mend(*cut)
        self.log.append(f"{bottle.now:.1f} calm")
        bottle.run(LAST_WORDS, self._settled)
        bottle.run(CALM)
        self._check_texts()
        self._check_warnings()
        self._check_agreement()
        self._check_bounds()

    def _settled(self) -> bool:
        """Whether all agree already, and all who should be here are."""
        living = self._living()
        rooms = self._rooms()
        if len(rooms) != 1 or any(p.asleep for p in living):
            return not rooms
        present = {seat.number for seat in living[0].session.room.roster.present()}
        linked = all(peer.streaming for p in living for peer in p.session.room.present())
        return linked and present == {p.number for p in living}

    def _rooms(self) -> list[list[Person]]:
        """Members by the chain that they follow."""
        rooms: dict[bytes, list[Person]] = defaultdict(list)
        for person in self._living():
            rooms[person.session.room.roster.hash].append(person)
        return list(rooms.values())

    # ---- What happens ------------------------------------------------------------

    def _note(self, what: str) -> None:
        self.log.append(f"{self.bottle.now:.1f} {what}")

    def _living(self) -> list[Person]:
        return [p for p in self.bottle.people.values() if p.living]

    def _guests(self) -> list[Person]:
        return [p for p in self._living() if not p.session.room.hosting]

    def _host(self) -> Person | None:
        """Somebody who hosts now; of two halves, one of both."""
        hosts = [p for p in self._living() if p.session.room.hosting and not p.asleep]
        return self.chance.choice(hosts) if hosts else None

    def _join(self) -> None:
        host = self._host()
        if len(self.bottle.people) < 9 and host is not None and host.of(CodeReady):
            name = next(self.names)
            self._note(f"{name} joins by {host.name}")
            self.bottle.join(name, self.bottle.code(host))

    def _say(self) -> None:
        living = [p for p in self._living() if not p.asleep]
        if not living:
            return
        sender = self.chance.choice(living)
        others = {p.number: p for p in self.bottle.people.values() if p is not sender}
        here = [peer.number for peer in sender.session.room.present() if peer.number in others]
        to: Member | None = None
        if here and self.chance.random() < 0.2:
            to = self.chance.choice(here)
        self.count += 1
        text = f"{self.count}"
        self._note(f"{sender.name} says {text} to {'all' if to is None else to}")
        sender.session.say(text, to)
        receivers = [self._person(sender, number) for number in (here if to is None else [to])]
        self.said.append(Said(sender, text, [person for person in receivers if person]))
        self.bottle.pump(sender)

    def _person(self, viewer: Person, number: Member) -> Person | None:
        """Whom a member knows under a number: the one with the keys of that seat."""
        seat = viewer.session.room.roster.seat(number)
        for person in self.bottle.people.values():
            if seat and person.identity.public == seat.identity and person.number == number:
                return person
        return None

    def _pair(self) -> tuple[str, str] | None:
        living = self._living()
        if len(living) < 2:
            return None
        one, other = self.chance.sample(living, 2)
        return one.name, other.name

    def _cut(self) -> None:
        pair = self._pair()
        if pair is not None:
            self._note(f"cut {pair}")
            self.bottle.cut(*pair)
            if self.chance.random() < 0.7:
                self.bottle.clock.later(
                    self.chance.uniform(0.1, 15), lambda: self.bottle.mend(*pair)
                )

    def _mend(self) -> None:
        for cut in sorted(map(sorted, self.bottle.network.cuts))[:1]:
            self._note(f"mend {cut}")
            self.bottle.mend(*cut)

    def _blackout(self) -> None:
        """One member loses every road for a while."""
        living = self._living()
        if living:
            victim = self.chance.choice(living)
            self._note(f"blackout of {victim.name}")
            others = [p.name for p in self.bottle.people.values() if p is not victim]
            length = self.chance.uniform(1, 25)
            for other in others:
                self.bottle.cut(victim.name, other)
                self.bottle.clock.later(length, partial(self.bottle.mend, victim.name, other))

    def _partition(self) -> None:
        """Two halves that do not hear each other, most often not by the server either."""
        names = [p.name for p in self._living()]
        if len(names) < 2:
            return
        self.chance.shuffle(names)
        cut = self.chance.randint(1, len(names) - 1)
        self._note(f"{names[:cut]} and {names[cut:]} are parted")
        if self.bottle.server_up and self.chance.random() < 0.7:
            self.bottle.stop_server()
        length = self.chance.uniform(5, 40)
        for one in names[:cut]:
            for other in names[cut:]:
                self.bottle.cut(one, other)
                self.bottle.clock.later(length, partial(self.bottle.mend, one, other))

    def _sleep(self) -> None:
        """A process is stopped for a while."""
        awake = [p for p in self._living() if not p.asleep]
        if awake:
            person = self.chance.choice(awake)
            length = self.chance.uniform(2, 30)
            self._note(f"{person.name} sleeps for {length:.0f} s")
            self.bottle.sleep(person, length)

    def _name_deputies(self) -> None:
        host = self._host()
        if host is not None:
            here = [peer.number for peer in host.session.room.present()]
            self.chance.shuffle(here)
            chosen = tuple(here[: self.chance.randint(0, 2)])
            self._note(f"{host.name} names {chosen}")
            host.session.deputies(chosen, self.bottle.now)
            self.bottle.pump(host)

    def _leave(self) -> None:
        leavers = self._living() if self.chance.random() < 0.4 else self._guests()
        leavers = [person for person in leavers if not person.asleep]
        if leavers:
            person = self.chance.choice(leavers)
            self._note(f"{person.name} leaves")
            self.gone.add(person.name)
            person.session.leave(self.bottle.now)
            self.bottle.pump(person)
            self.bottle.clock.later(0.5, lambda: self.bottle.kill(person))

    def _kill(self) -> None:
        victims = self._living() if self.chance.random() < 0.4 else self._guests()
        if victims:
            person = self.chance.choice(victims)
            self._note(f"{person.name} is killed")
            self.gone.add(person.name)
            self.bottle.kill(person)

    def _kick(self) -> None:
        host = self._host()
        if host is not None and host.session.room.peers:
            number = self.chance.choice(list(host.session.room.peers))
            identity = host.session.room.peers[number].seat.identity
            for person in self.bottle.people.values():
                if person.identity.public == identity:
                    self._note(f"{person.name} is kicked by {host.name}")
                    self.gone.add(person.name)
            host.session.kick(number, self.bottle.now)
            host.session.invite(self.bottle.now)
            self.bottle.pump(host)

    def _lock(self) -> None:
        host = self._host()
        if host is not None:
            on = self.chance.random() < 0.4
            self._note(f"{host.name} locks: {on}")
            host.session.lock(on, self.bottle.now)
            self.bottle.pump(host)

    def _invite(self) -> None:
        host = self._host()
        if host is not None:
            host.session.invite(self.bottle.now)
            self.bottle.pump(host)

    def _server(self) -> None:
        self._note("server stops" if self.bottle.server_up else "server starts")
        if self.bottle.server_up:
            self.bottle.stop_server()
        else:
            self.bottle.start_server()

    # ---- Voice -------------------------------------------------------------------

    def _speak(self) -> None:
        """Everybody says a frame now and then."""
        now = self.bottle.now
        for person in [p for p in self._living() if not p.asleep]:
            session = person.session
            datagram = session.speak(0, 0, person.name.encode(), now)
            if datagram is not None:
                self.bottle.network.speak(person, datagram)
            self.bottle.pump(person)
        if now < 101.0 + STORM + 10:
            self.bottle.clock.later(self.chance.uniform(0.2, 0.6), self._speak)

    def _heard(self, person: Person, opened: Opened) -> None:
        self.heard += 1
        speaker = opened.media.payload.decode()
        known = person.session.room.roster.seat(opened.member)
        assert known is not None
        assert known.identity == self.bottle.people[speaker].identity.public

    # ---- Promises ----------------------------------------------------------------

    def _watch(self) -> None:
        assert self.bottle.clock.done < MAX_STEPS, "the schedule does not end"
        for person in self.bottle.people.values():
            if person.session.room.inside:
                self._check_keys(person)
            if person.living:
                self._check_rotation(person)
        self._check_order()
        self.bottle.clock.later(0.5, self._watch)

    def _collect(self, person: Person) -> None:
        """Every entry that anybody takes; nobody unknown in any of them."""
        if not person.session.room.inside:
            return
        roster = person.session.room.roster
        if roster.hash in self.entries:
            return
        identities = {p.identity.public for p in self.bottle.people.values()}
        for step in roster._chain.after((0, 0)):
            if step.hash not in self.entries:
                self.entries[step.hash] = step.entry
                assert all(seat.identity in identities for seat in step.entry.seats)

    def _check_keys(self, person: Person) -> None:
        inside = person.session._inside
        assert inside is not None
        for member, generations in inside.keyring._others._by_member.items():
            for opening in generations.values():
                position: Position = opening.announcement.position
                entry = self.entries.get(position.hash)
                assert entry is not None, "a key for an entry that nobody has"
                seat = entry.seat(person.number)
                assert seat is not None and seat.present, (
                    f"{person.name} holds a key of {member} that was made without it"
                )
                assert seat.identity == person.identity.public

    def _check_rotation(self, person: Person) -> None:
        inside = person.session._inside
        assert inside is not None
        current = inside.keyring.own.current
        newest = person.session.room.roster.position
        now = self.bottle.now
        if person.asleep or not person.session.room.fresh(now):
            self.unkept.pop(person.name, None)
            return
        if current is not None and current.announcement.position == newest:
            self.unkept.pop(person.name, None)
            return
        since = self.unkept.setdefault(person.name, now)
        assert now - since <= 2.0, f"{person.name} still speaks with the key of an older entry"

    def _check_order(self) -> None:
        number = {said.text: index for index, said in enumerate(self.said)}
        for person in self.bottle.people.values():
            by_sender: dict[str, list[int]] = defaultdict(list)
            for text in texts(person):
                by_sender[self.said[number[text]].sender.name].append(number[text])
            for sender, order in by_sender.items():
                assert order == sorted(set(order)), f"{person.name} hears {sender}: {order}"

    def _check_texts(self) -> None:
        staying = {p.name for p in self._living()} - self.gone
        room = {p.name: p.session.room.roster.hash for p in self._living()}
        for said in self.said:
            if said.sender.name not in staying:
                continue
            for person in said.to:
                together = room.get(person.name) == room[said.sender.name]
                if person.name in staying and together and self._both_stayed(said.sender, person):
                    assert texts(person).count(said.text) == 1, (
                        f"{person.name} misses {said.text} of {said.sender.name}"
                    )

    def _both_stayed(self, one: Person, other: Person) -> bool:
        return other.number in one.session.room.peers and one.number in other.session.room.peers

    def _check_warnings(self) -> None:
        """Nobody is accused: all members are honest, and a server cannot make them look bad."""
        parted = len(self._rooms()) > 1 or self.gone
        for person in self.bottle.people.values():
            accused = ACCUSATIONS.intersection(warnings(person))
            assert not accused, f"{person.name} is warned: {accused}"
            assert ending(person) != "room-forked", f"{person.name} sees a fork"
            assert parted or "roster-differs" not in warnings(person)

    def _check_agreement(self) -> None:
        rooms = self._rooms()
        for room in rooms:
            roster = room[0].session.room.roster
            host = [p for p in room if p.session.room.hosting]
            assert len(host) == 1, f"{[p.name for p in room]} have no host among them"
            present = {seat.number for seat in roster.present()}
            assert present == {p.number for p in room}, f"{[p.name for p in room]}: {present}"
            codes = {room_code(p) for p in room} if len(room) > 1 else {None}
            assert len(codes) == 1 and (len(room) == 1) == (codes == {None}), codes
        for one in rooms:
            for other in rooms:
                if one is not other:
                    self._check_parted(one, other)

    def _check_parted(self, one: list[Person], other: list[Person]) -> None:
        """Two rooms out of one: only where nobody could meet anybody of the other half, or

        where the half with the lower term has removed the host of the other, and people of
        both halves were told.
        """
        low, high = sorted(
            (one, other), key=lambda room: room[0].session.room.roster.position.order
        )
        if not self._could_meet(low, high):
            return
        halves = f"{[p.name for p in low]} and {[p.name for p in high]}"
        host = next(p for p in high if p.session.room.hosting)
        assert not self._seated([host], low), f"{halves} do not come together"
        for room in (low, high):
            told = any("roster-differs" in warnings(p) for p in room)
            assert told, f"{halves}: nobody of {room[0].name}'s hears that there are two rooms"

    def _could_meet(self, one: list[Person], other: list[Person]) -> bool:
        """Whether two who have a seat in each other's room know a living server in common."""
        return any(
            self.bottle.runs(url)
            for p in self._seated(one, other)
            for q in self._seated(other, one)
            for url in set(p.servers.known) & set(q.servers.known)
        )

    @staticmethod
    def _seated(people: list[Person], room: list[Person]) -> list[Person]:
        """Those who have a seat in a room."""
        seats = {(s.number, s.sign) for s in room[0].session.room.roster.entry.seats}
        return [p for p in people if (p.number, p.identity.public.sign) in seats]

    def _check_bounds(self) -> None:
        for person in self._living():
            session = person.session
            inside = session._inside
            assert inside is not None
            assert len(session.room.secrets) <= MAX_SECRETS
            assert len(inside.heartbeats._pulses) <= 16
            assert len(inside.keyring._others._waiting) <= 64
            for peer in session.room.present():
                assert not peer.conversation.unacknowledged(), (person.name, peer.name)
                assert len(peer.claims) <= 16
                assert len(inside.keyring._others._by_member.get(peer.number, {})) <= 6
            if session.desk is not None:
                assert len(session.desk._knocking) <= 32
            links = {peer.link.id for peer in session.room.peers.values() if peer.link}
            roads = {link for link, end in person.ends.items() if not end.leaving}
            assert roads <= links, "roads are left open"
