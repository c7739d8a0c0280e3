"""Keys, hashes and signatures: the only words of cryptography used elsewhere.

Every hash, MAC, key and signature covers ``fields(label, ...)``: each part with
a u16 length before it, the first part a label of its own that begins with
``vchat-1``. No two uses share a label, so none can stand in for another.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cached_property

from nacl import bindings, exceptions

from vc_core.errors import RemoteProtocolError
from vc_core.ids import Rng
from vc_core.record import record
from vc_core.wire import fields

# Specification
KEY_SIZE = 32
SIGNATURE_SIZE = 64
LABEL_CROSS = "vchat-1 cross"


def digest(label: str, *parts: bytes) -> bytes:
    """BLAKE2s-256 (RFC 7693) over ``fields(label, *parts)``: 32 bytes."""
    return hashlib.blake2s(fields(label, *parts)).digest()


def hkdf(secret: bytes, label: str, *context: bytes, length: int = 32) -> bytes:
    """HKDF-SHA256 (RFC 5869), empty salt, info = ``fields(label, *context)``."""
    pseudorandom = hmac.digest(b"\0" * 32, secret, "sha256")
    info, block, out = fields(label, *context), b"", b""
    counter = 1
    while len(out) < length:
        block = hmac.digest(pseudorandom, block + info + bytes([counter]), "sha256")
        out += block
        counter += 1
    return out[:length]


def mac16(key: bytes, data: bytes) -> bytes:
    """Keyed BLAKE2s with a 16-byte result."""
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def same(left: bytes, right: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left, right)


@record
class KeyPair:
    """An X25519 key pair (RFC 7748), 32 bytes each."""

    secret: bytes
    public: bytes

    @classmethod
    def generate(cls, rng: Rng) -> KeyPair:
        """A fresh pair."""
        return cls.from_secret(rng(KEY_SIZE))

    @classmethod
    def from_secret(cls, secret: bytes) -> KeyPair:
        """The pair of a known secret."""
        return cls(secret, bindings.crypto_scalarmult_base(secret))


def x25519(secret: bytes, public: bytes) -> bytes:
    """X25519 (RFC 7748); ``RemoteProtocolError`` when the result is all zero."""
    try:
        shared = bindings.crypto_scalarmult(secret, public)
    except (exceptions.CryptoError, ValueError, TypeError) as error:
        raise RemoteProtocolError("a public key that cannot be used") from error
    if same(shared, b"\0" * 32):
        raise RemoteProtocolError("a public key of low order")
    return shared


@record
class PublicIdentity:
    """Who somebody is: an Ed25519 key and an X25519 key that it signed."""

    sign: bytes
    dh: bytes
    cross: bytes
    """Signature of ``sign`` over ``dh``."""

    def valid(self) -> bool:
        """Whether the cross signature holds."""
        return verify(self.sign, self.cross, LABEL_CROSS, self.dh)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that stand for both keys."""
        return digest("vchat-1 fingerprint", self.sign, self.dh)[:16].hex()


@record
class Identity:
    """One's own long-term secrets: an Ed25519 seed and an X25519 secret."""

    seed: bytes
    dh_secret: bytes

    @classmethod
    def generate(cls, rng: Rng) -> Identity:
        """A new person."""
        return cls(rng(KEY_SIZE), rng(KEY_SIZE))

    @cached_property
    def _signing(self) -> tuple[bytes, bytes]:
        public, secret = bindings.crypto_sign_seed_keypair(self.seed)
        return public, secret

    @cached_property
    def dh(self) -> KeyPair:
        """The X25519 static pair."""
        return KeyPair.from_secret(self.dh_secret)

    def sign(self, label: str, *parts: bytes) -> bytes:
        """Ed25519 signature (RFC 8032) over ``fields(label, *parts)``."""
        signed = bindings.crypto_sign(fields(label, *parts), self._signing[1])
        return signed[:SIGNATURE_SIZE]

    @cached_property
    def public(self) -> PublicIdentity:
        """What others may know."""
        sign = self._signing[0]
        return PublicIdentity(sign, self.dh.public, self.sign(LABEL_CROSS, self.dh.public))


def verify(public: bytes, signature: bytes, label: str, *parts: bytes) -> bool:
    """Whether ``signature`` is that of ``public`` over ``fields(label, *parts)``."""
    try:
        bindings.crypto_sign_open(signature + fields(label, *parts), public)
    except (exceptions.CryptoError, ValueError, TypeError):
        return False
    return True


def safety_number(one: PublicIdentity, other: PublicIdentity) -> str:
    """12 groups of 5 digits for a pair, the same on both screens.

    Each group is five bytes of BLAKE2s over both key pairs in the order of
    their signing keys, taken modulo 100 000.
    """
    first, second = sorted((one, other), key=lambda who: who.sign)
    long = b"".join(
        digest("vchat-1 safety number", bytes([part]), first.sign, first.dh, second.sign, second.dh)
        for part in range(2)
    )
    groups = (int.from_bytes(long[i : i + 5], "big") % 100_000 for i in range(0, 60, 5))
    return " ".join(f"{group:05d}" for group in groups)
