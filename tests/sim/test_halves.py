"""Stories of two halves of a room whose hosts do not know each other any more."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from tests.sim.bottle import Bottle
from tests.sim.people import Person
from tests.sim.test_leaving import act
from tests.sim.test_succession import (
    agree,
    all_streaming,
    asleep,
    guests,
    hide_server,
    hosts,
    part,
    unite,
)
from tests.sim.words import ending, names_here, texts, warnings
from vc_core.events import Warned
from vc_core.ids import Member
from vc_core.mailboxes import MAX_SECRETS
from vc_core.signals import Drop

ORDERS = list(itertools.permutations(range(3)))
"""Who greets whom: the smaller key does."""


def keyed(bottle: Bottle, *names: str, order: tuple[int, ...]) -> list[Person]:
    """A room whose members have keys in this order, by their names."""
    keys = sorted((bottle.identity() for _ in names), key=lambda one: one.public.sign)
    host = bottle.host(names[0], identity=keys[order[0]])
    bottle.run(1)
    people = [host]
    for name, rank in zip(names[1:], order[1:], strict=True):
        people.append(bottle.join(name, bottle.code(host), keys[rank]))
        bottle.run(3)
    return people


def reunite(bottle: Bottle, one: list[Person], other: list[Person]) -> None:
    """The server and all roads are back."""
    bottle.start_server()
    unite(bottle, one, other)


def told(*people: Person) -> list[str]:
    """Who was told that there are two rooms."""
    return [person.name for person in people if "roster-differs" in warnings(person)]


def about(person: Person) -> set[Member | None]:
    """Whose list of members is said to be another one."""
    return {one.member for one in person.of(Warned) if one.word == "roster-differs"}


@pytest.mark.parametrize("order", ORDERS)
def test_a_host_hears_that_the_room_went_on_under_a_deputy_whom_it_had_removed(
    order: tuple[int, ...],
) -> None:
    bottle = Bottle(47)
    host, ann, bob = keyed(bottle, "host", "ann", "bob", order=order)
    bottle.stop_server()
    part(bottle, [host], [ann, bob])
    act(bottle, host, "kick", ann.number, bottle.now)
    bottle.run(16)
    assert hosts(ann, bob) == {"ann"} and names_here(host) == {"host"}
    reunite(bottle, [host], [ann, bob])
    assert bottle.run(60, lambda: told(host, ann, bob) == ["host", "ann", "bob"])
    bottle.run(30)
    assert hosts(host) == {"host"} and hosts(ann, bob) == {"ann"}
    assert agree(ann, bob)
    assert all(person.living for person in (host, ann, bob))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 1, 3, 2)])
def test_all_hear_that_there_are_two_rooms_where_the_hosts_have_removed_one_another(
    order: tuple[int, ...],
) -> None:
    bottle = Bottle(48)
    host, ann, bob, cyd = keyed(bottle, "host", "ann", "bob", "cyd", order=order)
    bottle.stop_server()
    part(bottle, [host, bob], [ann, cyd])
    act(bottle, host, "kick", ann.number, bottle.now)
    bottle.run(16)
    assert hosts(ann, cyd) == {"ann"}
    act(bottle, ann, "kick", host.number, bottle.now)
    bottle.run(12)
    reunite(bottle, [host, bob], [ann, cyd])
    everybody = host, ann, bob, cyd
    assert bottle.run(60, lambda: told(*everybody) == ["host", "ann", "bob", "cyd"])
    assert about(host) == {ann.number} and about(ann) == {host.number}
    bottle.run(30)
    assert hosts(host, bob) == {"host"} and hosts(ann, cyd) == {"ann"}
    assert all(person.living for person in (host, ann, bob, cyd))


@pytest.mark.parametrize("order", ORDERS)
def test_a_host_whom_its_successor_removed_is_told_so_and_its_guest_follows(
    order: tuple[int, ...],
) -> None:
    bottle = Bottle(49)
    host, ann, bob = keyed(bottle, "host", "ann", "bob", order=order)
    bottle.stop_server()
    part(bottle, [host, bob], [ann])
    bottle.run(35)
    assert hosts(ann) == {"ann"} and hosts(host, bob) == {"host"}
    act(bottle, ann, "kick", host.number, bottle.now)
    reunite(bottle, [host, bob], [ann])
    assert bottle.run(60, lambda: ending(host) == "kicked")
    assert bottle.run(60, lambda: agree(ann, bob) and names_here(ann) == {"ann", "bob"})
    assert hosts(bob) == {"ann"}


@pytest.mark.parametrize("order", ORDERS)
def test_a_host_shows_nobody_as_here_who_follows_a_host_that_it_has_removed(
    order: tuple[int, ...],
) -> None:
    bottle = Bottle(54)
    host, ann, bob = keyed(bottle, "host", "ann", "bob", order=order)
    bottle.stop_server()
    part(bottle, [host], [ann, bob])
    asleep(bottle, host, 15)
    assert hosts(ann, bob) == {"ann"} and names_here(host) == {"host", "ann", "bob"}
    act(bottle, host, "kick", ann.number, bottle.now)
    reunite(bottle, [host], [ann, bob])
    assert bottle.run(60, lambda: told(host, ann, bob) == ["host", "ann", "bob"])
    bottle.run(15)
    assert names_here(host) == {"host"}
    assert names_here(ann) == names_here(bob) == {"ann", "bob"} and agree(ann, bob)


def test_an_old_host_follows_although_the_one_that_deposed_it_has_left_meanwhile() -> None:
    bottle = Bottle(55)
    host = bottle.host(embedded=True)  # its server lives on while it sleeps
    bottle.run(1)
    ann, bob, cyd = guests(bottle, host, "ann", "bob", "cyd")
    bottle.sleep(host, 30)
    bottle.run(8)
    part(bottle, [host], [ann, bob, cyd])
    bottle.run(5)
    assert hosts(ann, bob, cyd) == {"ann"}
    act(bottle, ann, "leave", bottle.now)
    bottle.run(1)
    bottle.kill(ann)
    bottle.run(17)
    unite(bottle, [host], [bob, cyd])
    assert bottle.run(
        60, lambda: agree(host, bob, cyd) and names_here(bob) == {"host", "bob", "cyd"}
    )
    assert hosts(host) == {"bob"}


def test_the_absent_one_whom_a_guest_has_found_gets_no_key_of_it() -> None:
    bottle = Bottle(50)
    host, ann, bob, cyd = keyed(bottle, "host", "ann", "bob", "cyd", order=(0, 1, 2, 3))
    bottle.stop_server()
    part(bottle, [host, bob], [ann, cyd])
    act(bottle, host, "kick", ann.number, bottle.now)
    bottle.run(16)
    act(bottle, ann, "kick", host.number, bottle.now)
    bottle.run(12)
    reunite(bottle, [host, bob], [ann, cyd])
    assert bottle.run(60, lambda: cyd.session.room.peers[bob.number].streaming)
    bottle.run(15)
    for one, other in ((bob, cyd), (cyd, bob)):
        inside = one.session._inside
        assert inside is not None
        assert other.number not in inside.keyring._others._by_member
        assert other.number not in dict(one.session.listeners())


def test_a_guest_looks_for_one_absent_member_after_another_every_twenty_seconds() -> None:
    bottle = Bottle(51)
    names = ("host", "ann", "bob", "cyd", "dan")
    people = host, _ann, *gone = keyed(bottle, *names, order=(1, 0, 2, 3, 4))
    for person in gone:
        bottle.kill(person)
    bottle.run(15)
    assert names_here(host) == {"host", "ann"}
    ann, dropped = people[1], Counter[str]()
    to_server = bottle._to_server

    def count(person: Person, signal: object) -> None:
        if isinstance(signal, Drop):
            dropped[person.name] += 1
        to_server(person, signal)  # type: ignore[arg-type]

    bottle._to_server = count  # type: ignore[method-assign]
    bottle.run(120)
    assert 5 <= dropped["ann"] <= 7 * len(ann.session.room.secrets)
    assert all(ann.session.room.peers[p.number].sought_at > bottle.now - 61 for p in gone)


@pytest.mark.parametrize("leaving", ["host", "ann"])
def test_halves_find_each_other_however_many_have_left_them_meanwhile(leaving: str) -> None:
    bottle = Bottle(52)
    names = ("host", "ann", "bob", "cyd", "dan", "eve", "flo", "gus")
    host, ann, bob, cyd, *others = keyed(bottle, *names, order=tuple(range(8)))
    bottle.stop_server()
    one, other = [host, bob], [ann, cyd]
    (one if leaving == "host" else other).extend(others)
    part(bottle, one, other)
    bottle.run(16)
    assert hosts(host, bob) == {"host"} and hosts(ann, cyd) == {"ann"}
    for person in others:
        act(bottle, person, "leave", bottle.now)
        bottle.run(1)
    staying = host, ann, bob, cyd
    assert all(len(person.session.room.secrets) <= MAX_SECRETS for person in staying)
    reunite(bottle, [host, bob], [ann, cyd])
    assert bottle.run(60, lambda: agree(*staying) and len(names_here(ann)) == 4)
    assert hosts(*staying) == {"ann"}


def test_guests_of_halves_find_each_other_by_the_secret_that_both_knew_when_they_parted() -> None:
    bottle = Bottle(53)
    names = ("host", "ann", "bob", "cyd", "dan", "eve", "flo")
    host, ann, bob, cyd, *others = keyed(bottle, *names, order=tuple(range(7)))
    bottle.stop_server()
    part(bottle, [host, bob], [ann, cyd, *others])
    act(bottle, host, "kick", ann.number, bottle.now)  # a secret that only one half ever knows
    bottle.run(16)
    assert hosts(ann, cyd) == {"ann"}
    for person in (host, *others):
        act(bottle, ann, "kick", person.number, bottle.now)
    bottle.run(12)
    reunite(bottle, [host, bob], [ann, cyd])
    assert bottle.run(100, lambda: told(bob, cyd) == ["bob", "cyd"])


@pytest.mark.parametrize("seed", [50, 51, 55, 56])
def test_texts_go_on_with_somebody_whom_only_the_losing_half_had_removed(seed: int) -> None:
    """At once, though the new host loses what it carries while its own link is made anew."""
    bottle = Bottle(seed)
    host, ann, bob = keyed(bottle, "host", "ann", "bob", order=(0, 1, 2))
    for _ in range(2):
        act(bottle, bob, "say", "before")
        act(bottle, host, "say", "before")
    bottle.run(1)
    bottle.stop_server()
    part(bottle, [host], [ann, bob])
    bottle.run(12)
    act(bottle, host, "kick", bob.number, bottle.now)
    reunite(bottle, [host], [ann, bob])
    assert bottle.run(40, lambda: agree(host, ann, bob) and len(names_here(ann)) == 3)
    act(bottle, bob, "say", "after")
    act(bottle, host, "say", "after")
    bottle.run(2)
    assert texts(host) == ["before", "before", "after"]
    assert texts(bob) == ["before", "before", "after"]
    assert not {"peer-misbehaved"} & {*warnings(host), *warnings(bob)}


@pytest.mark.parametrize("order", ORDERS)
def test_whoever_has_the_number_of_one_whom_the_losing_half_let_in_is_met(
    order: tuple[int, ...],
) -> None:
    bottle = Bottle(57)
    host, ann, cyd = keyed(bottle, "host", "ann", "cyd", order=(0, 1, 2))
    keys = sorted((bottle.identity() for _ in range(3)), key=lambda one: one.public.sign)
    bob = bottle.join("bob", bottle.code(host), keys[order[0]])
    bottle.run(3)
    bottle.stop_server()
    one, other = [host, bob], [ann, cyd]
    part(bottle, one, other)
    bottle.run(16)
    assert hosts(ann, cyd) == {"ann"}
    dan = bottle.join("dan", bottle.code(ann), keys[order[1]])
    part(bottle, one, [dan])
    bottle.run(3)
    hide_server(bottle, *other)
    bottle.start_server()
    bottle.run(1)
    act(bottle, host, "invite", bottle.now)
    bottle.run(1)
    eve = bottle.join("eve", bottle.code(host), keys[order[2]])
    part(bottle, [eve], [*other, dan])
    bottle.run(4)
    assert eve.number == dan.number and all_streaming(host, bob, eve)
    bottle.meddle = None
    unite(bottle, one, [*other, dan])
    assert bottle.run(40, lambda: agree(host, ann, bob, cyd, dan))
    assert ending(eve) == "room-moved"
    assert bottle.run(30, lambda: all_streaming(host, ann, bob, cyd, dan))
    assert names_here(bob) == {"host", "ann", "bob", "cyd", "dan"}
