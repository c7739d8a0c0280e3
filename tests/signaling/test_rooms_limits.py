"""The rooms against those who ask too often, too much or for what is not theirs."""

from __future__ import annotations

import dataclasses

import pytest

from signaling.limits import Limits
from tests.signaling.bottle import (
    ENDLESS,
    GENEROUS,
    HOME,
    OTHER_TOKEN,
    TOKEN,
    Bottle,
    Client,
)
from vc_core.bucket import Rate
from vc_core.signals import (
    Allocate,
    Allocated,
    Attach,
    Closed,
    Free,
    Knock,
    Opened,
    Refusal,
    Refused,
    Release,
)

AWAY = bytes([198, 51, 100, 9])
V6_ONE = bytes.fromhex("20010db8000000010000000000000001")
V6_NEIGHBOUR = bytes.fromhex("20010db80000000100000000000000ff")
V6_STRANGER = bytes.fromhex("20010db8000000020000000000000001")


def limited(**changes: object) -> Bottle:
    return Bottle(dataclasses.replace(GENEROUS, **changes))  # type: ignore[arg-type]


def nobody_lives_at(client: Client, count: int) -> list[Refusal]:
    answers = []
    for number in range(count):
        client.send(Knock(str(5000 + number)))
        answers.append(client.is_refused())
    return answers


def test_the_default_rates_are_those_of_the_specification() -> None:
    assert Limits().connects == Rate(per_second=20, burst=5)
    assert Limits().guesses == Rate(per_second=1, burst=10)


def test_five_connects_at_once_and_twenty_each_second() -> None:
    bottle = Bottle(Limits())
    came = [bottle.try_connect() for _ in range(6)]
    assert came[5] is Refusal.TOO_FAST
    assert all(isinstance(one, Client) for one in came[:5])
    bottle.pass_time(0.06)
    assert isinstance(bottle.try_connect(), Client)
    assert bottle.try_connect() is Refusal.TOO_FAST
    assert isinstance(bottle.try_connect(AWAY), Client)


def test_ten_knocks_at_once_and_one_each_second_for_all_of_one_address() -> None:
    bottle = limited(guesses=Limits().guesses)
    one, two = bottle.connect(), bottle.connect()
    assert set(nobody_lives_at(one, 10)) == {Refusal.NO_SUCH_NAMEPLATE}
    assert nobody_lives_at(two, 1) == [Refusal.TOO_FAST]
    bottle.pass_time(1.1)
    assert nobody_lives_at(two, 2) == [Refusal.NO_SUCH_NAMEPLATE, Refusal.TOO_FAST]
    assert nobody_lives_at(bottle.connect(AWAY), 1) == [Refusal.NO_SUCH_NAMEPLATE]


def test_an_ipv6_customer_cannot_guess_more_with_more_addresses_of_its_own() -> None:
    bottle = limited(guesses=Rate(per_second=0.001, burst=3))
    one, neighbour = bottle.connect(V6_ONE), bottle.connect(V6_NEIGHBOUR)
    nobody_lives_at(one, 3)
    assert nobody_lives_at(neighbour, 1) == [Refusal.TOO_FAST]
    assert nobody_lives_at(bottle.connect(V6_STRANGER), 1) == [Refusal.NO_SUCH_NAMEPLATE]


def test_leaving_and_coming_back_fills_no_bucket() -> None:
    bottle = limited(guesses=Rate(per_second=0.001, burst=3))
    guesser = bottle.connect()
    nobody_lives_at(guesser, 3)
    guesser.leave()
    assert nobody_lives_at(bottle.connect(), 1) == [Refusal.TOO_FAST]


