"""Stories of liars: a host with two tales, a guest that lies or floods, a hostile server."""

from __future__ import annotations

import random

import pytest

from tests.sim.bottle import Bottle
from tests.sim.hostile import HostileServer
from tests.sim.people import Person
from tests.sim.words import ending, joined, left, names_here, texts, warnings
from vc_core.commands import Command, HintRoad, SendSignal, UseServer
from vc_core.entry import Action, Seat, Signed, follow
from vc_core.events import Chatted
from vc_core.keys import PublicIdentity, hkdf
from vc_core.mailboxes import mailbox_of
from vc_core.messages import (
    MEET,
    Carry,
    Commit,
    Estate,
    Greet,
    NewEntry,
    NewSecret,
    Parcel,
    Position,
    Pulse,
    Reveal,
    Road,
    SenderKey,
    Standing,
)
from vc_core.peer import GREETED, HINTS, SERVERS, Peer
from vc_core.seal import seal_box
from vc_core.signals import Drop, Dropped, Posted
from vc_core.wire import Record


@pytest.fixture
def bottle() -> Bottle:
    return Bottle(51)


def peer_of(person: Person, other: Person) -> Peer:
    """How one sees the other."""
    return person.session.room.peers[other.number]


def send(bottle: Bottle, person: Person, other: Person, *messages: Record) -> None:
    """Say anything on one's own link."""
    for message in messages:
        person.session._courier.send(peer_of(person, other), message)
    bottle.pump(person)


def forged(host: Person, action: Action, newcomer: Seat | None = None) -> NewEntry:
    """A next entry that the host signs and does not show to everybody."""
    roster = host.session.room.roster
    subject = newcomer.number if newcomer else host.number
    entry = follow(roster.entry, action, subject, newcomer)
    data = entry.write_fields()
    return NewEntry(Signed(data, host.identity.sign("vchat-1 roster", data)).write_fields())


def test_a_host_that_tells_two_stories_is_found_out_and_the_room_stops(bottle: Bottle) -> None:
    host, ann, bob, cyd = bottle.party("host", "ann", "bob", "cyd")
    roster = host.session.room.roster
    puppet = Seat.of(roster.entry.next_number, bottle.identity().public, "puppet")  # type: ignore[arg-type]
    send(bottle, host, ann, forged(host, Action.LOCK))
    send(bottle, host, bob, forged(host, Action.ADD, puppet))
    bottle.run(10)
    assert [ending(p) for p in (ann, bob, cyd)] == ["room-forked"] * 3


