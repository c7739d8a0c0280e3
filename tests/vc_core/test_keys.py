"""Hashes, keys, signatures and the numbers that people compare."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.make import FILES, text
from tests.vectors.read import own
from tests.vectors.seeded import flipped, seeded
from vc_core.errors import RemoteProtocolError
from vc_core.keys import (
    Identity,
    KeyPair,
    PublicIdentity,
    digest,
    hkdf,
    mac16,
    safety_number,
    same,
    verify,
    x25519,
)
from vc_core.wire import Reader, fields

OWN = own("keys")


def hexed(case: dict[str, str], *names: str) -> list[bytes]:
    """Some fields of a vector as bytes."""
    return [bytes.fromhex(case[name]) for name in names]


@pytest.mark.parametrize("name", list(FILES))
def test_vectors_on_disk_are_those_that_the_code_makes(name: str) -> None:
    assert text(own(name)) == text(FILES[name]()), f"run python -m tests.vectors.make ({name})"


def test_digest_hkdf_and_mac_match_our_own_vectors() -> None:
    part, out = hexed(OWN["digest"], "part", "out")
    assert digest(OWN["digest"]["label"], part) == out
    assert out == hashlib.blake2s(fields("vchat-1 test", part)).digest()
    secret, context, out = hexed(OWN["hkdf"], "secret", "context", "out")
    assert hkdf(secret, OWN["hkdf"]["label"], context, length=100) == out
    key, data, out = hexed(OWN["mac16"], "key", "data", "out")
    assert mac16(key, data) == out


@given(st.binary(max_size=80), st.binary(max_size=80), st.integers(1, 200))
def test_hkdf_is_that_of_another_implementation(secret: bytes, part: bytes, size: int) -> None:
    info = fields("vchat-1 test", part)
    other = HKDF(algorithm=hashes.SHA256(), length=size, salt=None, info=info).derive(secret)
    assert hkdf(secret, "vchat-1 test", part, length=size) == other


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_fields_can_be_taken_apart_again(parts: list[bytes]) -> None:
    reader = Reader(fields("vchat-1 test", *parts))
    read = [reader.take(int.from_bytes(reader.take(2), "big")) for _ in range(len(parts) + 1)]
    reader.finish()
    assert read == [b"vchat-1 test", *parts]


@pytest.mark.parametrize("case", OWN["identities"])
def test_identities_match_our_own_vectors(case: dict[str, str]) -> None:
    identity = Identity(*hexed(case, "seed", "dh_secret"))
    public = PublicIdentity(*hexed(case, "sign", "dh", "cross"))
    assert identity.public == public
    assert public.valid()
    assert public.fingerprint == case["fingerprint"]
    assert not PublicIdentity(public.sign, flipped(public.dh, 0), public.cross).valid()


def test_the_safety_number_is_the_same_from_both_sides() -> None:
    one, two = (PublicIdentity(*hexed(case, "sign", "dh", "cross")) for case in OWN["identities"])
    assert safety_number(one, two) == safety_number(two, one) == OWN["safety_number"]
    assert [len(group) for group in OWN["safety_number"].split()] == [5] * 12
    assert safety_number(one, one) != OWN["safety_number"]


def test_a_signature_holds_for_its_label_and_parts_only() -> None:
    who, other = Identity.generate(seeded("who")), Identity.generate(seeded("other"))
    signature = who.sign("vchat-1 test", b"a", b"b")
    public = who.public.sign
    assert verify(public, signature, "vchat-1 test", b"a", b"b")
    assert not verify(public, signature, "vchat-1 tests", b"a", b"b")
    assert not verify(public, signature, "vchat-1 test", b"ab", b"")
    assert not verify(public, flipped(signature, 5), "vchat-1 test", b"a", b"b")
    assert not verify(other.public.sign, signature, "vchat-1 test", b"a", b"b")


@given(st.binary(max_size=70), st.binary(max_size=70), st.binary(max_size=40))
def test_arbitrary_signatures_are_refused_without_an_exception(
    public: bytes, signature: bytes, part: bytes
) -> None:
    assert not verify(public, signature, "vchat-1 test", part)


@given(st.binary(max_size=40))
def test_arbitrary_public_keys_raise_a_remote_error_or_agree(public: bytes) -> None:
    secret: Any = bytes(range(32))
    try:
        assert len(x25519(secret, public)) == 32
    except RemoteProtocolError:
        assert (
            len(public) != 32 or int.from_bytes(public, "little") >> 255 or public[31] in (0, 127)
        )


def test_two_pairs_agree_on_one_secret() -> None:
    one, two = KeyPair.generate(seeded("one")), KeyPair.generate(seeded("two"))
    assert x25519(one.secret, two.public) == x25519(two.secret, one.public)
    assert same(one.public, KeyPair.from_secret(one.secret).public)
