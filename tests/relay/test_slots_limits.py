"""The forwarder against those who ask too often, send too much, or only pretend."""

from __future__ import annotations

import random

import pytest

from relay.cookies import Carrier
from relay.limits import OPEN, Limits
from relay.members import ROADS
from relay.roads import HEADERS, WORK
from relay.slots import AHEAD_WORK, BURST
from tests.relay.bottle import INNER, OTHER_ROOM, ROOM, Bottle, Place
from vc_core.bucket import Rate
from vc_core.envelope import (
    EVERYBODY,
    MAX_INNER,
    MAX_WANTS,
    Reason,
    write_hello,
    write_pass,
    write_ping,
    write_spread,
    write_want,
)

FULL_SIZE = b"\x80" * MAX_INNER


def host(number: int) -> bytes:
    """An IPv4 address."""
    return number.to_bytes(4, "big")


def test_a_room_holds_only_so_many_slots() -> None:
    bottle = Bottle(slots_per_room=3)
    for slot in range(3):
        bottle.join(slot)
    assert bottle.refusal(bottle.place(), bottle.grant(3)) == Reason.FULL
    bottle.join(2, place=bottle.place())
    bottle.join(3, OTHER_ROOM)


def test_there_are_only_so_many_rooms_and_slots() -> None:
    bottle = Bottle(rooms=1, slots=2)
    bottle.join(1)
    assert bottle.refusal(bottle.place(), bottle.grant(2, OTHER_ROOM)) == Reason.FULL
    bottle.join(2)
    assert bottle.refusal(bottle.place(), bottle.grant(3)) == Reason.FULL


def test_a_customer_holds_only_so_many_slots() -> None:
    bottle = Bottle(slots_per_customer=2)
    first = bottle.join(1)
    bottle.join(2)
    assert bottle.refusal(bottle.place(), bottle.grant(3)) == Reason.FULL
    bottle.join(3, place=Place(host(9)))
    bottle.slots.disconnected(first)
    bottle.join(1)


def test_an_ipv6_customer_is_a_network() -> None:
    bottle = Bottle(slots_per_customer=1)
    net = bytes.fromhex("20010db800000001")
    bottle.join(1, place=Place(net + bytes(8)))
    neighbour = Place(net + b"\xff" * 8)
    assert bottle.refusal(neighbour, bottle.grant(2)) == Reason.FULL


def test_each_link_is_a_customer() -> None:
    bottle = Bottle(slots_per_customer=1)
    for slot in range(3):
        bottle.join(slot, place=Place(b"guest %d" % slot, 0, Carrier.LINK))


def test_hellos_of_a_customer_are_answered_at_a_rate() -> None:
    bottle = Bottle(hellos=Rate(per_second=2, burst=3))
    answers = [bottle.say(bottle.place(), write_hello()) for _ in range(5)]
    assert [len(one) for one in answers] == [1, 1, 1, 0, 0]
    assert len(bottle.say(Place(host(9)), write_hello())) == 1
    bottle.pass_time(0.6)
    assert len(bottle.say(bottle.place(), write_hello())) == 1


def test_strangers_are_answered_more_rarely_and_take_no_cookie_from_a_hello() -> None:
    bottle = Bottle(Limits())
    answered = sum(len(bottle.say(Place(host(n)), bytes(19))) for n in range(5000))
    assert answered == Limits().all_strangers.burst
    assert len(bottle.say(Place(), write_hello())) == 1


def test_claims_of_a_customer_are_looked_at_at_a_rate() -> None:
    bottle = Bottle(claims=Rate(per_second=1, burst=2))
    for slot in (1, 2):
        bottle.join(slot)
    assert bottle.refusal(bottle.place(), bottle.grant(3)) == Reason.TOO_FAST
    bottle.join(3, place=Place(host(9)))
    bottle.pass_time(1)
    bottle.join(3)


@pytest.mark.parametrize(("rate", "limit"), [(50_000, 10**9), (10**9, 50_000)])
def test_a_slot_sends_at_its_rate_and_half_a_second_ahead(rate: int, limit: int) -> None:
    bottle = Bottle(rate=limit)
    anna = bottle.join(1, rate=rate)
    bottle.join(2)
    passed = 0
    for _ in range(10_000):
        passed += len(bottle.say(anna, write_pass(2, FULL_SIZE)))
        bottle.pass_time(0.001)
    assert 50_000 * 10 <= passed * (MAX_INNER + 3 + HEADERS) <= 50_000 * (10 + BURST) + 2000


def test_each_datagram_counts_what_it_weighs() -> None:
    """Roads are paid in datagrams of the largest size; what was smaller comes back."""
    bottle = Bottle()
    anna = bottle.join(1, rate=50_000)
    for slot in range(2, 6):
        bottle.join(slot)
    chance, passed = random.Random(1), 0
    for _ in range(20_000):
        size = chance.choice([1, 1, 1, 100, MAX_INNER])
        if bottle.say(anna, write_pass(chance.randint(2, 5), bytes([0x80]) * size)):
            passed += size + 3 + HEADERS
        bottle.pass_time(0.0005)
    assert 50_000 * 10 <= passed <= 50_000 * (10 + BURST) + 20_000


