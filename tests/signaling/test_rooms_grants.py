"""Grants for relays: who is given them, and that a relay takes them."""

from __future__ import annotations

import dataclasses

from signaling.limits import Limits
from tests.signaling.bottle import GENEROUS, TOKEN, UNIX, Bottle, Client
from vc_core.bucket import Rate
from vc_core.grant import Claims, proof_is_right, prove, relay_room, tag_is_right
from vc_core.signals import (
    Allocate,
    AskGrants,
    Ended,
    Free,
    Grants,
    Knock,
    Opened,
    Refusal,
    Release,
)

SECRET = b"s" * 32
ROOM_KEY = b"k" * 32


def ask(client: Client, *slots: int) -> tuple[Claims, ...]:
    """What the grants say that a client is given."""
    client.send(AskGrants(ROOM_KEY, slots))
    return tuple(Claims.parse(one.claims) for one in client.take(Grants).grants)


def test_a_host_is_given_one_grant_for_each_slot_in_order() -> None:
    bottle = Bottle(secret=SECRET)
    host = bottle.connect()
    host.allocate()
    given = ask(host, 3, 65534, 0)
    assert [one.slot for one in given] == [3, 65534, 0]
    assert {one.room for one in given} == {relay_room(ROOM_KEY)}
    assert {one.rate for one in given} == {Limits().grant_rate}
    assert {one.expires for one in given} == {int(UNIX + bottle.now) + 600}
    assert ask(host) == ()


def test_a_grant_holds_at_who_shares_the_secret() -> None:
    bottle = Bottle(secret=SECRET)
    host = bottle.connect()
    host.allocate()
    host.send(AskGrants(ROOM_KEY, (5,)))
    (grant,) = host.take(Grants).grants
    assert tag_is_right(SECRET, grant.claims, grant.tag)
    proof = prove(grant.key, b"c" * 16, grant.claims)
    assert proof_is_right(SECRET, b"c" * 16, grant.claims, proof)
    assert not tag_is_right(b"x" * 32, grant.claims, grant.tag)


def test_without_a_secret_there_are_no_grants() -> None:
    host = Bottle().connect()
    host.allocate()
    host.send(AskGrants(ROOM_KEY, (1,)))
    assert host.is_refused() is Refusal.NO_GRANTS


def test_who_never_had_a_nameplate_is_given_nothing() -> None:
    bottle = Bottle(secret=SECRET)
    host, guest = bottle.connect(), bottle.connect()
    guest.send(Knock(host.allocate()))
    guest.take(Opened)
    guest.send(AskGrants(ROOM_KEY, (1,)))
    assert guest.is_refused() is Refusal.NO_GRANTS


def test_who_had_a_nameplate_on_this_connection_is_still_given_grants() -> None:
    bottle = Bottle(secret=SECRET)
    host = bottle.connect()
    host.send(Free(host.allocate(), Release.USED))
    assert len(ask(host, 1, 2)) == 2


def test_who_took_a_nameplate_over_is_given_grants() -> None:
    bottle = Bottle(secret=SECRET)
    old, new = bottle.connect(), bottle.connect()
    digits = old.allocate()
    new.send(Allocate(digits, TOKEN, 0))
    assert old.take(Ended).reason == Refusal.TAKEN
    new.inbox.clear()
    assert len(ask(new, 1)) == 1


def test_a_customer_is_given_only_so_many() -> None:
    tight = dataclasses.replace(GENEROUS, grants=Rate(per_second=2, burst=4))
    bottle = Bottle(tight, secret=SECRET)
    host, other = bottle.connect(), bottle.connect()
    host.allocate()
    other.allocate()
    ask(host, 1, 2, 3)
    other.send(AskGrants(ROOM_KEY, (1, 2)))
    assert other.is_refused() is Refusal.TOO_FAST
    bottle.pass_time(1)
    assert len(ask(other, 1, 2)) == 2
