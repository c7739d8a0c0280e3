"""Envelopes and grants: read is the inverse of write, everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc_core import envelope, grant
from vc_core.errors import LocalProtocolError, RemoteProtocolError

COOKIE = bytes(range(16))
SECRET = bytes(range(32))
CLAIMS = grant.Claims(b"r" * 16, 7, 4_000_000, 1_800_000_000)

SAMPLES: list[tuple[bytes, Callable[[bytes], Any], Any]] = [
    (
        envelope.write_cookie(envelope.Cookie(1, 1, COOKIE)),
        envelope.read_cookie,
        envelope.Cookie(1, 1, COOKIE),
    ),
    (
        envelope.write_claim(envelope.Claim(COOKIE, b"c" * 30, b"t" * 32, b"p" * 32)),
        envelope.read_claim,
        envelope.Claim(COOKIE, b"c" * 30, b"t" * 32, b"p" * 32),
    ),
    *(
        (
            envelope.write_attached(envelope.Attached(7, 30, host, 4000)),
            envelope.read_attached,
            envelope.Attached(7, 30, host, 4000),
        )
        for host in (b"", b"\x0a\0\0\1", bytes(range(16)))
    ),
    (envelope.write_refused(envelope.Reason.FULL), envelope.read_refused, envelope.Reason.FULL),
    (envelope.write_pass(300, b"inner"), envelope.read_pass, (300, b"inner")),
    (
        envelope.write_want(9, ((65535, 0), (3, 2))),
        envelope.read_want,
        (9, ((65535, 0), (3, 2))),
    ),
    (envelope.write_ping(77), envelope.read_ping, 77),
    (envelope.write_pong(envelope.Pong(77, 9, 2)), envelope.read_pong, envelope.Pong(77, 9, 2)),
    (envelope.write_bye(COOKIE), envelope.read_bye, COOKIE),
]


@pytest.mark.parametrize(("data", "read", "value"), SAMPLES)
def test_what_was_written_is_read(data: bytes, read: Callable[[bytes], Any], value: Any) -> None:
    assert read(data) == value
    assert envelope.FIRST <= data[0] <= envelope.LAST


@pytest.mark.parametrize(("data", "read", "value"), SAMPLES)
def test_another_length_or_kind_is_refused(
    data: bytes, read: Callable[[bytes], Any], value: Any
) -> None:
    wrong = [b"", bytes([data[0] ^ 1]) + data[1:]]
    if read is not envelope.read_pass:
        wrong += [data[:-1], data + b"\0"]
    for one in wrong:
        with pytest.raises(RemoteProtocolError):
            read(one)


@given(st.binary(max_size=64))
def test_no_bytes_raise_anything_but_a_remote_error(data: bytes) -> None:
    for _, read, _ in SAMPLES:
        try:
            read(data)
        except RemoteProtocolError:
            continue


def test_a_hello_is_longer_than_every_answer() -> None:
    assert len(envelope.write_hello()) == envelope.HELLO_SIZE
    assert all(len(data) < envelope.HELLO_SIZE for data, _, _ in SAMPLES)


def test_too_many_subscriptions_are_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError):
        envelope.write_want(1, ((1, 1),) * 256)


def test_a_grant_holds_for_its_secret_and_claims_alone() -> None:
    made = grant.make_grant(SECRET, CLAIMS)
    assert grant.Claims.parse(made.claims) == CLAIMS
    assert grant.tag_is_right(SECRET, made.claims, made.tag)
    assert not grant.tag_is_right(grant.open_secret(), made.claims, made.tag)
    other = bytes([made.claims[0] ^ 1]) + made.claims[1:]
    assert not grant.tag_is_right(SECRET, other, made.tag)


def test_a_proof_holds_for_its_cookie_alone() -> None:
    made = grant.make_grant(SECRET, CLAIMS)
    proof = grant.prove(made.key, COOKIE, made.claims)
    assert grant.proof_is_right(SECRET, COOKIE, made.claims, proof)
    assert not grant.proof_is_right(SECRET, bytes(16), made.claims, proof)
    assert not grant.proof_is_right(grant.open_secret(), COOKIE, made.claims, proof)


def test_the_name_of_a_room_needs_its_key() -> None:
    assert len(grant.relay_room(SECRET)) == grant.ROOM_SIZE
    assert grant.relay_room(SECRET) != grant.relay_room(bytes(32))
