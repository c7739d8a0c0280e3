"""The forwarder: who gets a slot, what reaches whom."""

from __future__ import annotations

import pytest

from relay.cookies import Carrier
from tests.relay.bottle import (
    INNER,
    OTHER_ROOM,
    ROOM,
    SECRET,
    Bottle,
    Place,
    claim_of,
)
from vc_core.envelope import (
    ATTACHED,
    COOKIE,
    EVERYBODY,
    MAX_INNER,
    VOICE_HANDLE,
    Attached,
    Flags,
    Reason,
    read_attached,
    read_cookie,
    read_pong,
    write_bye,
    write_claim,
    write_hello,
    write_pass,
    write_ping,
    write_spread,
    write_want,
)
from vc_core.grant import open_secret


def test_a_hello_is_answered_with_a_cookie_that_is_shorter() -> None:
    bottle, place = Bottle(), Place()
    answer = bottle.ask(place, write_hello())
    assert (read_cookie(answer).version, read_cookie(answer).flags) == (1, 0)
    assert len(answer) == 19


def test_a_short_hello_is_not_answered() -> None:
    assert Bottle().say(Place(), write_hello()[:-1]) == []


def test_a_true_claim_gets_its_slot_and_is_told_its_address() -> None:
    bottle, place = Bottle(), Place(bytes([192, 0, 2, 7]), 777)
    answer = bottle.claim(place, bottle.grant(3))
    assert read_attached(answer) == Attached(3, 30, bytes([192, 0, 2, 7]), 777)


def test_the_address_of_a_link_is_nobodys_business() -> None:
    bottle = Bottle()
    answer = bottle.claim(Place(b"guest 7", 0, Carrier.LINK), bottle.grant(3))
    assert read_attached(answer).host == b""


def test_a_cookie_holds_for_its_address_only() -> None:
    bottle, here, there = Bottle(), Place(port=1), Place(port=2)
    assert bottle.claim(there, bottle.grant(3), bottle.cookie(here))[0] == COOKIE
    cookie = bottle.cookie(here)
    other_carrier = Place(port=1, carrier=Carrier.TCP)
    assert bottle.claim(other_carrier, bottle.grant(3), cookie)[0] == COOKIE


def test_a_cookie_holds_for_half_a_minute_and_not_for_more_than_one() -> None:
    bottle, place = Bottle(), Place()
    cookie = bottle.cookie(place)
    bottle.pass_time(30)
    assert bottle.claim(place, bottle.grant(3), cookie)[0] == ATTACHED
    bottle.pass_time(31)
    assert bottle.claim(place, bottle.grant(3), cookie)[0] == COOKIE


@pytest.mark.parametrize("part", ["claims", "tag", "key"])
def test_a_claim_with_a_false_part_is_wrong(part: str) -> None:
    bottle = Bottle()
    true, false = bottle.grant(3), bottle.grant(4)
    mixed = type(true)(**{**vars(true), part: getattr(false, part)})
    assert bottle.refusal(Place(), mixed) == Reason.WRONG


def test_a_proof_for_another_cookie_is_wrong() -> None:
    bottle, place = Bottle(), Place()
    grant, cookie = bottle.grant(3), bottle.cookie(place)
    claim = claim_of(grant, bytes(16))
    stolen = type(claim)(cookie, claim.claims, claim.tag, claim.proof)
    assert bottle.ask(place, write_claim(stolen)) == bytes([8, Reason.WRONG])


@pytest.mark.parametrize(
    ("life", "holds"), [(-61, False), (-59, True), (600, True), (659, True), (662, False)]
)
def test_a_grant_lives_ten_minutes_and_clocks_may_differ_by_one(life: float, holds: bool) -> None:
    bottle, place = Bottle(), Place()
    answer = bottle.claim(place, bottle.grant(3, life=life))
    assert answer[0] == ATTACHED if holds else answer == bytes([8, Reason.EXPIRED])


def test_the_time_of_day_is_set_anew_with_each_tick() -> None:
    bottle = Bottle()
    bottle.join(1)
    bottle.slots.handle_timer(bottle.now, bottle.unix() + 7200)
    assert bottle.refusal(bottle.place(), bottle.grant(3)) == Reason.EXPIRED


def test_a_pass_reaches_its_slot_and_names_its_sender() -> None:
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(0x203)
    bottle.join(3)
    assert bottle.say(anna, write_pass(0x203, INNER)) == [(ben, write_pass(1, INNER))]
    assert bottle.say(ben, write_pass(1, INNER)) == [(anna, write_pass(0x203, INNER))]


def test_a_pass_to_nobody_or_to_another_room_vanishes() -> None:
    bottle = Bottle()
    anna = bottle.join(1)
    bottle.join(2, OTHER_ROOM)
    assert bottle.say(anna, write_pass(2, INNER)) == []


