"""Stories of forwarders: who names them, who gets a slot, and what happens when one dies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sim.bottle import Bottle
from tests.sim.people import Person
from tests.sim.test_voice import Ears
from tests.sim.words import warnings
from vc_core.commands import TryDirect
from vc_core.events import CodeReady, PathChanged
from vc_core.forwarding import AWAY, FAREWELL, REFRESH, Forwarding
from vc_core.grant import (
    CLOCK_ERROR,
    MAX_LIFE,
    Claims,
    make_grant,
    open_secret,
    relay_room,
    tag_is_right,
)
from vc_core.ids import Rung, Way
from vc_core.messages import Forwarder, Forwarders, Road
from vc_core.peer import Peer
from vc_core.signals import Grants
from vc_core.wire import Record

RELAYS = (("192.0.2.7:3478",), ("192.0.2.8:3478",), ("192.0.2.9:3478",))
SECRET = bytes(range(32))


@pytest.fixture
def bottle() -> Bottle:
    return Bottle(81)


def forwarding(person: Person) -> Forwarding:
    """The part that names forwarders."""
    assert person.session.forwarding is not None
    return person.session.forwarding


def named(bottle: Bottle, *names: str, relays: int = 1, hosted: bool = False) -> list[Person]:
    """A party whose host has named forwarders before anybody came."""
    host = bottle.host(names[0])
    assert bottle.run(5, lambda: bool(host.of(CodeReady)))
    if hosted:
        forwarding(host).serve(("192.0.2.1:5000",), SECRET, bottle.now)
    if relays:
        forwarding(host).use_relays(RELAYS[:relays], bottle.now, signs=False)
    bottle.pump(host)
    people = [host]
    for name in names[1:]:
        people.append(bottle.join(name, bottle.code(host)))
        assert bottle.run(10, lambda: bottle._together(people)), name
    bottle.run(3)
    return people


def number_of(person: Person, rung: Rung, place: int = 0) -> int:
    """The number of a forwarder that somebody was told to attach to."""
    return [n for n, order in person.opened.items() if order.rung is rung][place]


def peer_of(person: Person, other: Person) -> Peer:
    return person.session.room.peers[other.number]


def rung(person: Person, other: Person) -> str:
    return peer_of(person, other).ladder.rung


def apart(bottle: Bottle, people: list[Person]) -> None:
    """No packet passes directly between any two."""
    for one in people:
        for other in people:
            if one is not other:
                bottle.cut(one.name, other.name)


def heard_while(
    bottle: Bottle, ears: Ears, speaker: Person, listener: Person, seconds: float
) -> Iterator[bool]:
    """One frame each 0.3 s: whether it was heard."""
    for turn in range(round(seconds / 0.3)):
        word = b"%d %f" % (turn, bottle.now)
        ears.say(speaker, word)
        yield word in ears.heard[listener.name]


def reasons(person: Person, other: Person) -> dict[str, str]:
    """What somebody was told last of all rungs to another one."""
    changes = [one for one in person.of(PathChanged) if one.member == other.number]
    return dict(changes[-1].reasons)


def test_people_are_told_of_every_rung_as_it_is_now(bottle: Bottle) -> None:
    people = named(bottle, "host", "ann", "bob", hosted=True)
    for one in people:
        for other in people:
            if one is not other:
                assert set(reasons(one, other).values()) == {"answered"}
                assert reasons(one, other) == peer_of(one, other).ladder.reasons()


def test_a_host_knows_that_somebody_has_not_come_to_its_forwarder(bottle: Bottle) -> None:
    host, ann = named(bottle, "host", "ann", hosted=True, relays=0)
    far = bottle.join("far", bottle.code(host))
    bottle.network.far_from.add(("far", number_of(host, Rung.HOSTED)))
    assert bottle.run(10, lambda: bottle._together([host, ann, far]))
    bottle.run(10)
    assert reasons(host, far)["hosted"] == "awaited"
    assert reasons(far, host)["hosted"] == "trying"


def test_who_comes_later_is_known_to_be_out_of_reach_of_a_dead_forwarder(bottle: Bottle) -> None:
    people = host, ann = named(bottle, "host", "ann")
    bottle.network.kill_forwarder(number_of(host, Rung.RELAYED), people)
    bottle.run(5)
    bob = bottle.join("bob", bottle.code(host))
    assert bottle.run(10, lambda: bottle._together([host, ann, bob]))
    bottle.run(3)
    assert reasons(ann, bob)["relayed"] == reasons(host, bob)["relayed"] == "relay-silent"


# Death


def test_without_direct_ways_voice_goes_by_a_forwarder(bottle: Bottle) -> None:
    people = named(bottle, "host", "ann", "bob")
    apart(bottle, people)
    pairs = [(one, other) for one in people for other in people if one is not other]
    assert bottle.run(3, lambda: all(rung(*pair) == "relayed" for pair in pairs))
    ears = Ears(bottle)
    ears.say(people[1], b"hello")
    assert dict(ears.heard) == {"host": [b"hello"], "bob": [b"hello"]}


def test_when_a_relay_dies_the_host_s_own_forwarder_had_been_better_and_nobody_notices(
    bottle: Bottle,
) -> None:
    people = named(bottle, "host", "ann", "bob", hosted=True)
    _, ann, bob = people
    bottle.cut("ann", "bob")
    assert bottle.run(3, lambda: rung(ann, bob) == "hosted")
    bottle.network.kill_forwarder(number_of(ann, Rung.RELAYED), people)
    ears = Ears(bottle)
    assert all(heard_while(bottle, ears, ann, bob, 6.0))
    assert rung(ann, bob) == "hosted"


def test_when_the_first_of_two_relays_dies_voice_goes_on_by_the_second_within_a_second(
    bottle: Bottle,
) -> None:
    people = named(bottle, "host", "ann", "bob", relays=2)
    _, ann, bob = people
    apart(bottle, people)
    assert bottle.run(3, lambda: rung(ann, bob) == "relayed")
    bottle.run(2)
    first = number_of(ann, Rung.RELAYED)
    assert peer_of(ann, bob).ladder.used == Way(Rung.RELAYED, first)
    ears = Ears(bottle)
    bottle.network.kill_forwarder(first, people)
    heard = list(heard_while(bottle, ears, ann, bob, 9.0))
    assert heard.index(True) <= 4 and all(heard[4:]), heard
    assert peer_of(ann, bob).ladder.used == Way(Rung.RELAYED, number_of(ann, Rung.RELAYED, 1))


def test_a_relay_that_ends_soon_is_left_without_a_gap(bottle: Bottle) -> None:
    people = named(bottle, "host", "ann", "bob", relays=2)
    _, ann, bob = people
    apart(bottle, people)
    bottle.run(5)
    first, second = (number_of(ann, Rung.RELAYED, place) for place in range(2))
    pairs = [(one, other) for one in people for other in people if one is not other]
    assert all(peer_of(*pair).ladder.used == Way(Rung.RELAYED, first) for pair in pairs)
    ears = Ears(bottle)
    bottle.network.drain_forwarder(first, people)
    assert all(heard_while(bottle, ears, ann, bob, 1.5))
    assert all(peer_of(*pair).ladder.used == Way(Rung.RELAYED, second) for pair in pairs)
    assert all(heard_while(bottle, ears, ann, bob, FAREWELL + 1))
    assert all(first not in one.slots and second in one.slots for one in people)
    bottle.network.full_forwarders.discard(first)  # it runs again
    bottle.run(AWAY + 1)
    assert all(first in one.slots for one in people)
    assert all(peer_of(*pair).ladder.used == Way(Rung.RELAYED, first) for pair in pairs)


def test_the_only_relay_is_used_until_it_ends(bottle: Bottle) -> None:
    people = named(bottle, "host", "ann", "bob")
    _, ann, bob = people
    apart(bottle, people)
    bottle.run(5)
    first = number_of(ann, Rung.RELAYED)
    ears = Ears(bottle)
    bottle.network.drain_forwarder(first, people)
    assert all(heard_while(bottle, ears, ann, bob, 3 * FAREWELL))
    bottle.mend("ann", "bob")
    assert bottle.run(40, lambda: rung(ann, bob) == "direct")
    assert bottle.run(40, lambda: not any(first in one.slots for one in people)) is False
    for name in ("ann", "bob"):
        bottle.mend("host", name)
    assert bottle.run(40, lambda: not any(first in one.slots for one in people))


def test_when_the_only_relay_dies_voice_stops_and_returns_with_another_one(bottle: Bottle) -> None:
    people = named(bottle, "host", "ann", "bob")
    host, ann, bob = people
    bottle.cut("ann", "bob")
    assert bottle.run(3, lambda: rung(ann, bob) == "relayed")
    ears = Ears(bottle)
    bottle.network.kill_forwarder(number_of(ann, Rung.RELAYED), people)
    assert bottle.run(8, lambda: rung(ann, bob) == "none")
    assert list(heard_while(bottle, ears, ann, bob, 1.5)) == [False] * 5
    assert bottle.run(3, lambda: ann.of(PathChanged)[-1].reasons["relayed"] == "relay-silent")
    forwarding(host).use_relays((RELAYS[1],), bottle.now, signs=False)
    bottle.pump(host)
    assert bottle.run(20, lambda: rung(ann, bob) == rung(bob, ann) == "relayed")
    bottle.run(2)
    assert all(heard_while(bottle, ears, ann, bob, 3.0))


def test_when_the_relay_of_a_crowd_dies_its_members_find_direct_pairs(
    bottle: Bottle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vc_core.room.MESH_LIMIT", 2)
    people = named(bottle, "host", "ann", "bob", "cyd")
    assert rung(people[1], people[3]) == "relayed"
    bottle.network.kill_forwarder(number_of(people[1], Rung.RELAYED), people)
    done = bottle.run(10, lambda: rung(people[1], people[3]) == "direct")
    assert done, people[1].of(PathChanged)[-3:]
    bottle.run(2)
    ears = Ears(bottle)
    ears.say(people[3], b"hello")
    assert dict(ears.heard) == {name: [b"hello"] for name in ("host", "ann", "bob")}


def test_where_three_packets_of_ten_are_lost_nobody_changes_the_road(bottle: Bottle) -> None:
    people = named(bottle, "host", "ann", "bob", hosted=True)
    _, ann, bob = people
    bottle.weather.loss = 0.3
    bottle.run(5)
    marks = [len(person.of(PathChanged)) for person in people]
    bottle.run(180)
    changes = [person.of(PathChanged)[mark:] for person, mark in zip(people, marks, strict=True)]
    assert changes == [[], [], []]
    assert rung(ann, bob) == rung(bob, ann) == "direct"


# Who may do what


def test_who_allows_relays_only_never_opens_a_direct_attempt(bottle: Bottle) -> None:
    host, bob = named(bottle, "host", "bob")
    tried: list[Person] = []
    told: list[Person] = []
    begin = bottle.network.orders[TryDirect]

    def note_attempt(who: Person, order: Any) -> None:
        tried.append(who)
        begin(who, order)

    bottle.network.orders[TryDirect] = note_attempt
    ann = bottle.join("ann", bottle.code(host))
    send = ann.session._courier.send

    def note_road(peer: Peer, message: Record) -> bool:
        if isinstance(message, Road):
            told.append(ann)
        return send(peer, message)

    ann.session._courier.send = note_road  # type: ignore[method-assign]
    ann.session.allow(frozenset({Rung.RELAYED}), bottle.now)
    bottle.pump(ann)
    people = [host, bob, ann]
    assert bottle.run(10, lambda: bottle._together(people))
    bottle.run(90)
    assert ann not in tried and told == []
    assert {rung(ann, host), rung(ann, bob), rung(bob, ann)} == {"relayed"}
    assert not any(end.pairs for end in ann.ends.values())
    assert rung(bob, host) == "direct"


def test_who_forbids_direct_ways_in_a_call_drops_those_that_stand(bottle: Bottle) -> None:
    host, ann = named(bottle, "host", "ann")
    assert rung(ann, host) == "direct"
    ears = Ears(bottle)
    ann.session.allow(frozenset({Rung.RELAYED}), bottle.now)
    bottle.pump(ann)
    bottle.run(1)
    assert rung(ann, host) == "relayed"
    assert not any(end.pairs for end in ann.ends.values())
    assert all(heard_while(bottle, ears, ann, host, 3.0))


def test_a_host_that_allows_relays_only_tells_newcomers_no_address_of_its_own(
    bottle: Bottle,
) -> None:
    host, ann = named(bottle, "host", "ann", hosted=True)
    hosted = forwarding(host)._hosted
    assert hosted is not None and hosted.number in ann.opened
    host.session.allow(frozenset({Rung.RELAYED}), bottle.now)
    bottle.pump(host)
    bob = bottle.join("bob", bottle.code(host))
    assert bottle.run(10, lambda: bottle._together([host, ann, bob]))
    forwarding(host).serve(("192.0.2.99:5000",), SECRET, bottle.now)  # it is somewhere else now
    bottle.pump(host)
    bottle.run(15)
    for guest in (ann, bob):
        assert hosted.number not in guest.opened
        assert {one.rung for one in guest.opened.values()} == {Rung.RELAYED}
        assert rung(guest, host) == "relayed"


def test_forwarders_that_a_guest_names_are_ignored(bottle: Bottle) -> None:
    people = named(bottle, "host", "ann", "bob")
    host, ann, bob = people
    before = {person.name: dict(person.opened) for person in people}
    lure = Forwarder(7, Rung.RELAYED.value, ("203.0.113.66:3478",), ())
    for other in (host, bob):
        ann.session._courier.send(peer_of(ann, other), Forwarders(1000, (lure,)))
    bottle.pump(ann)
    bottle.run(5)
    assert {person.name: person.opened for person in people} == before
    assert 7 not in bob.session.room.ways.berths.order
    assert warnings(bob) == warnings(host) == []


def test_an_older_list_of_the_host_is_not_taken_after_a_newer_one(bottle: Bottle) -> None:
    host, ann = named(bottle, "host", "ann")
    before = dict(ann.opened)
    old = Forwarder(7, Rung.RELAYED.value, RELAYS[2], ())
    host.session._courier.send(peer_of(host, ann), Forwarders(0, (old,)))
    bottle.pump(host)
    bottle.run(5)
    assert ann.opened == before


def test_a_list_of_nonsense_hurts_nobody(bottle: Bottle) -> None:
    host, ann, bob = named(bottle, "host", "ann", "bob", relays=0)
    nonsense = ("", "\0", "…:99999", "[::1", "-" * 255, "javascript:0", "0.0.0.0:0", "a b:1")
    strange = tuple(Forwarder(10 + rung, rung, nonsense, ()) for rung in (0, 1, 4, 255))
    twice = tuple(Forwarder(3, Rung.RELAYED.value, nonsense, ()) for _ in range(2))
    for round, forwarders in ((50, strange), (51, twice)):
        for other in (ann, bob):
            host.session._courier.send(peer_of(host, other), Forwarders(round, forwarders))
        bottle.pump(host)
        bottle.run(5)
    assert list(ann.opened) == list(bob.opened) == [3]
    ears = Ears(bottle)
    assert all(heard_while(bottle, ears, ann, bob, 2.0))
    assert warnings(ann) == []


def test_a_host_cannot_make_its_guests_ask_ever_more_addresses(bottle: Bottle) -> None:
    """Each forwarder is asked by packets of 1 200 bytes, at up to eight addresses."""
    host, ann = named(bottle, "host", "ann", relays=0)
    asked: set[int] = set()
    for round in range(200):
        several = tuple(
            Forwarder(10 * round + place, Rung.RELAYED.value, RELAYS[0], ()) for place in (1, 2, 3)
        )
        host.session._courier.send(peer_of(host, ann), Forwarders(1000 + round, several))
        bottle.pump(host)
        bottle.run(0.1)
        asked.update(ann.opened)
    assert 24 <= len(asked) <= 24 + 5
    bottle.run(20)
    assert {one.number for one in several} == set(ann.opened)


def test_a_host_cannot_make_its_guests_ask_one_forwarder_at_ever_more_addresses(
    bottle: Bottle,
) -> None:
    host, ann = named(bottle, "host", "ann", relays=0)
    asked: set[tuple[str, ...]] = set()
    for round in range(200):
        one = Forwarder(7, Rung.RELAYED.value, (f"192.0.2.7:{1000 + round}",), ())
        host.session._courier.send(peer_of(host, ann), Forwarders(1000 + round, (one,)))
        bottle.pump(host)
        bottle.run(0.1)
        asked.add(ann.opened[7].addresses)
    assert 24 <= len(asked) <= 24 + 5
    bottle.run(20)
    assert ann.opened[7].addresses == one.addresses


def test_grants_count_once_for_each_question_of_the_host(bottle: Bottle) -> None:
    """A server that sends them for nothing could make a host drown its guests in lists."""
    host, ann = named(bottle, "host", "ann", relays=0)
    names = forwarding(host)
    names.use_relays(RELAYS[:1], bottle.now, signs=True)

    def granted() -> int:
        """How many lists follow from a hundred answers."""
        before = names._round
        for slot in range(100):
            key = relay_room(names._relayed.key)
            claims = Claims(key, (host.number, ann.number, slot)[min(slot, 2)], 1000, 2**40)
            host.session.receive_signal(Grants((make_grant(SECRET, claims),)), bottle.now)
        return names._round - before

    assert granted() == 0
    names.handle_timer(bottle.now)
    assert granted() == 1
    assert set(names._relayed.signed) == {host.number}


def test_who_was_kicked_has_no_slot_in_what_follows(bottle: Bottle) -> None:
    people = named(bottle, "host", "ann", "bob", "cyd", hosted=True)
    host, ann, bob, cyd = people
    relay, hosted = number_of(ann, Rung.RELAYED), number_of(ann, Rung.HOSTED)
    bottle.cut("bob", "cyd")
    bottle.run(3)
    ears = Ears(bottle)
    host.session.kick(ann.number, bottle.now)
    bottle.pump(host)
    assert all(heard_while(bottle, ears, bob, cyd, 3.0))
    fresh = number_of(bob, Rung.RELAYED, -1)
    assert fresh != relay and fresh in bob.slots and fresh in cyd.slots
    assert fresh not in ann.opened
    assert hosted not in ann.slots and hosted in bob.slots
    bottle.run(12)
    assert relay not in bob.opened and relay not in cyd.opened
    rooms = {
        Claims.parse(grant.claims).room
        for person in (host, bob, cyd)
        for order in person.opened.values()
        for grant in order.grants
        if order.rung is Rung.RELAYED
    }
    kicked = {Claims.parse(one.claims).room for one in ann.opened[relay].grants}
    assert len(rooms) == 1 and not rooms & kicked


def test_grants_are_renewed_before_they_end_and_hold_for_their_member_alone(
    bottle: Bottle,
) -> None:
    people = named(bottle, "host", "ann", hosted=True)
    ann = people[1]

    def claims(rung: Rung) -> Claims:
        return Claims.parse(ann.opened[number_of(ann, rung)].grants[-1].claims)

    before = {one: claims(one) for one in (Rung.HOSTED, Rung.RELAYED)}
    slots = set(ann.slots)
    bottle.run(MAX_LIFE + REFRESH)
    for one, secret in ((Rung.HOSTED, SECRET), (Rung.RELAYED, open_secret())):
        after = claims(one)
        assert after.expires > before[one].expires
        assert bottle.now < after.expires <= bottle.now + MAX_LIFE + CLOCK_ERROR
        assert (after.room, after.slot) == (before[one].room, ann.number)
        grant = ann.opened[number_of(ann, one)].grants[-1]
        assert tag_is_right(secret, grant.claims, grant.tag)
    assert ann.slots == slots and len(ann.opened) == 2


# Ways that nobody chose


def test_a_probe_over_a_forwarder_that_nobody_chose_opens_it(bottle: Bottle) -> None:
    people = named(bottle, "host", "ann", "bob", relays=2)
    host, ann, bob = people
    forwarding(host).use_relays(RELAYS, bottle.now, signs=False)
    bottle.pump(host)
    bottle.run(2)
    third = number_of(bob, Rung.RELAYED, 2)
    assert third in bob.slots
    assert all(Way(Rung.RELAYED, third) not in link_ways(bob, other) for other in (host, ann))
    for far in (number_of(bob, Rung.RELAYED, place) for place in (0, 1)):
        bottle.network.far_from.add(("cyd", far))
    for other in ("host", "ann", "bob"):
        bottle.cut("cyd", other)
    cyd = bottle.join("cyd", bottle.code(host))
    people.append(cyd)
    assert bottle.run(20, lambda: bottle._together(people))
    assert rung(bob, cyd) == rung(cyd, bob) == "relayed"
    assert peer_of(bob, cyd).ladder.used == Way(Rung.RELAYED, third)
    assert Way(Rung.RELAYED, third) not in link_ways(bob, ann)
    ears = Ears(bottle)
    assert all(heard_while(bottle, ears, cyd, bob, 2.0))


def test_a_probe_that_does_not_verify_opens_nothing(bottle: Bottle) -> None:
    host, ann, bob = named(bottle, "host", "ann", "bob", relays=2)
    forwarding(host).use_relays(RELAYS, bottle.now, signs=False)
    bottle.pump(host)
    bottle.run(2)
    way = Way(Rung.RELAYED, number_of(bob, Rung.RELAYED, 2))
    link = peer_of(bob, ann).link
    assert link is not None and way.number in bob.slots
    for datagram in (bytes([16]) + bytes(39), bytes([16]), bytes([16]) * 40):
        bob.session.receive_probe(ann.number, link.id, way, datagram, bottle.now)
    assert way not in link.paths


def link_ways(person: Person, other: Person) -> set[Way]:
    link = peer_of(person, other).link
    assert link is not None
    return set(link.paths)
