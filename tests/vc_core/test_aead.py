"""XChaCha20-Poly1305: the draft's vector, PyNaCl's own function, and what must not open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from vc_core.aead import decrypt, encrypt
from vc_core.errors import LocalProtocolError, RemoteProtocolError

KEY, NONCE = bytes(range(0x80, 0xA0)), bytes(range(0x40, 0x58))
AD = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
PLAIN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
    b"future, sunscreen would be it."
)
SEALED = bytes.fromhex(
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
    "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
    "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
    "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"
)


def test_it_seals_and_opens_the_vector_of_the_draft() -> None:
    assert encrypt(PLAIN, AD, NONCE, KEY) == SEALED
    assert decrypt(SEALED, AD, NONCE, KEY) == PLAIN


@given(st.binary(max_size=1200), st.binary(max_size=90), st.binary(min_size=24, max_size=24))
def test_it_does_what_the_bindings_do(plain: bytes, ad: bytes, nonce: bytes) -> None:
    sealed = encrypt(plain, ad, nonce, KEY)
    assert sealed == bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, ad, nonce, KEY)
    assert decrypt(sealed, ad, nonce, KEY) == plain


@pytest.mark.parametrize(
    ("sealed", "ad", "nonce", "key"),
    [
        (SEALED[:-1] + bytes([SEALED[-1] ^ 1]), AD, NONCE, KEY),
        (bytes([SEALED[0] ^ 1]) + SEALED[1:], AD, NONCE, KEY),
        (SEALED[:-1], AD, NONCE, KEY),
        (SEALED[:15], AD, NONCE, KEY),
        (b"", AD, NONCE, KEY),
        (SEALED, AD[:-1], NONCE, KEY),
        (SEALED, AD, NONCE[::-1], KEY),
        (SEALED, AD, NONCE, KEY[::-1]),
    ],
    ids=["tag", "ciphertext", "short", "shorter", "nothing", "ad", "nonce", "key"],
)
def test_what_differs_does_not_open(sealed: bytes, ad: bytes, nonce: bytes, key: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decrypt(sealed, ad, nonce, key)


@pytest.mark.parametrize(("nonce", "key"), [(NONCE[1:], KEY), (NONCE, KEY + b"k")])
def test_libsodium_never_reads_beyond_a_nonce_or_key(nonce: bytes, key: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        encrypt(PLAIN, AD, nonce, key)
    with pytest.raises(LocalProtocolError):
        decrypt(SEALED, AD, nonce, key)
