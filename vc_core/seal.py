"""A sealed box: one message under a key that may seal many.

    nonce 24, random | XChaCha20-Poly1305 ciphertext | tag 16

For letters in the re-join mailbox and for the identity file, where no counter
can be kept. 192 random bits do not repeat.
"""

from __future__ import annotations

import unicodedata

from nacl import bindings, exceptions

from vc_core.aead import KEY_SIZE, NONCE_SIZE, TAG_SIZE, decrypt, encrypt
from vc_core.errors import RemoteProtocolError
from vc_core.ids import Rng

# Specification
OVERHEAD = NONCE_SIZE + TAG_SIZE
SALT_SIZE = 16
ARGON2_PASSES = 3  # libsodium's OPSLIMIT_MODERATE
ARGON2_MEMORY = 256 << 20  # bytes, its MEMLIMIT_MODERATE


def seal_box(key: bytes, plaintext: bytes, ad: bytes, rng: Rng) -> bytes:
    """``plaintext`` under the 32-byte ``key``, bound to ``ad``."""
    nonce = rng(NONCE_SIZE)
    return nonce + encrypt(plaintext, ad, nonce, key)


def open_box(key: bytes, box: bytes, ad: bytes) -> bytes:
    """The plaintext; ``RemoteProtocolError`` if key, ``ad`` or a byte differs."""
    if len(box) < OVERHEAD:
        raise RemoteProtocolError("a sealed box ends too early")
    return decrypt(box[NONCE_SIZE:], ad, box[:NONCE_SIZE], key)


def argon2id(passphrase: str, salt: bytes) -> bytes:
    """A 32-byte key from what a person can remember: Argon2id (RFC 9106), MODERATE.

    Takes 256 MiB and most of a second; ``salt`` is 16 bytes. ``MemoryError`` if
    there is not that much.
    """
    remembered = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    try:
        return bindings.crypto_pwhash_alg(
            KEY_SIZE,
            remembered,
            salt,
            ARGON2_PASSES,
            ARGON2_MEMORY,
            bindings.crypto_pwhash_ALG_ARGON2ID13,
        )
    except exceptions.RuntimeError as error:
        raise MemoryError("no 256 MiB for Argon2id") from error
