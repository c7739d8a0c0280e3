"""XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) as libsodium has it.

PyNaCl's function for it puts four sentences together at each call in case that an argument
is wrong, which takes three times what libsodium then does (docs/decisions/0014). What must
hold for libsodium to stay within its arguments is asked here.
"""

from __future__ import annotations

from nacl._sodium import ffi, lib

from vc_core.errors import LocalProtocolError, RemoteProtocolError

# Specification
KEY_SIZE = 32
NONCE_SIZE = 24
TAG_SIZE = 16

# Plain names save an attribute look-up per packet
_encrypt = lib.crypto_aead_xchacha20poly1305_ietf_encrypt
_decrypt = lib.crypto_aead_xchacha20poly1305_ietf_decrypt
_new, _buffer, _null = ffi.new, ffi.buffer, ffi.NULL
_ARRAY = ffi.typeof("unsigned char[]")


def encrypt(plaintext: bytes, ad: bytes, nonce: bytes, key: bytes) -> bytes:
    """The ciphertext, and the tag of 16 bytes behind it.

    A nonce of 24 bytes must never be used twice with a key of 32.
    """
    if len(nonce) != NONCE_SIZE or len(key) != KEY_SIZE:
        raise LocalProtocolError(f"a nonce of {len(nonce)} bytes, a key of {len(key)}")
    sealed = _new(_ARRAY, len(plaintext) + TAG_SIZE)
    _encrypt(sealed, _null, plaintext, len(plaintext), ad, len(ad), _null, nonce, key)
    return bytes(_buffer(sealed))


def decrypt(sealed: bytes, ad: bytes, nonce: bytes, key: bytes) -> bytes:
    """The plaintext; ``RemoteProtocolError`` if key, nonce, ``ad`` or a byte differs."""
    if len(nonce) != NONCE_SIZE or len(key) != KEY_SIZE:
        raise LocalProtocolError(f"a nonce of {len(nonce)} bytes, a key of {len(key)}")
    if len(sealed) < TAG_SIZE:
        raise RemoteProtocolError(f"{len(sealed)} sealed bytes, fewer than a tag has")
    plaintext = _new(_ARRAY, len(sealed) - TAG_SIZE)
    if _decrypt(plaintext, _null, _null, sealed, len(sealed), ad, len(ad), nonce, key) != 0:
        raise RemoteProtocolError("sealed bytes with a wrong tag")
    return bytes(_buffer(plaintext))