def test_changes_of_a_room_take_nothing_from_who_sends() -> None:
    bottle = Bottle()
    anna, bob = bottle.join(1, rate=50_000), bottle.join(2)
    passed = 0
    for number in range(1, 10_001):
        passed += len(bottle.say(anna, write_pass(2, FULL_SIZE)))
        bottle.want(bob, number, (1, number % 200))
        bottle.pass_time(0.001)
    assert 50_000 * 10 <= passed * (MAX_INNER + 3 + HEADERS) <= 50_000 * (10 + BURST) + 2000


def test_a_rate_of_nothing_is_next_to_nothing() -> None:
    bottle = Bottle()
    anna = bottle.join(1, rate=0)
    bottle.join(2)
    assert [len(bottle.say(anna, write_pass(2, INNER))) for _ in range(5)] == [1, 0, 0, 0, 0]


def test_a_room_pays_for_each_copy() -> None:
    bottle = Bottle(room_work=1e6)
    members = [bottle.join(slot) for slot in range(11)]
    for one in members:
        bottle.want(one, 1, (EVERYBODY, 0))
    copies = sum(len(bottle.say(members[0], write_spread(0, FULL_SIZE))) for _ in range(1000))
    assert 0 <= copies * (MAX_INNER + 2 + WORK) - 1e6 * BURST <= AHEAD_WORK


def test_who_uses_less_than_its_share_loses_nothing_when_others_use_all() -> None:
    bottle = Bottle(rate=10**9, total_work=2e6)
    greedy = [bottle.join(1, bytes([n]) * 16) for n in range(3)]
    for n in range(3):
        bottle.join(2, bytes([n]) * 16)
    modest = bottle.join(1)
    bottle.join(2)
    passed = lost = of_greedy = 0
    for step in range(8000):
        for one in greedy:
            of_greedy += len(bottle.say(one, write_pass(2, FULL_SIZE)))
        if step % 20 == 0:  # as often as voice
            arrived = len(bottle.say(modest, write_pass(2, bytes([0x80]) * 160)))
            passed, lost = passed + arrived, lost + 1 - arrived
        bottle.pass_time(0.001)
    assert (passed, lost) == (400, 0)
    assert bottle.slots.counts()["room_too_fast"] > 10_000
    assert of_greedy * (MAX_INNER + WORK) < 2e6 * (8 + BURST) * 1.1


def test_a_room_alone_may_use_what_others_leave() -> None:
    bottle = Bottle(rate=10**9, total_work=1e6, room_work=3e6)
    anna = bottle.join(1)
    bottle.join(2)
    for n in range(50):  # rooms that are there and say nothing
        bottle.join(1, bytes([n]) * 16)
    bottle.pass_time(2)
    passed = 0
    for _ in range(4000):
        passed += len(bottle.say(anna, write_pass(2, FULL_SIZE)))
        bottle.pass_time(0.001)
    assert passed * (MAX_INNER + 3 + WORK) > 1e6 * 4 * 0.9


def test_pings_are_paid_for() -> None:
    bottle = Bottle()
    anna = bottle.join(1, rate=1000)
    answers = sum(len(bottle.say(anna, write_ping(n))) for n in range(1000))
    assert answers == 1 + 1000 * BURST // (5 + WORK)


def test_an_open_forwarder_has_tighter_limits() -> None:
    wide, tight = Limits(), OPEN
    for name in ("rate", "room_work", "slots", "slots_per_customer", "rooms", "connections"):
        assert getattr(tight, name) < getattr(wide, name)


def size_of_tables(bottle: Bottle) -> int:
    """How many entries there are in everything that a stranger could fill."""
    slots, doorman = bottle.slots, bottle.slots._doorman
    buckets = (doorman._hellos, doorman._strangers, doorman._claims)
    tables = (slots._by_source, slots._members.rooms, slots._members.of_customer, doorman._bans)
    return sum(len(one) for one in buckets) + sum(len(one) for one in tables)


def test_a_million_addresses_that_only_ask_leave_nothing_behind() -> None:
    bottle = Bottle(Limits(customers=64))
    hello, garbage = write_hello(), bytes(100)
    for n in range(50_000):
        bottle.say(Place(host(n)), hello if n % 2 else garbage)
        bottle.now += 1e-5
    assert size_of_tables(bottle) <= 2 * 64
    assert bottle.slots.next_timer() is None


def test_what_members_can_fill_is_bounded() -> None:
    bottle = Bottle()
    members = [bottle.join(slot) for slot in range(64)]
    for n, one in enumerate(members):
        wants = tuple((EVERYBODY, handle) for handle in range(MAX_WANTS))
        bottle.say(one, write_want(1, wants))
        bottle.say(one, write_want(2 + n, wants))
    for one in members:
        for handle in range(256):
            bottle.say(one, write_spread(handle, INNER))
            bottle.now += 0.01
    (room,) = bottle.slots._members.rooms.values()
    assert 0 < sum(len(one.roads) for one in room.slots.values()) <= ROADS
    for n in range(3000):
        bottle.slots.evict(ROOM, n, bottle.now)
    assert len(bottle.slots._doorman._bans) <= 1024
