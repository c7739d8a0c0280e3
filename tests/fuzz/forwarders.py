"""Targets around forwarders: envelopes, grants, and a whole forwarder with members."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.relay.bottle import INNER, Bottle, Place, claim_of
from vc_core import envelope
from vc_core.envelope import Attached, Cookie, Pong, Reason
from vc_core.errors import RemoteProtocolError
from vc_core.grant import Claims

STRANGER = Place(port=9)
READERS: tuple[tuple[Callable[[bytes], Any], Callable[[Any], bytes]], ...] = (
    (envelope.read_cookie, envelope.write_cookie),
    (envelope.read_claim, envelope.write_claim),
    (envelope.read_attached, envelope.write_attached),
    (envelope.read_pong, envelope.write_pong),
    (envelope.read_bye, envelope.write_bye),
    (envelope.read_ping, envelope.write_ping),
    (envelope.read_pass, lambda found: envelope.write_pass(*found)),
    (envelope.read_want, lambda found: envelope.write_want(*found)),
)


def envelopes(data: bytes) -> None:
    """Every envelope with an inverse, and what a grant claims."""
    for read, write in READERS:
        with suppress(RemoteProtocolError):
            assert write(read(data)) == data
    with suppress(RemoteProtocolError):
        envelope.read_refused(data)
    claims = Claims.parse(data)
    assert claims.write_fields() == data


def forwarder(data: bytes) -> None:
    """A forwarder hears the same from a stranger and from a member; nothing raises."""
    bottle = Bottle()
    anna, ben = bottle.join(1), bottle.join(2)
    bottle.want(ben, 1, (1, 0))
    for target, answer in bottle.say(STRANGER, data):
        assert target == STRANGER
        assert len(answer) <= len(data)
    for target, answer in bottle.say(anna, data):
        assert target in (anna, ben)
        assert target == anna or answer[0] == envelope.PASS
    bottle.pass_time(100)
    assert bottle.slots.is_empty


def seeds_envelopes() -> list[bytes]:
    """One of each."""
    bottle = Bottle()
    grant = bottle.grant(1)
    return [
        envelope.write_hello(),
        envelope.write_cookie(Cookie(1, 1, bytes(16))),
        envelope.write_claim(claim_of(grant, bytes(16))),
        *(envelope.write_attached(Attached(1, 30, bytes(size), 9)) for size in (0, 4, 16)),
        envelope.write_refused(Reason.FULL),
        envelope.write_pass(2, INNER),
        envelope.write_spread(0, INNER),
        envelope.write_want(2, ((1, 0), (2, 5))),
        envelope.write_ping(7),
        envelope.write_pong(Pong(7, 2, 0)),
        envelope.write_bye(bytes(16)),
        grant.claims,
    ]
