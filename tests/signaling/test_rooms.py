"""The rooms as they are meant: allocate, knock, post, come back, end."""

from __future__ import annotations

import dataclasses

import pytest

from tests.signaling.bottle import GENEROUS, OTHER_TOKEN, TOKEN, Bottle
from vc_core.errors import LocalProtocolError
from vc_core.signals import (
    Allocate,
    Allocated,
    Attach,
    Close,
    Closed,
    Detach,
    Drop,
    Dropped,
    Ended,
    Free,
    Knock,
    Opened,
    Post,
    Posted,
    Refusal,
    Release,
)

BOX = b"m" * 32


def test_a_host_gets_four_digits_that_begin_with_no_zero_and_live_ten_minutes() -> None:
    bottle = Bottle()
    for _ in range(8):
        host = bottle.connect()
        host.send(Allocate("", TOKEN, 0))
        given = host.take(Allocated)
        assert 1000 <= int(given.nameplate) <= 9999
        assert given.life == 600


def test_both_ends_are_told_the_same_exchange() -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    digits = host.allocate()
    guest.send(Knock(digits))
    opened = guest.take(Opened)
    assert host.take(Opened) == opened
    assert opened.nameplate == digits
    assert len(opened.mailbox) == 32


def test_each_knock_opens_an_exchange_of_its_own() -> None:
    bottle = Bottle()
    host, first, second = (bottle.connect() for _ in range(3))
    digits = host.allocate()
    one, two = first.knock(digits, host), second.knock(digits, host)
    assert one != two
    host.send(Post(two, b"for the second"))
    assert second.take(Posted).body == b"for the second"
    assert not first.inbox


def test_bodies_go_both_ways_and_keep_their_order() -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    number = guest.knock(host.allocate(), host)
    for count in range(3):
        guest.send(Post(number, bytes([count])))
        host.send(Post(number, bytes([100 + count])))
    assert [host.take(Posted).body for _ in range(3)] == [b"\0", b"\1", b"\2"]
    assert [guest.take(Posted).body for _ in range(3)] == [b"d", b"e", b"f"]


def test_a_third_connection_cannot_speak_or_close_in_an_exchange() -> None:
    bottle = Bottle()
    host, guest, stranger = (bottle.connect() for _ in range(3))
    number = guest.knock(host.allocate(), host)
    stranger.send(Post(number, b"evil"))
    stranger.send(Close(number))
    assert not (host.inbox or guest.inbox or stranger.inbox)
    guest.send(Post(number, b"good"))
    assert host.take(Posted).body == b"good"


@pytest.mark.parametrize("closer", ["host", "guest"])
def test_who_closes_is_not_told_and_the_other_is(closer: str) -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    number = guest.knock(host.allocate(), host)
    one, other = (host, guest) if closer == "host" else (guest, host)
    one.send(Close(number))
    assert other.take(Closed).exchange == number
    other.send(Post(number, b"too late"))
    assert not (host.inbox or guest.inbox)


@pytest.mark.parametrize("leaver", ["host", "guest"])
def test_a_lost_connection_closes_its_exchanges(leaver: str) -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    number = guest.knock(host.allocate(), host)
    one, other = (host, guest) if leaver == "host" else (guest, host)
    one.leave()
    assert other.take(Closed).exchange == number


def test_an_exchange_lives_ten_minutes_at_most() -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    number = guest.knock(host.allocate(), host)
    host.inbox.clear()
    bottle.pass_time(599)
    assert not guest.inbox
    bottle.pass_time(2)
    assert guest.take(Closed).exchange == number
    assert Closed(number) in host.inbox


def test_a_nameplate_ends_on_time_and_its_host_is_told() -> None:
    bottle = Bottle()
    host, late = bottle.connect(), bottle.connect()
    host.send(Allocate("", TOKEN, 30))
    given = host.take(Allocated)
    assert given.life == 30
    bottle.pass_time(29)
    assert not host.inbox
    bottle.pass_time(2)
    assert host.take(Ended) == Ended(given.nameplate, Refusal.EXPIRED)
    late.send(Knock(given.nameplate))
    assert late.is_refused() is Refusal.EXPIRED