def test_who_has_struck_out_does_not_learn_that_somebody_lives_there() -> None:
    bottle = limited(strikes=Rate(per_second=0.01, burst=3))
    host, scanner, honest = bottle.connect(AWAY), bottle.connect(), bottle.connect(AWAY)
    digits = host.allocate()
    scanner.send(Knock(digits))
    scanner.take(Opened)
    assert nobody_lives_at(scanner, 4)[3] is Refusal.TOO_FAST
    scanner.send(Knock(digits))
    assert scanner.is_refused() is Refusal.TOO_FAST
    honest.send(Knock(digits))
    honest.take(Opened)
    bottle.pass_time(101)
    scanner.send(Knock(digits))
    scanner.take(Opened)


def test_a_knock_at_an_ended_nameplate_is_no_strike() -> None:
    bottle = limited(strikes=Rate(per_second=0.001, burst=1))
    host, late = bottle.connect(AWAY), bottle.connect()
    digits = host.allocate()
    host.send(Free(digits, Release.USED))
    for _ in range(5):
        late.send(Knock(digits))
        assert late.is_refused() is Refusal.USED


def test_claiming_the_nameplates_of_others_costs_strikes_as_well() -> None:
    bottle = limited(strikes=Rate(per_second=0.001, burst=3))
    host, thief = bottle.connect(AWAY), bottle.connect()
    digits = host.allocate()
    answers = []
    for _ in range(4):
        thief.send(Allocate(digits, OTHER_TOKEN, 0))
        answers.append(thief.is_refused())
    assert answers == [Refusal.TAKEN] * 3 + [Refusal.TOO_FAST]


def test_allocations_of_one_address_are_slowed() -> None:
    bottle = limited(allocations=Rate(per_second=1, burst=2))
    host = bottle.connect()
    host.allocate()
    host.allocate()
    host.send(Allocate("", TOKEN, 0))
    assert host.is_refused() is Refusal.TOO_FAST


def test_who_sends_much_is_read_more_slowly_and_loses_nothing() -> None:
    bottle = limited(traffic=Rate(per_second=1000, burst=2000), message_cost=0)
    client, neighbour = bottle.connect(), bottle.connect()
    pace = bottle.rooms.pace
    assert pace(client.number, 2000, bottle.now) == 0
    assert pace(neighbour.number, 500, bottle.now) == pytest.approx(0.5)
    assert pace(bottle.connect(AWAY).number, 500, bottle.now) == 0


@pytest.mark.parametrize("cap", ["connections", "connections_per_customer"])
def test_connections_are_capped_and_a_place_that_is_left_is_free(cap: str) -> None:
    bottle = limited(**{cap: 3})
    first, *_ = [bottle.connect() for _ in range(3)]
    assert bottle.try_connect() is Refusal.FULL
    first.leave()
    bottle.connect()


def test_one_customer_cannot_take_the_places_of_another() -> None:
    bottle = limited(connections_per_customer=3)
    for _ in range(3):
        bottle.connect(HOME)
    assert bottle.try_connect(HOME) is Refusal.FULL
    bottle.connect(AWAY)


@pytest.mark.parametrize(
    "cap", ["nameplates", "nameplates_per_customer", "nameplates_per_connection"]
)
def test_nameplates_are_capped_and_one_that_ends_makes_room(cap: str) -> None:
    bottle = limited(**{cap: 2})
    host = bottle.connect()
    digits = host.allocate()
    host.allocate()
    for wanted in ("", "7777"):
        host.send(Allocate(wanted, TOKEN, 0))
        assert host.is_refused() is Refusal.FULL
    host.send(Free(digits, Release.USED))
    host.allocate()


def test_a_lost_host_still_counts_so_that_reconnecting_multiplies_nothing() -> None:
    bottle = limited(nameplates_per_customer=2)
    for _ in range(2):
        host = bottle.connect()
        host.allocate()
        host.leave()
    again = bottle.connect()
    again.send(Allocate("", TOKEN, 0))
    assert again.is_refused() is Refusal.FULL
    bottle.pass_time(601)
    again.allocate()