@pytest.mark.parametrize("inner", [b"", bytes(8), b"\x04" + bytes(1199), b"\x0f", b"\x80" * 1201])
def test_nothing_that_is_no_inner_datagram_is_passed(inner: bytes) -> None:
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(2)
    bottle.want(ben, 1, (1, 0))
    assert bottle.say(anna, write_pass(2, inner)) == []
    assert bottle.say(anna, write_spread(0, inner)) == []


def test_the_longest_inner_datagram_is_passed() -> None:
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(2)
    inner = b"\x40" * MAX_INNER
    assert bottle.say(anna, write_pass(2, inner)) == [(ben, write_pass(1, inner))]


def test_a_spread_reaches_those_who_want_it() -> None:
    bottle = Bottle()
    anna, ben, cleo, dora = (bottle.join(slot) for slot in (1, 2, 3, 4))
    bottle.want(ben, 1, (EVERYBODY, VOICE_HANDLE))
    bottle.want(cleo, 1, (1, 5))
    bottle.want(dora, 1, (2, VOICE_HANDLE), (1, 5))
    assert bottle.say(anna, write_spread(0, INNER)) == [(ben, write_pass(1, INNER))]
    copies = bottle.say(anna, write_spread(5, INNER))
    assert copies == [(cleo, write_pass(1, INNER)), (dora, write_pass(1, INNER))]
    assert bottle.say(ben, write_spread(0, INNER)) == [(dora, write_pass(2, INNER))]
    assert bottle.say(dora, write_spread(6, INNER)) == []


def test_nobody_receives_its_own_spread() -> None:
    bottle = Bottle()
    anna = bottle.join(1)
    bottle.want(anna, 1, (EVERYBODY, 0), (1, 0))
    assert bottle.say(anna, write_spread(0, INNER)) == []


def test_a_want_replaces_what_was_wanted_unless_it_is_late() -> None:
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(2)
    bottle.want(ben, 2, (1, 5))
    bottle.want(ben, 1, (1, 6))
    assert bottle.wanted(ben) == 2
    assert bottle.say(anna, write_spread(6, INNER)) == []
    assert bottle.say(anna, write_spread(5, INNER)) == [(ben, write_pass(1, INNER))]
    bottle.want(ben, 3)
    assert bottle.say(anna, write_spread(5, INNER)) == []


def test_receivers_follow_who_comes_goes_and_moves() -> None:
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(2)
    bottle.want(ben, 1, (1, 0))
    assert bottle.say(anna, write_spread(0, INNER))[0][0] == ben
    cleo = bottle.join(3)
    bottle.want(cleo, 1, (EVERYBODY, 0))
    moved = bottle.join(2, place=bottle.place())
    assert [to for to, _ in bottle.say(anna, write_spread(0, INNER))] == [moved, cleo]
    bottle.slots.disconnected(cleo)
    assert [to for to, _ in bottle.say(anna, write_spread(0, INNER))] == [moved]


def test_who_moves_is_known_by_the_new_address_alone() -> None:
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(2)
    moved = bottle.join(2, place=bottle.place())
    assert bottle.say(anna, write_pass(2, INNER)) == [(moved, write_pass(1, INNER))]
    ((to, answer),) = bottle.say(ben, write_pass(1, bytes(40)))
    assert (to, answer[0]) == (ben, COOKIE)
    assert bottle.slots.counts()["slots"] == 2


def test_a_new_claim_counts_wants_anew_and_keeps_them() -> None:
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(2)
    bottle.want(ben, 900, (1, 0))
    moved = bottle.join(2, place=bottle.place())
    assert bottle.wanted(moved) == 0
    assert bottle.say(anna, write_spread(0, INNER)) == [(moved, write_pass(1, INNER))]
    bottle.want(moved, 1)
    assert bottle.say(anna, write_spread(0, INNER)) == []


def test_an_address_that_claims_another_slot_gives_the_first_back() -> None:
    bottle = Bottle()
    anna = bottle.join(1)
    bottle.join(2, OTHER_ROOM, place=anna)
    assert bottle.slots.counts()["slots"] == bottle.slots.counts()["rooms"] == 1


def test_a_stranger_gets_a_cookie_for_anything_long_enough() -> None:
    bottle, place = Bottle(), Place()
    assert bottle.say(place, write_ping(1)) == []
    assert bottle.say(place, b"\x80" * 18) == []
    assert bottle.ask(place, b"\x80" * 19)[0] == COOKIE
    assert bottle.ask(place, write_pass(1, bytes(30)))[0] == COOKIE


def test_a_ping_is_answered_with_its_stamp() -> None:
    bottle = Bottle()
    pong = read_pong(bottle.ask(bottle.join(1), write_ping(99)))
    assert (pong.stamp, pong.wanted, pong.flags) == (99, 0, 0)


def test_a_slot_that_is_silent_for_half_a_minute_is_free() -> None:
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(2)
    bottle.pass_time(20)
    bottle.ask(anna, write_ping(1))
    bottle.pass_time(12)
    assert bottle.slots.holds(anna)
    assert not bottle.slots.holds(ben)
    bottle.pass_time(31)
    assert bottle.slots.is_empty
    assert bottle.slots.counts()["rooms"] == 0
    bottle.pass_time(10)
    assert bottle.slots.next_timer() is None


