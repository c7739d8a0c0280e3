"""Joining: five messages, and every way in which one of them can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from client.net.kem import MlKem
from tests.vectors.seeded import flipped, seeded
from vc_core.errors import RemoteProtocolError
from vc_core.join import (
    HostExchange,
    JoinerExchange,
    Met,
    NotTheHost,
    OtherVersion,
    Password,
    WrongCode,
)
from vc_core.keys import Identity, KeyPair
from vc_core.messages import Finish, Form

RNG = seeded("join")
KEM = MlKem()
MAILBOX = bytes(range(32))
JOINER, HOST = Identity.generate(RNG), Identity.generate(RNG)
CODE = Password(Form.SPOKEN, b"villa-flute-movie", "1234")


class Try:
    """One exchange, message by message; ``change`` may spoil one on its way."""

    def __init__(self, joiners: Password = CODE, hosts: Password = CODE, **options: Any) -> None:
        self.joiner = JoinerExchange(joiners, MAILBOX, JOINER, KEM, RNG, **options)
        self.host = HostExchange(MAILBOX, HOST, KEM, RNG)
        self.hosts = hosts

    def run(self, spoilt: str = "", change: Callable[[Any], Any] = lambda m: m) -> tuple[Met, Met]:
        def way(name: str, message: Any) -> Any:
            return change(message) if name == spoilt else message

        ask = way("ask", self.joiner.ask)
        answer = way("answer", self.host.receive_ask(ask, self.hosts))
        confirm = way("confirm", self.joiner.receive_answer(answer))
        accept = way("accept", self.host.receive_confirm(confirm))
        finish, hosts_view = self.joiner.receive_accept(accept)
        return hosts_view, self.host.receive_finish(way("finish", finish))


def test_the_same_code_makes_a_channel_and_shows_who_is_who() -> None:
    joiner, host = Try().run()
    assert joiner.keys == host.keys[::-1]
    assert joiner.tag == host.tag
    assert joiner.identity == HOST.public
    assert host.identity == JOINER.public


def test_two_exchanges_share_no_key() -> None:
    assert not set(Try().run()[0].keys) & set(Try().run()[0].keys)


@pytest.mark.parametrize(
    "other",
    [
        replace(CODE, secret=b"villa-flute-push"),
        replace(CODE, nameplate="1235"),
        replace(CODE, form=Form.LINK),
    ],
)
def test_the_host_notices_another_code_first_and_says_nothing(other: Password) -> None:
    with pytest.raises(WrongCode):
        Try(joiners=other).run()


def test_another_mailbox_is_another_exchange() -> None:
    attempt = Try()
    attempt.host = HostExchange(bytes(32), HOST, KEM, RNG)
    with pytest.raises(WrongCode):
        attempt.run()


def test_a_link_to_another_host_ends_before_the_joiner_says_who_it_is() -> None:
    with pytest.raises(NotTheHost):
        Try(fingerprint=JOINER.public.fingerprint).run()


def test_the_fingerprint_of_the_link_is_that_of_the_host() -> None:
    assert Try(fingerprint=HOST.public.fingerprint).run()[0].identity == HOST.public


@pytest.mark.parametrize("message", ["ask", "answer"])
def test_another_version_is_said_to_be_one(message: str) -> None:
    with pytest.raises(OtherVersion):
        Try().run(message, lambda m: replace(m, version=2))


SPOILT = [
    ("ask", "nonce"),
    ("ask", "share"),
    ("ask", "ephemeral"),
    ("ask", "kem_hash"),
    ("answer", "nonce"),
    ("answer", "share"),
    ("answer", "ephemeral"),
    ("confirm", "tag"),
    ("confirm", "kem_public"),
    ("confirm", "noise"),
    ("accept", "tag"),
    ("accept", "ciphertext"),
    ("accept", "sealed"),
    ("finish", "sealed"),
]


@pytest.mark.parametrize(("message", "field"), SPOILT)
@pytest.mark.parametrize("at", [0, -1])
def test_any_changed_field_ends_the_exchange(message: str, field: str, at: int) -> None:
    with pytest.raises(RemoteProtocolError):
        Try().run(message, lambda m: replace(m, **{field: flipped(getattr(m, field), at)}))


THIEF = Identity.generate(RNG)
UNPROVEN: dict[str, Callable[[Identity, str], Any]] = {
    "without the signing key": lambda who, _: (who.public, who.dh, THIEF.sign),
    "with a static key never signed": lambda who, _: (who.public, THIEF.dh, who.sign),
    "with words for the other role": lambda who, role: (
        who.public,
        who.dh,
        lambda label, _, hash_: who.sign(label, role.encode(), hash_),
    ),
    "with words of another handshake": lambda who, _: (
        who.public,
        who.dh,
        lambda label, role, _: who.sign(label, role, bytes(32)),
    ),
}


@pytest.mark.parametrize("fault", UNPROVEN)
def test_nobody_is_taken_for_whom_it_cannot_prove_to_be(fault: str) -> None:
    def posing(who: Identity, other_role: str) -> Any:
        public, dh, sign = UNPROVEN[fault](who, other_role)
        return SimpleNamespace(public=public, dh=dh, sign=sign)

    attempts = [Try(), Try()]
    attempts[0].joiner = JoinerExchange(CODE, MAILBOX, posing(JOINER, "host"), KEM, RNG)
    attempts[1].host = HostExchange(MAILBOX, posing(HOST, "joiner"), KEM, RNG)
    for attempt in attempts:
        with pytest.raises(RemoteProtocolError, match="does not prove itself"):
            attempt.run()


def _other_ephemeral(one: Try) -> None:
    one.joiner._ephemeral = KeyPair.generate(RNG)


def _other_kem_key(one: Try) -> None:
    one.joiner._kem_public, one.joiner._kem_secret = KEM.generate()


def _other_ephemeral_of_the_host(one: Try) -> None:
    one.host._ephemeral = KeyPair.generate(RNG)


@pytest.mark.parametrize(
    ("before", "swap"),
    [
        ("answer", _other_ephemeral),
        ("answer", _other_kem_key),
        ("confirm", _other_ephemeral_of_the_host),
    ],
)
def test_only_the_keys_that_were_promised_are_taken(
    before: str, swap: Callable[[Try], None]
) -> None:
    def meanwhile(message: Any) -> Any:
        swap(attempt)
        return message

    attempt = Try()
    with pytest.raises(RemoteProtocolError, match="than the promised one"):
        attempt.run(before, meanwhile)


@pytest.mark.parametrize("message", ["ask", "answer"])
def test_features_are_bound_so_that_nobody_can_take_one_away(message: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Try().run(message, lambda m: replace(m, features=1))


@pytest.mark.parametrize("message", ["ask", "answer"])
def test_a_share_of_low_order_is_refused(message: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Try().run(message, lambda m: replace(m, share=bytes(32)))


def test_a_message_counts_once_and_in_its_place() -> None:
    attempt = Try()
    answer = attempt.host.receive_ask(attempt.joiner.ask, CODE)
    confirm = attempt.joiner.receive_answer(answer)
    with pytest.raises(RemoteProtocolError):
        attempt.joiner.receive_answer(answer)
    with pytest.raises(RemoteProtocolError):
        attempt.host.receive_finish(Finish(bytes(64)))
    attempt.host.receive_confirm(confirm)
    with pytest.raises(RemoteProtocolError):
        attempt.host.receive_confirm(confirm)