def test_a_host_cannot_ask_for_a_longer_life_than_the_server_gives() -> None:
    bottle = Bottle()
    host = bottle.connect()
    host.send(Allocate("", TOKEN, 4_000_000_000))
    assert host.take(Allocated).life == 600


@pytest.mark.parametrize(
    ("release", "refusal"),
    [(Release.USED, Refusal.USED), (Release.BURNED, Refusal.BURNED)],
)
def test_who_knocks_at_a_freed_nameplate_is_told_why(release: Release, refusal: Refusal) -> None:
    bottle = Bottle()
    host, late = bottle.connect(), bottle.connect()
    digits = host.allocate()
    host.send(Free(digits, release))
    late.send(Knock(digits))
    assert late.is_refused() is refusal
    bottle.pass_time(601)
    late.send(Knock(digits))
    assert late.is_refused() is Refusal.NO_SUCH_NAMEPLATE


def test_an_open_exchange_outlives_its_nameplate() -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    digits = host.allocate()
    number = guest.knock(digits, host)
    host.send(Free(digits, Release.USED))
    host.send(Post(number, b"come in"))
    assert guest.take(Posted).body == b"come in"


def test_only_its_host_can_free_a_nameplate() -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    digits = host.allocate()
    guest.send(Free(digits, Release.BURNED))
    assert guest.is_refused() is Refusal.NO_SUCH_NAMEPLATE
    guest.knock(digits, host)


def test_freeing_for_no_known_reason_is_malformed() -> None:
    bottle = Bottle()
    host = bottle.connect()
    digits = host.allocate()
    host.send(Free(digits, 99))
    assert host.is_refused() is Refusal.MALFORMED


def test_a_knock_while_the_host_is_away_is_told_so() -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    digits = host.allocate()
    host.leave()
    guest.send(Knock(digits))
    assert guest.is_refused() is Refusal.HOST_AWAY


def test_a_host_does_not_knock_at_its_own_door() -> None:
    bottle = Bottle()
    host = bottle.connect()
    host.send(Knock(host.allocate()))
    assert host.is_refused() is Refusal.NO_SUCH_NAMEPLATE


def test_a_host_that_comes_back_with_its_token_has_its_nameplate_again() -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    digits = host.allocate()
    bottle.pass_time(100)
    host.leave()
    again = bottle.connect()
    again.send(Allocate(digits, TOKEN, 0))
    assert again.take(Allocated) == Allocated(digits, 500)
    guest.knock(digits, again)
    bottle.pass_time(501)
    assert Ended(digits, Refusal.EXPIRED) in again.inbox


def test_a_takeover_dethrones_the_old_connection_that_half_lives() -> None:
    bottle = Bottle()
    old, guest = bottle.connect(), bottle.connect()
    digits = old.allocate()
    number = guest.knock(digits, old)
    new = bottle.connect()
    assert new.allocate(digits) == digits
    assert guest.take(Closed).exchange == number
    assert [type(signal) for signal in old.inbox] == [Closed, Ended]
    assert old.inbox[1] == Ended(digits, Refusal.TAKEN)
    guest.knock(digits, new)
    old.send(Free(digits, Release.BURNED))
    old.leave()
    bottle.connect().knock(digits, new)


def test_asking_twice_for_ones_own_nameplate_changes_nothing() -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    digits = host.allocate()
    number = guest.knock(digits, host)
    assert host.allocate(digits) == digits
    host.send(Post(number, b"still here"))
    assert guest.take(Posted).body == b"still here"