def test_two_signed_entries_for_one_place_stop_the_room_at_once(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    roster = host.session.room.roster
    puppet = Seat.of(roster.entry.next_number, bottle.identity().public, "puppet")  # type: ignore[arg-type]
    send(bottle, host, ann, forged(host, Action.LOCK), forged(host, Action.ADD, puppet))
    bottle.run(3)
    assert ending(ann) == ending(bob) == "room-forked"


def test_a_guest_that_lies_about_its_place_stops_nothing(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    place = ann.session.room.roster.position
    lie = Position(place.term, place.n, bytes(32))
    for turn in range(20):
        lies = Standing(lie), SenderKey(1000 + turn, bytes(32), lie)
        send(bottle, ann, bob, *lies)
        send(bottle, ann, host, *lies)
        bottle.run(0.2)
    bottle.run(5)
    assert [ending(p) for p in (host, ann, bob)] == [None] * 3
    assert warnings(bob).count("roster-differs") == 1
    inside = bob.session._inside
    assert inside is not None
    assert max(inside.keyring._others._by_member[ann.number]) < 1000


def test_a_guest_cannot_sign_entries(bottle: Bottle) -> None:
    _, ann, bob = bottle.party("host", "ann", "bob")
    before = bob.session.room.roster.hash
    roster = ann.session.room.roster
    entry = follow(roster.entry, Action.KICK, bob.number)
    data = entry.write_fields()
    lie = Signed(data, ann.identity.sign("vchat-1 roster", data))
    send(bottle, ann, bob, NewEntry(lie.write_fields()))
    bottle.run(10)
    assert bob.session.room.roster.hash == before
    assert bob.living and "peer-misbehaved" in warnings(bob)


def test_a_nonce_that_was_not_committed_to_costs_the_link_and_not_the_room(
    bottle: Bottle,
) -> None:
    _, ann, bob = bottle.party("host", "ann", "bob")
    hash_ = ann.session.room.roster.hash
    send(bottle, ann, bob, Commit(hash_, bytes(32)), Reveal(hash_, bytes(32)))
    bottle.run(10)
    assert "peer-misbehaved" in warnings(bob)
    assert left(bob) == []
    ann.session.say("here again")
    bottle.pump(ann)
    bottle.run(10)
    assert texts(bob) == ["here again"]


@pytest.mark.parametrize("what", ["pulses", "standings", "carries", "claims", "rosters", "keys"])
def test_a_flood_of_one_guest_costs_the_others_little(bottle: Bottle, what: str) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    early = ann.session.room.roster.position
    for turn in range(60):
        host.session.lock(turn % 2 == 0, bottle.now)
    bottle.pump(host)
    bottle.run(5)
    place = ann.session.room.roster.position
    floods: dict[str, list[Record]] = {
        "pulses": [Pulse(bytes(8))] * 3000,
        "standings": [Standing(early)] * 3000,
        "carries": [Carry(bob.number, bytes(20_000))] * 300,
        "claims": [Standing(Position(1, 50 + n, bytes(32))) for n in range(3000)],
        "rosters": [Commit(n.to_bytes(32, "big"), bytes(32)) for n in range(3000)],
        "keys": [SenderKey(50 + n, n.to_bytes(32, "big"), place) for n in range(3000)],
    }
    written = 0
    original = bottle.network.write

    def count(person: Person, link: object, data: bytes) -> None:
        nonlocal written
        written += len(data) if person is not ann else 0
        original(person, link, data)  # type: ignore[arg-type]

    bottle.network.write = count  # type: ignore[method-assign]
    send(bottle, ann, host, *floods[what])
    bottle.run(3)
    assert written < 700_000
    inside = host.session._inside
    assert inside is not None
    assert len(peer_of(host, ann).claims) <= 16
    assert len(inside.comparison._early.get(ann.number, {})) <= 4
    assert len(inside.keyring._others._by_member.get(ann.number, {})) <= 6
    bob.session.say("all is well")
    bottle.pump(bob)
    bottle.run(3)
    assert "all is well" in texts(host)


def test_greetings_without_end_are_answered_seldom(bottle: Bottle) -> None:
    """Each answer costs a handshake."""
    people = bottle.party("host", "ann", "bob")
    greeter, other = next(
        (one, two)
        for one in people
        for two in people
        if one is not two and peer_of(one, two).greets
    )
    inside = greeter.session._inside
    assert inside is not None
    peer, answers = peer_of(greeter, other), 0
    other_inside = other.session._inside
    assert other_inside is not None
    original = other_inside.courier.send_meet

    def count(receiver: Peer, message: Record, secret: bytes | None = None) -> bool:
        nonlocal answers
        answers += 1
        return original(receiver, message, secret)

    other_inside.courier.send_meet = count  # type: ignore[method-assign,assignment]
    for _ in range(100):
        inside.matchmaker._greet(peer, bottle.now)
        bottle.pump(greeter)
    bottle.run(2)
    assert 1 <= answers <= 12


def greeter_and_other(people: list[Person]) -> tuple[Person, Person]:
    """Two guests, the one who greets first."""
    one, two = people[1:3]
    return (one, two) if peer_of(one, two).greets else (two, one)


def test_greetings_in_somebody_elses_name_take_nothing_from_it(bottle: Bottle) -> None:
    """Whoever knows a room secret can drop parcels with any sender."""
    people = bottle.party("host", "ann", "bob", "eve")
    greeter, other = greeter_and_other(people)
    eve = people[3].session
    for _ in range(200):
        greet = Greet(bottle.rng(8), bottle.rng(1184), bottle.rng(48))
        parcel = Parcel(greeter.number, other.number, MEET.write(greet)).write_fields()
        secret = eve.room.secrets[0]
        name = mailbox_of(secret)
        box = seal_box(hkdf(secret, "vchat-1 mailbox key"), parcel, name, bottle.rng)
        eve.room.ask(SendSignal(Drop(name, box)))
    bottle.pump(people[3])
    bottle.run(1)
    peer = peer_of(other, greeter)
    assert peer.greeted.has(bottle.now, GREETED.burst - 1), "only its own greeting was paid"
    before = peer.links
    bottle.cut(greeter.name, other.name)
    bottle.run(6)
    bottle.mend(greeter.name, other.name)
    assert bottle.run(20, lambda: peer.links > before and peer.streaming)


def test_a_seat_with_a_key_of_low_order_stops_nobody(bottle: Bottle) -> None:
    """A host may seat whomever it likes; a handshake with such a key cannot be made."""
    host, ann, bob = bottle.party("host", "ann", "bob")
    for turn in range(4):  # so that some of them are greeted and some greet
        made_up = bottle.identity()
        cross = made_up.sign("vchat-1 cross", bytes(32))
        seat = Seat.of(
            host.session.room.roster.entry.next_number,  # type: ignore[arg-type]
            PublicIdentity(made_up.public.sign, bytes(32), cross),
            f"nobody {turn}",
        )
        inside = host.session._inside
        assert inside is not None
        inside.registrar.extend(Action.ADD, seat.number, bottle.now, seat)
        bottle.pump(host)
        bottle.run(1)
    assert len(ann.session.room.roster.entry.seats) == 7
    bottle.run(12)
    ann.session.say("all is well")
    bottle.pump(ann)
    bottle.run(2)
    assert "all is well" in texts(host) and "all is well" in texts(bob)


def test_a_copied_greeting_is_answered_once(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    bottle.meddle = lambda person, signal: [signal, signal]
    bottle.cut("host", "ann")
    bottle.run(6)
    bottle.mend("host", "ann")
    bottle.run(15)
    ann.session.say("through")
    bottle.pump(ann)
    bottle.run(2)
    assert texts(host) == ["through"]


def test_a_server_without_the_code_learns_nothing_and_gets_nobody_in(bottle: Bottle) -> None:
    seen: list[bytes] = []

    def listen(person: Person, signal: Record) -> list[Record]:
        if isinstance(signal, Posted | Dropped):
            seen.append(signal.body)
        return [signal]

    bottle.meddle = listen
    host, ann = bottle.party("host", "annabel")
    everything = b"".join(seen)
    for word in (b"host", b"annabel", *bottle.code(host).encode().split(b"-")[1:]):
        assert word not in everything
    for key in (host.identity.public.sign, ann.identity.public.sign, host.identity.public.dh):
        assert key not in everything
    assert host.session.room.secrets[0] not in everything


@pytest.mark.parametrize("seed", range(20))
def test_what_a_hostile_server_does_during_a_join_ends_the_join_at_most(seed: int) -> None:
    bottle = Bottle(seed)
    host = bottle.host()
    bottle.run(1)
    bottle.meddle = HostileServer(random.Random(seed), evil=0.5)
    ann = bottle.join("ann", bottle.code(host))
    bottle.run(60)
    bottle.meddle = None
    bottle.run(70)
    assert host.living
    assert ann.living == ("ann" in names_here(host)) or ann.ended
    assert set(joined(host)) <= {"ann"}


def test_a_hosts_greet_of_a_stranger_is_ignored(bottle: Bottle) -> None:
    """What a host carries in the name of nobody in the roster reaches nobody."""
    host, ann = bottle.party("host", "ann")
    greet = Greet(bytes(8), bytes(1184), bytes(48))
    send(bottle, host, ann, Carry(77, MEET.write(greet)), Carry(0, MEET.write(greet)))
    bottle.run(2)
    assert ann.living and ann.of(Chatted) == []


def test_descriptions_of_a_road_without_end_are_not_all_tried(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    hints = 0

    def count(*_: object) -> None:
        nonlocal hints
        hints += 1

    bottle.network.orders[HintRoad] = count
    send(bottle, ann, host, *[Road(1, "u", "p", (f"{n}",), False, False) for n in range(200)])
    bottle.run(1)
    assert 1 <= hints <= HINTS.burst + 1
    assert host.living


def test_news_of_an_older_room_secret_changes_nothing(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    host.session.kick(bob.number, bottle.now)
    bottle.pump(host)
    bottle.run(1)
    before = list(ann.session.room.secrets)
    assert before[0] == host.session.room.secrets[0]
    send(bottle, host, ann, NewSecret(1, bytes(32)), NewSecret(2, bytes(32)))
    bottle.run(1)
    assert ann.session.room.secrets == before


def test_a_room_secret_of_a_guest_changes_nothing(bottle: Bottle) -> None:
    _, ann, bob = bottle.party("host", "ann", "bob")
    before = list(bob.session.room.secrets)
    send(bottle, ann, bob, NewSecret(9, bytes(32)))
    bottle.run(1)
    assert bob.session.room.secrets == before


def sent_to(person: Person, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The signaling servers that somebody is sent to from now on."""
    urls: list[str] = []
    room = person.session.room
    ask = room.ask

    def kept(command: Command) -> None:
        if isinstance(command, UseServer):
            urls.append(command.url)
        else:
            ask(command)

    monkeypatch.setattr(room, "ask", kept)
    return urls


def test_a_guest_sends_nobody_to_a_server_of_its_choice(
    bottle: Bottle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would see the others' addresses, and be where their next codes are kept."""
    _, ann, bob = bottle.party("host", "ann", "bob")
    urls = sent_to(bob, monkeypatch)
    send(bottle, ann, bob, Estate("ws://192.0.2.66:80", ()))
    bottle.run(3)
    assert urls == []


def test_a_host_sends_its_guests_to_few_servers(
    bottle: Bottle, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, ann = bottle.party("host", "ann")
    urls = sent_to(ann, monkeypatch)
    for number in range(100):
        send(bottle, host, ann, Estate(f"ws://192.0.2.{number}", ()))
        bottle.run(0.1)
    assert SERVERS.burst <= len(urls) <= SERVERS.burst + 1
    send(bottle, host, ann, *[Estate(urls[-1], ())] * 3)
    bottle.run(1)
    assert urls[-4:] == [urls[-1]] * 4
