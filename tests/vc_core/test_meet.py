"""Meeting: two members of one roster make fresh keys, and nobody else can."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.net.kem import MlKem
from tests.vectors.seeded import flipped, seeded
from vc_core.errors import RemoteProtocolError
from vc_core.keys import Identity, x25519
from vc_core.meet import Greeting, Pair, initiates, reply_to
from vc_core.messages import Bundle, Reply

RNG = seeded("meet")
KEM = MlKem()
ROOM, SECRET, OLDER = bytes(32), bytes([1]) * 32, bytes([2]) * 32
FIRST, SECOND = sorted(
    (Identity.generate(RNG) for _ in range(2)), key=lambda identity: identity.public.sign
)
STRANGER = Identity.generate(RNG)
BUNDLE = Bundle((b"key",))


def greeting(own: Identity = FIRST, room: bytes = ROOM) -> Greeting:
    return Greeting(Pair(own, SECOND.public, room), KEM, RNG, 0.0)


def answer(
    to: Greeting, other: Identity = FIRST, secret: bytes = SECRET
) -> tuple[Reply, tuple[bytes, bytes]]:
    pair = Pair(SECOND, other.public, ROOM)
    return reply_to(to.greet, pair, secret, BUNDLE, KEM, RNG)


def test_the_smaller_key_begins() -> None:
    assert initiates(FIRST.public, SECOND.public)
    assert not initiates(SECOND.public, FIRST.public)


def test_both_have_the_same_keys_and_the_bundle_arrives() -> None:
    mine = greeting()
    reply, theirs = answer(mine)
    keys, secret, bundle = mine.receive(reply, [SECRET])
    assert keys == theirs[::-1]
    assert (secret, bundle) == (SECRET, BUNDLE)


def test_each_of_the_room_secrets_may_be_the_one_in_use() -> None:
    mine = greeting()
    reply, _ = answer(mine, secret=OLDER)
    assert mine.receive(reply, [SECRET, OLDER])[1] == OLDER


def test_who_has_no_room_secret_cannot_finish() -> None:
    mine = greeting()
    reply, _ = answer(mine)
    with pytest.raises(RemoteProtocolError):
        mine.receive(reply, [OLDER])


def test_a_stranger_cannot_greet_in_the_name_of_a_member() -> None:
    with pytest.raises(RemoteProtocolError):
        answer(greeting(own=STRANGER))


def test_a_greeting_of_another_room_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        answer(greeting(room=bytes([7]) * 32))


def test_a_reply_to_another_greeting_is_refused() -> None:
    reply, _ = answer(greeting())
    with pytest.raises(RemoteProtocolError):
        greeting().receive(reply, [SECRET])


def test_a_greeting_answered_again_makes_other_keys() -> None:
    mine = greeting()
    assert answer(mine)[1] != answer(mine)[1]


@pytest.mark.parametrize("field", ["ciphertext", "noise", "tag"])
def test_any_changed_field_of_a_reply_is_refused(field: str) -> None:
    mine = greeting()
    reply, _ = answer(mine)
    spoilt = replace(reply, **{field: flipped(getattr(reply, field), -1)})
    with pytest.raises(RemoteProtocolError):
        mine.receive(spoilt, [SECRET])


@pytest.mark.parametrize("field", ["tag", "kem_public", "noise"])
def test_a_changed_greeting_is_refused(field: str) -> None:
    mine = greeting()
    mine.greet = replace(mine.greet, **{field: flipped(getattr(mine.greet, field), -1)})
    with pytest.raises(RemoteProtocolError):
        answer(mine)


def test_only_the_two_can_make_the_tag_of_a_greeting() -> None:
    mine = greeting()
    for pair in (Pair(SECOND, FIRST.public, ROOM), Pair(FIRST, SECOND.public, ROOM)):
        assert pair.proves(mine.greet)
    for pair in (
        Pair(STRANGER, FIRST.public, ROOM),
        Pair(SECOND, STRANGER.public, ROOM),
        Pair(SECOND, FIRST.public, SECRET),
    ):
        assert not pair.proves(mine.greet)


def test_a_forged_greeting_costs_no_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = 0

    def count(secret: bytes, public: bytes) -> bytes:
        nonlocal operations
        operations += 1
        return x25519(secret, public)

    for module in ("meet", "noise"):
        monkeypatch.setattr(f"vc_core.{module}.x25519", count)
    pair, forged = Pair(SECOND, FIRST.public, ROOM), Pair(STRANGER, SECOND.public, ROOM)
    for _ in range(20):
        greet = Greeting(forged, KEM, RNG, 0.0).greet
        before = operations
        assert not pair.proves(greet)
        assert operations - before <= 1
    assert before == operations, "the key of a pair is made once"
