"""Stories of hosts that die, leave, sleep or are cut off, and of those who go on."""

from __future__ import annotations

import pytest

from tests.sim.bottle import Bottle
from tests.sim.people import Person
from tests.sim.test_leaving import act
from tests.sim.test_voice import Ears
from tests.sim.words import ending, joined, left, names_here, room_code, texts, warnings
from vc_core.entry import Action
from vc_core.events import CodeEnded, CodeReady, HostChanged
from vc_core.senderkeys import REMOVAL_LIFE
from vc_core.succession import State, longest_hold


@pytest.fixture
def bottle() -> Bottle:
    return Bottle(41)


def hosts(*people: Person) -> set[str]:
    """Whom these people take for the host."""
    found = set()
    for person in people:
        roster = person.session.room.roster
        seat = roster.seat(roster.host)
        assert seat is not None
        found.add(seat.name)
    return found


def agree(*people: Person) -> bool:
    """Whether all stand at one place of one chain."""
    return len({person.session.room.roster.hash for person in people}) == 1


def guests(bottle: Bottle, host: Person, *names: str) -> list[Person]:
    """People who join one after another."""
    found = []
    for name in names:
        found.append(bottle.join(name, bottle.code(host)))
        bottle.run(3)
    return found


def test_the_first_deputy_takes_over_ten_seconds_after_the_host_has_died(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    bottle.run(3)
    bottle.kill(host)
    death = bottle.now
    assert bottle.run(15, lambda: hosts(ann, bob) == {"ann"})
    assert 9.5 <= bottle.now - death <= 10.6
    bottle.run(1)
    assert agree(ann, bob)
    assert room_code(ann) == room_code(bob)
    for person in (ann, bob):
        assert [e.name for e in person.of(HostChanged)] == ["ann"]
        assert left(person) == [("host", "vanished")]
    seat = ann.session.room.roster.seat(host.number)
    assert seat is not None and not seat.present


def test_the_second_deputy_takes_over_when_the_first_has_died_too(bottle: Bottle) -> None:
    host, ann, bob, cyd = bottle.party("host", "ann", "bob", "cyd")
    bottle.run(3)
    bottle.kill(host)
    bottle.kill(ann)
    death = bottle.now
    assert bottle.run(20, lambda: hosts(bob, cyd) == {"bob"})
    assert 12.5 <= bottle.now - death <= 14
    bottle.run(12)
    assert agree(bob, cyd)
    assert names_here(bob) == {"bob", "cyd"}


@pytest.mark.parametrize("embedded", [False, True])
def test_voice_between_the_others_has_no_gap_when_the_host_dies(embedded: bool) -> None:
    bottle = Bottle(43)
    host = bottle.host(embedded=embedded)
    bottle.run(1)
    ann, bob, cyd = guests(bottle, host, "ann", "bob", "cyd")
    ears = Ears(bottle)
    bottle.kill(host)
    others = (ann, bob, cyd)
    for turn in range(100):  # each run takes 0.3 s for each of three
        for person in others:
            assert ears.say(person, f"{person.name} {turn}".encode()) is not None
    assert hosts(*others) == {"ann"}
    for person in others:
        for speaker in (other for other in others if other is not person):
            said = [f"{speaker.name} {turn}".encode() for turn in range(100)]
            heard = [p for p in ears.heard[person.name] if p.startswith(speaker.name.encode())]
            assert heard == said


@pytest.mark.parametrize("embedded", [False, True])
def test_a_newcomer_joins_with_the_new_hosts_code_within_fifteen_seconds(embedded: bool) -> None:
    bottle = Bottle(44)
    host = bottle.host(embedded=embedded)
    bottle.run(1)
    ann, bob = guests(bottle, host, "ann", "bob")
    bottle.kill(host)
    death = bottle.now
    assert bottle.run(15, lambda: bool(ann.of(CodeReady)))
    assert ("ann.example" in bottle.code(ann)) is embedded
    eve = bottle.join("eve", bottle.code(ann))
    assert bottle.run(10, lambda: eve.living and all_streaming(ann, bob, eve))
    assert bottle.now - death < 15
    bottle.run(1)
    assert agree(ann, bob, eve)
    assert joined(eve) == ["ann", "bob"]
    act(bottle, eve, "say", "made it")
    bottle.run(1)
    assert texts(ann) == texts(bob) == ["made it"]


def all_streaming(*people: Person) -> bool:
    return all(
        sum(peer.streaming for peer in p.session.room.present()) >= len(people) - 1 for p in people
    )


def test_a_host_that_leaves_hands_over_at_once(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    ears = Ears(bottle)
    act(bottle, host, "leave", bottle.now)
    assert bottle.run(1, lambda: hosts(ann, bob) == {"ann"})
    bottle.run(0.5)
    assert ending(host) == "left"
    assert left(ann) == left(bob) == [("host", "left")]
    assert ann.session.room.roster.seat(host.number) is None
    assert agree(ann, bob) and ann.living and bob.living
    assert ears.say(bob, b"still here") is not None
    assert dict(ears.heard) == {"ann": [b"still here"]}
    assert bottle.run(3, lambda: bool(ann.of(CodeReady)))


def test_the_secret_of_the_room_is_new_after_a_takeover_and_known_to_all(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    before = host.session.room.secrets[0]
    bottle.kill(host)
    bottle.run(13)
    secrets = {p.session.room.secrets[0] for p in (ann, bob)}
    assert len(secrets) == 1 and before not in secrets


def test_the_host_names_its_deputies(bottle: Bottle) -> None:
    host, ann, bob, cyd = bottle.party("host", "ann", "bob", "cyd")
    act(bottle, host, "deputies", (cyd.number, ann.number), bottle.now)
    bottle.run(1)
    assert agree(host, ann, bob, cyd)
    assert bob.session.room.roster.entry.deputies == (cyd.number, ann.number)
    act(bottle, host, "leave", bottle.now)
    assert bottle.run(2, lambda: hosts(ann, bob, cyd) == {"cyd"})


def test_a_host_that_slept_yields_and_stays_as_a_guest(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    bottle.run(2)
    asleep(bottle, host, 20)
    assert hosts(ann, bob) == {"ann"}
    assert bottle.run(20, lambda: names_here(bob) == {"host", "ann", "bob"})
    assert bottle.run(20, lambda: all_streaming(host, ann, bob))
    assert agree(host, ann, bob)
    assert hosts(host) == {"ann"}
    assert host.living and host.session.desk is None
    assert [event.reason for event in host.of(CodeEnded)] == ["withdrawn"]
    assert all(("ann", "vanished") not in left(p) for p in (host, bob))
    act(bottle, host, "say", "good morning")
    bottle.run(1)
    assert texts(ann) == texts(bob) == ["good morning"]
    assert inside_state(host) is State.FOLLOWING


def test_a_deputy_that_slept_does_not_take_over(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    asleep(bottle, ann, 50)
    bottle.run(15)
    assert hosts(host, ann, bob) == {"host"}
    assert names_here(host) == {"host", "ann", "bob"}


def asleep(bottle: Bottle, person: Person, seconds: float) -> None:
    """A process is stopped, and continued later."""
    bottle.sleep(person, seconds)
    bottle.run(seconds)


def inside_state(person: Person) -> State:
    inside = person.session._inside
    assert inside is not None
    return inside.succession.state


def test_a_deputy_that_is_cut_off_alone_does_not_depose_the_host(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    for other in ("host", "bob"):
        bottle.cut("ann", other)
    bottle.run(25)
    for other in ("host", "bob"):
        bottle.mend("ann", other)
    bottle.run(25)
    assert hosts(host, ann, bob) == {"host"}
    assert agree(host, ann, bob)


def test_a_deputy_that_alone_misses_the_host_asks_the_others_first(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    bottle.cut("ann", "host")
    bottle.run(25)
    assert hosts(host, bob) == {"host"}
    assert not bob.of(HostChanged) and not ann.of(HostChanged)
    bottle.mend("ann", "host")
    bottle.run(25)
    assert hosts(host, ann, bob) == {"host"}
    assert agree(host, ann, bob)


def part(bottle: Bottle, one: list[Person], other: list[Person]) -> None:
    for a in one:
        for b in other:
            bottle.cut(a.name, b.name)


def unite(bottle: Bottle, one: list[Person], other: list[Person]) -> None:
    for a in one:
        for b in other:
            bottle.mend(a.name, b.name)


@pytest.mark.parametrize("seed", range(8))
def test_two_halves_of_a_room_come_together_under_the_deputy(seed: int) -> None:
    bottle = Bottle(seed)
    people = host, ann, bob, cyd = bottle.party("host", "ann", "bob", "cyd")
    bottle.stop_server()
    part(bottle, [host, bob], [ann, cyd])
    bottle.run(16)
    assert hosts(host, bob) == {"host"} and hosts(ann, cyd) == {"ann"}
    act(bottle, host, "lock", True, bottle.now)
    bottle.start_server()
    unite(bottle, [host, bob], [ann, cyd])
    assert bottle.run(40, lambda: agree(*people) and names_here(host) == {p.name for p in people})
    assert hosts(*people) == {"ann"}
    assert "entries-dropped" in warnings(host)
    assert all("roster-differs" not in warnings(p) for p in people)
    assert not ann.session.room.roster.entry.locked


@pytest.mark.parametrize("seed", range(8))
def test_two_deputies_that_took_over_apart_are_no_fork(seed: int) -> None:
    bottle = Bottle(seed)
    host, ann, bob, cyd, dan = bottle.party("host", "ann", "bob", "cyd", "dan")
    people = ann, bob, cyd, dan
    bottle.stop_server()
    part(bottle, [ann, cyd], [bob, dan])
    bottle.kill(host)
    bottle.run(20)
    assert hosts(ann, cyd) == {"ann"} and hosts(bob, dan) == {"bob"}
    bottle.start_server()
    unite(bottle, [ann, cyd], [bob, dan])
    assert bottle.run(45, lambda: agree(*people) and names_here(bob) == {p.name for p in people})
    assert hosts(*people) == {"ann"}
    assert all(ending(p) is None for p in people)


def hide_server(bottle: Bottle, *people: Person) -> None:
    """No signal reaches them."""
    bottle.meddle = lambda person, signal: [] if person in people else [signal]


def test_who_was_let_in_by_the_losing_half_needs_a_new_code(bottle: Bottle) -> None:
    host, ann, bob, cyd = bottle.party("host", "ann", "bob", "cyd")
    part(bottle, [host, bob], [ann, cyd])
    hide_server(bottle, ann, cyd)
    eve = bottle.join("eve", bottle.code(host))
    part(bottle, [eve], [ann, cyd])
    bottle.run(20)
    assert eve.living and hosts(eve) == {"host"}
    assert hosts(ann, cyd) == {"ann"}
    bottle.meddle = None
    unite(bottle, [host, bob], [ann, cyd])
    assert bottle.run(30, lambda: agree(host, ann, bob, cyd))
    bottle.run(1)
    assert ending(eve) == "room-moved"
    assert ("eve", "moved") in left(host)


def test_who_was_kicked_by_the_losing_half_is_said_to_be_back(bottle: Bottle) -> None:
    host, ann, bob, cyd = bottle.party("host", "ann", "bob", "cyd")
    part(bottle, [host, cyd], [ann, bob])
    hide_server(bottle, ann, bob)
    bottle.run(12)
    act(bottle, host, "kick", cyd.number, bottle.now)
    bottle.meddle = None
    unite(bottle, [host], [ann, bob])
    bottle.run(20)
    assert hosts(host, ann, bob) == {"ann"}
    assert "entries-dropped" in warnings(host)
    assert cyd.number in {seat.number for seat in host.session.room.roster.entry.seats}


def test_nobody_follows_a_deputy_whom_its_own_chain_has_removed(bottle: Bottle) -> None:
    keys = sorted((bottle.identity() for _ in range(4)), key=lambda one: one.public.sign)
    host = bottle.host(identity=keys[0])  # it greets
    bottle.run(1)
    guests = []
    for name, identity in zip(("ann", "bob", "cyd"), keys[1:], strict=True):
        guests.append(bottle.join(name, bottle.code(host), identity))
        bottle.run(3)
    ann, bob, cyd = guests
    bottle.stop_server()
    part(bottle, [host, bob], [ann, cyd])
    act(bottle, host, "kick", ann.number, bottle.now)
    bottle.run(15)
    assert hosts(ann, cyd) == {"ann"}
    bottle.start_server()
    unite(bottle, [host, bob], [ann, cyd])
    bottle.run(30)
    assert hosts(host, bob) == {"host"}
    assert "ann" not in names_here(host)
    assert any("roster-differs" in warnings(person) for person in (host, bob))


def test_a_kicked_identity_stays_out_under_the_next_host(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    act(bottle, host, "kick", bob.number, bottle.now)
    act(bottle, host, "invite", bottle.now)
    bottle.run(1)
    cyd = bottle.join("cyd", bottle.code(host))
    bottle.run(4)
    act(bottle, host, "deputies", (cyd.number,), bottle.now)
    bottle.run(1)
    act(bottle, host, "leave", bottle.now)
    assert bottle.run(5, lambda: bool(cyd.of(CodeReady)))
    again = bottle.join("bob", bottle.code(cyd), identity=bob.identity, key="again")
    bottle.run(5)
    assert ending(again) == "banned"
    assert ann.living


def test_no_key_goes_out_between_the_last_heartbeat_and_the_next_host(bottle: Bottle) -> None:
    host, _ann, bob = bottle.party("host", "ann", "bob")
    bottle.run(2)
    bottle.stop_server()
    bottle.kill(host)
    inside = bob.session._inside
    assert inside is not None and inside.keyring.own.current is not None
    generation = inside.keyring.own.current.announcement.generation
    bottle.cut("ann", "bob")
    bottle.run(10.5)
    assert not bob.session.room.fresh(bottle.now)
    assert bob.session.room.flows(bottle.now)
    inside.keyring.announce_all(bottle.now)
    peers = bob.session.room.peers.values()
    assert all(inside.keyring.key_for(peer, bottle.now) is None for peer in peers)
    assert inside.keyring.own.newest.announcement.generation == generation


def test_media_freezes_when_the_last_deputys_time_has_passed(bottle: Bottle) -> None:
    host, _ann, _bob, cyd = bottle.party("host", "ann", "bob", "cyd")
    bottle.stop_server()
    bottle.kill(host)
    for one, other in (("ann", "bob"), ("ann", "cyd"), ("bob", "cyd")):
        bottle.cut(one, other)
    begun = cyd.session.room.fresh_at
    bottle.run(begun + longest_hold(2) - bottle.now - 0.5)
    assert cyd.session.speak(0, 0, b"waiting", bottle.now) is not None
    bottle.run(1.5)
    assert cyd.session.speak(0, 0, b"frozen", bottle.now) is None


def test_what_is_held_after_a_kick_is_sealed_with_the_old_key_for_two_seconds_at_most(
    bottle: Bottle,
) -> None:
    """The new host dies before anybody has had a heartbeat of it."""
    host, ann, bob, cyd, _dan = bottle.party("host", "ann", "bob", "cyd", "dan")
    bottle.run(3)
    bottle.kill(host)
    assert bottle.run(15, lambda: ann.session.room.hosting)
    act(bottle, ann, "kick", cyd.number, bottle.now)
    assert bottle.run(1, lambda: cyd.number not in bob.session.room.peers)
    bottle.kill(ann)
    own = bob.session._inside.keyring.own  # type: ignore[union-attr]
    known = own.current
    assert known is not None and bob.session.speak(0, 0, b"known to cyd", bottle.now)
    kicked = bottle.now
    while bottle.now < kicked + 20:
        bottle.run(0.1)
        if bob.session.speak(0, 0, b"not for cyd", bottle.now) is not None:
            assert own.current is not known or bottle.now - kicked <= REMOVAL_LIFE
    assert bob.session.room.hosting and own.current is not known


def test_a_host_that_was_merely_dark_for_nine_seconds_stays_the_host(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    part(bottle, [host], [ann, bob])
    bottle.run(8.5)
    unite(bottle, [host], [ann, bob])
    bottle.run(10)
    assert hosts(host, ann, bob) == {"host"}
    assert not ann.of(HostChanged)


def test_rooms_outlive_host_after_host(bottle: Bottle) -> None:
    people = bottle.party("host", "ann", "bob", "cyd")
    for turn in range(3):
        bottle.kill(people[turn])
        alive = people[turn + 1 :]
        bottle.run(15)
        assert hosts(*alive) == {alive[0].name}
        assert agree(*alive)
    entry = people[3].session.room.roster.entry
    assert entry.action == Action.TAKEOVER and entry.term // 65536 == 3


def test_who_let_somebody_in_and_yields_is_reached_by_others_ways(bottle: Bottle) -> None:
    """Its exchange is read by nobody any more, though the direct road has never stood."""
    host, bob, cyd = bottle.party("host", "bob", "cyd")
    bottle.cut("host", "ann")
    ann = bottle.join("ann", bottle.code(host))
    bottle.run(3)
    bottle.sleep(host, 12)
    assert bottle.run(14, lambda: hosts(ann, bob, cyd) == {"bob"})
    bottle.run(10)
    assert hosts(host) == {"bob"}
    bottle.mend("host", "ann")
    host.session.say("back")
    bottle.pump(host)
    assert bottle.run(15, lambda: texts(ann) == ["back"])


def test_guests_are_told_where_their_host_has_moved_its_server(bottle: Bottle) -> None:
    host = bottle.host(embedded=True)
    bottle.run(1)
    (ann,) = guests(bottle, host, "ann")
    here, there = "ws://host.example:8765", "ws://elsewhere.example:8765"
    office = host.session.office
    assert office is not None
    office._make_desk = bottle._desk_of(lambda: there)
    office.server_moved(there)
    bottle.pump(host)
    bottle.run(1)
    assert bottle.code(host).endswith("@elsewhere.example:8765")
    assert ann.servers.known == (there, here)