@pytest.mark.parametrize("changes", [False, True])
def test_who_only_passes_packets_is_not_silent(changes: bool) -> None:
    bottle = Bottle()
    anna, bob = bottle.join(1), bottle.join(2)
    for number in range(1, 100):
        assert bottle.say(anna, write_pass(2, INNER))
        assert bottle.wanted(bob) == number - 1
        bottle.want(bob, number, (1, number % 200 if changes else 0))
        bottle.pass_time(20)
        assert bottle.slots.counts()["slots"] == 2


def test_a_slot_lives_a_day_while_packets_come() -> None:
    bottle = Bottle()
    anna = bottle.join(1)
    for _ in range(24 * 180 - 1):
        bottle.pass_time(20)
        bottle.say(anna, write_pass(2, INNER))
    assert bottle.slots.holds(anna)
    bottle.pass_time(25)
    assert not bottle.slots.holds(anna)


def test_bye_gives_a_slot_back_to_who_knows_the_cookie_of_its_claim() -> None:
    bottle, place = Bottle(), Place()
    cookie = bottle.cookie(place)
    bottle.claim(place, bottle.grant(1), cookie)
    bottle.say(place, write_bye(bytes(16)))
    assert bottle.slots.holds(place)
    bottle.pass_time(20)
    bottle.say(place, write_ping(1))
    bottle.say(place, write_bye(cookie))
    assert bottle.slots.is_empty


def test_malformed_envelopes_of_a_member_do_nothing() -> None:
    bottle = Bottle()
    anna = bottle.join(1)
    for data in (b"", *(bytes([kind]) + bytes(5) for kind in range(256) if kind != 12)):
        bottle.say(anna, data)
    assert bottle.slots.holds(anna)
    assert bottle.say(anna, write_want(1, ((1, 1),)) + b"more") == []
    assert bottle.wanted(anna) == 0


def test_an_open_forwarder_takes_grants_of_everybody_and_says_so() -> None:
    bottle = Bottle(secret=None)
    assert bottle.slots.is_open
    assert read_cookie(bottle.ask(Place(), write_hello())).flags == Flags.OPEN
    bottle.join(1)


def test_a_forwarder_with_a_secret_takes_no_open_grant() -> None:
    bottle = Bottle()
    bottle.secret = open_secret()
    assert bottle.refusal(Place(), bottle.grant(1)) == Reason.WRONG


def test_a_new_secret_holds_at_once_and_the_old_for_ten_minutes() -> None:
    bottle = Bottle()
    bottle.slots.change_secret(b"n" * 32, bottle.now)
    bottle.join(1)
    bottle.secret = b"n" * 32
    bottle.join(2)
    bottle.pass_time(601)
    bottle.join(2)
    bottle.secret = SECRET
    assert bottle.refusal(Place(), bottle.grant(1)) == Reason.WRONG


def test_who_drains_takes_nobody_new_and_lets_members_move() -> None:
    bottle = Bottle()
    anna = bottle.join(1)
    bottle.slots.drain()
    assert read_pong(bottle.ask(anna, write_ping(1))).flags == Flags.DRAINING
    assert read_cookie(bottle.ask(Place(), write_hello())).flags == Flags.DRAINING
    assert bottle.refusal(bottle.place(), bottle.grant(2)) == Reason.DRAINING
    bottle.join(1, place=bottle.place())


def test_the_evicted_are_out_and_their_grant_holds_no_longer() -> None:
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(2)
    bottle.slots.evict(ROOM, 2, bottle.now)
    assert bottle.say(anna, write_pass(2, INNER)) == []
    assert bottle.refusal(ben, bottle.grant(2)) == Reason.WRONG
    bottle.join(3)
    bottle.slots.evict(ROOM, 77, bottle.now)


def test_a_closed_room_is_closed_for_all() -> None:
    bottle = Bottle()
    for slot in (1, 2):
        bottle.join(slot)
    other = bottle.join(3, OTHER_ROOM)
    bottle.slots.close_room(ROOM, bottle.now)
    assert bottle.slots.counts()["slots"] == 1
    assert bottle.slots.holds(other)
    assert bottle.refusal(bottle.place(), bottle.grant(4)) == Reason.WRONG


def test_a_seat_needs_no_grant_and_outlives_silence() -> None:
    bottle, host = Bottle(), Place(b"host", 0, Carrier.LINK)
    bottle.slots.seat(ROOM, 0, host, bottle.now)
    bottle.pass_time(3600)
    guest = bottle.join(1)
    assert bottle.say(host, write_pass(1, INNER)) == [(guest, write_pass(0, INNER))]
    bottle.pass_time(3600)
    assert bottle.slots.holds(host)
    bottle.slots.evict(ROOM, 0, bottle.now)
    assert bottle.slots.is_empty
