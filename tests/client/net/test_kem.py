"""ML-KEM-768 as an edge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.net.kem import CIPHERTEXT_SIZE, PUBLIC_SIZE, SHARED_SIZE, MlKem
from vc_core.errors import LocalProtocolError, RemoteProtocolError

KEM = MlKem()


def test_both_ends_get_the_same_secret() -> None:
    public, secret = KEM.generate()
    shared, ciphertext = KEM.encapsulate(public)
    assert KEM.decapsulate(secret, ciphertext) == shared
    assert (len(public), len(ciphertext), len(shared)) == (1184, 1088, 32)


def test_each_encapsulation_gives_another_secret() -> None:
    public, _ = KEM.generate()
    assert KEM.encapsulate(public)[0] != KEM.encapsulate(public)[0]


def test_a_forged_ciphertext_gives_an_unrelated_secret() -> None:
    public, secret = KEM.generate()
    shared, ciphertext = KEM.encapsulate(public)
    forged = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    assert KEM.decapsulate(secret, forged) != shared


def test_a_key_outside_the_modulus_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        KEM.encapsulate(b"\xff" * PUBLIC_SIZE)


@given(st.binary(max_size=64) | st.binary(min_size=PUBLIC_SIZE, max_size=PUBLIC_SIZE))
def test_any_bytes_as_a_key_raise_nothing_but_a_remote_error(public: bytes) -> None:
    try:
        shared, ciphertext = KEM.encapsulate(public)
    except RemoteProtocolError:
        return
    assert (len(shared), len(ciphertext)) == (SHARED_SIZE, CIPHERTEXT_SIZE)


@pytest.mark.parametrize("size", [0, CIPHERTEXT_SIZE - 1, CIPHERTEXT_SIZE + 1])
def test_a_ciphertext_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError):
        KEM.decapsulate(KEM.generate()[1], bytes(size))


def test_a_secret_of_ones_own_making_is_a_local_error() -> None:
    with pytest.raises(LocalProtocolError):
        KEM.decapsulate(b"secret", bytes(CIPHERTEXT_SIZE))