def test_a_takeover_from_another_address_counts_there() -> None:
    bottle = limited(nameplates_per_customer=1)
    old = bottle.connect(HOME)
    digits = old.allocate()
    new = bottle.connect(AWAY)
    assert new.allocate(digits) == digits
    old.inbox.clear()
    new.send(Allocate("", TOKEN, 0))
    assert new.is_refused() is Refusal.FULL
    old.allocate()


@pytest.mark.parametrize(
    "cap",
    [
        "exchanges",
        "exchanges_per_customer",
        "exchanges_per_connection",
        "exchanges_per_nameplate",
    ],
)
def test_exchanges_are_capped_and_one_that_ends_makes_room(cap: str) -> None:
    bottle = limited(**{cap: 2})
    host, guest = bottle.connect(AWAY), bottle.connect()
    digits = host.allocate()
    guest.knock(digits, host)
    guest.knock(digits, host)
    guest.send(Knock(digits))
    assert guest.is_refused() is Refusal.FULL
    guest.leave()
    assert [type(host.inbox.popleft()) for _ in range(2)] == [Closed, Closed]
    bottle.connect().knock(digits, host)


@pytest.mark.parametrize(
    "cap", ["attachments", "attachments_per_customer", "attachments_per_connection"]
)
def test_attachments_are_capped(cap: str) -> None:
    bottle = limited(**{cap: 2})
    member = bottle.connect()
    for number in range(3):
        member.send(Attach(bytes([number]) * 32))
    assert member.is_refused() is Refusal.FULL
    assert bottle.rooms.counts()["attachments"] == 2


def test_a_mailbox_has_only_so_many_listeners() -> None:
    bottle = limited(attachments_per_mailbox=2)
    members = [bottle.connect() for _ in range(3)]
    for member in members:
        member.send(Attach(b"m" * 32))
    assert members[2].is_refused() is Refusal.FULL
    members[0].leave()
    members[2].send(Attach(b"m" * 32))
    assert not members[2].inbox


def test_ended_nameplates_are_remembered_only_so_many() -> None:
    bottle = limited(ended_nameplates=3)
    host = bottle.connect()
    all_digits = [host.allocate() for _ in range(5)]
    for digits in all_digits:
        host.send(Free(digits, Release.USED))
    assert bottle.rooms.counts()["ended"] == 3
    host.send(Knock(all_digits[0]))
    assert host.is_refused() is Refusal.NO_SUCH_NAMEPLATE
    host.send(Knock(all_digits[4]))
    assert host.is_refused() is Refusal.USED


def test_a_flood_of_addresses_fills_no_memory() -> None:
    bottle = limited(idle_customers=50)
    for number in range(2000):
        bottle.connect(number.to_bytes(4, "big")).leave()
    assert bottle.rooms.counts()["customers"] <= 50


def test_churning_nameplates_leaves_nothing_behind() -> None:
    bottle = limited(ended_memory=1.0)
    host = bottle.connect()
    for _ in range(5000):
        host.send(Free(host.allocate(), Release.USED))
        bottle.pass_time(0.01)
    assert len(bottle.rooms._nameplates._ends) < 200
    assert bottle.rooms.counts()["ended"] <= 101


def test_refusals_are_counted_by_their_reason() -> None:
    bottle = limited(connects=Rate(per_second=0.001, burst=1), guesses=ENDLESS)
    client = bottle.connect()
    bottle.try_connect()
    nobody_lives_at(client, 2)
    counts = bottle.rooms.counts()
    assert counts["refused_too_fast"] == 1
    assert counts["refused_no_such_nameplate"] == 2


def test_every_answer_to_a_full_server_fits_on_the_wire() -> None:
    bottle = limited(nameplates=0)
    host = bottle.connect()
    host.send(Allocate("9" * 16, TOKEN, 0))
    refused = host.take(Refused)
    assert refused.nameplate == "9" * 16
    assert not any(isinstance(signal, Allocated) for signal in host.inbox)