def test_a_living_nameplate_is_not_given_to_another_token() -> None:
    bottle = Bottle()
    host, thief, guest = (bottle.connect() for _ in range(3))
    digits = host.allocate()
    thief.send(Allocate(digits, OTHER_TOKEN, 0))
    assert thief.is_refused() is Refusal.TAKEN
    host.leave()
    thief.send(Allocate(digits, OTHER_TOKEN, 0))
    assert thief.is_refused() is Refusal.TAKEN
    assert bottle.connect().allocate(digits) == digits
    guest.send(Knock(digits))
    guest.take(Opened)


def test_a_server_that_forgot_everything_gives_the_same_digits_again() -> None:
    before, after = Bottle(seed=1), Bottle(seed=2)
    digits = before.connect().allocate()
    host, guest = after.connect(), after.connect()
    assert host.allocate(digits) == digits
    guest.knock(digits, host)


@pytest.mark.parametrize("wanted", ["0417", "417", "41x7", "٤١٧٢", "1234567890", " 4172"])
def test_what_is_no_nameplate_is_not_given(wanted: str) -> None:
    host = Bottle().connect()
    host.send(Allocate(wanted, TOKEN, 0))
    assert host.is_refused() is Refusal.NO_SUCH_NAMEPLATE


def test_ended_digits_are_not_given_again_while_their_end_is_remembered() -> None:
    bottle = Bottle()
    host = bottle.connect()
    digits = host.allocate()
    host.send(Free(digits, Release.BURNED))
    host.send(Allocate(digits, TOKEN, 0))
    assert host.is_refused() is Refusal.BURNED
    bottle.pass_time(601)
    assert host.allocate(digits) == digits


def test_nameplates_grow_longer_when_four_digits_run_short() -> None:
    limits = dataclasses.replace(
        GENEROUS,
        nameplates=20_000,
        nameplates_per_customer=20_000,
        nameplates_per_connection=20_000,
    )
    host = Bottle(limits).connect()
    given = [host.allocate() for _ in range(11_000)]
    assert len(set(given)) == len(given)
    assert all(len(digits) == 4 for digits in given[:1000])
    assert {len(digits) for digits in given[-1000:]} == {4, 5}


def test_a_mailbox_reaches_all_others_who_are_attached() -> None:
    bottle = Bottle()
    one, two, three, stranger = (bottle.connect() for _ in range(4))
    for member in (one, two, three, three):
        member.send(Attach(BOX))
    one.send(Drop(BOX, b"hello"))
    assert two.take(Dropped) == three.take(Dropped) == Dropped(BOX, b"hello")
    stranger.send(Drop(BOX, b"from outside"))
    three.send(Detach(BOX))
    stranger.send(Drop(BOX, b"again"))
    assert [signal.body for signal in one.inbox if isinstance(signal, Dropped)] == [
        b"from outside",
        b"again",
    ]
    assert three.take(Dropped).body == b"from outside"
    assert not (three.inbox or stranger.inbox)


def test_who_leaves_is_attached_to_nothing() -> None:
    bottle = Bottle()
    one, two = bottle.connect(), bottle.connect()
    one.send(Attach(BOX))
    two.send(Attach(BOX))
    one.leave()
    two.send(Drop(BOX, b"anyone"))
    assert bottle.rooms.counts()["attachments"] == 1


def test_nothing_is_left_when_all_have_gone_and_time_has_passed() -> None:
    bottle = Bottle()
    host, guest = bottle.connect(), bottle.connect()
    guest.knock(host.allocate(), host)
    guest.send(Attach(BOX))
    guest.leave()
    host.leave()
    bottle.pass_time(1300)
    newcomer = bottle.connect()
    newcomer.send(Knock("1234"))
    newcomer.leave()
    left = bottle.rooms.counts()
    held = ("connections", "nameplates", "ended", "exchanges", "mailboxes", "attachments")
    assert {name: left[name] for name in held} == dict.fromkeys(held, 0)
    assert bottle.rooms.next_timer() is None


def test_a_signal_to_clients_is_our_own_bug() -> None:
    bottle = Bottle()
    client = bottle.connect()
    with pytest.raises(LocalProtocolError):
        bottle.rooms.receive(client.number, Closed(1), bottle.now, 0.0)
