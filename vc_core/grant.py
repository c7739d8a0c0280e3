"""Grants: who may have a slot at a forwarder, checked without asking anybody.

The one who admits (the signaling server, a host's own client) and the forwarder
share a secret of 32 bytes:

    claims    room 16 | slot u16 | rate u32 bytes/s | expires u64 Unix s
    tag       HMAC-SHA256(secret, fields("vchat-1 tag", claims))
    slot key  HMAC-SHA256(secret, fields("vchat-1 slot", claims))

Claims and tag are shown to the forwarder; the slot key never is, it proves:

    proof     HMAC-SHA256(slot key, fields("vchat-1 hello", cookie, claims))

``room`` is derived from a key that only the host of the room knows, so that
nobody else is granted a slot in it. An open forwarder uses a secret that
everybody knows: its grants are made by the host itself.

Here are ``hmac`` and ``hashlib`` and nothing else: servers may import it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import ClassVar

from vc_core.record import record
from vc_core.wire import Fixed, Layout, Reader, Record, UInt, fields

# Specification
SECRET_SIZE = 32
ROOM_SIZE = 16
CLAIMS_SIZE = 30
TAG_SIZE = 32
MAX_LIFE = 600  # s that a grant lives at most
CLOCK_ERROR = 60  # s that two servers' clocks may differ
LABEL_ROOM = "vchat-1 relay room"
LABEL_TAG = "vchat-1 tag"
LABEL_SLOT = "vchat-1 slot"
LABEL_HELLO = "vchat-1 hello"
LABEL_OPEN = "vchat-1 open relay"
ROOM_KEY_SIZE = 32


@record
class Claims(Record):
    """What a grant says."""

    room: bytes
    slot: int
    """The member's number."""
    rate: int
    """Bytes per second that the slot may send."""
    expires: int
    """Unix time."""

    LAYOUT: ClassVar[Layout] = (
        ("room", Fixed(ROOM_SIZE)),
        ("slot", UInt(2)),
        ("rate", UInt(4)),
        ("expires", UInt(8)),
    )

    @classmethod
    def parse(cls, data: bytes) -> Claims:
        """Exactly the ``CLAIMS_SIZE`` bytes of claims."""
        reader = Reader(data)
        claims = cls.read_fields(reader)
        reader.finish()
        return claims


@record
class Grant(Record):
    """What a member is given to get its slot."""

    claims: bytes
    tag: bytes
    key: bytes
    """The slot key; secret."""

    LAYOUT: ClassVar[Layout] = (
        ("claims", Fixed(CLAIMS_SIZE)),
        ("tag", Fixed(TAG_SIZE)),
        ("key", Fixed(SECRET_SIZE)),
    )


def open_secret() -> bytes:
    """The secret of a forwarder that takes everybody."""
    return hashlib.blake2s(fields(LABEL_OPEN)).digest()


def parse_secret(text: str) -> bytes:
    """The secret in a file: 64 hexadecimal digits; ``ValueError`` for anything else."""
    secret = bytes.fromhex(text.strip())
    if len(secret) != SECRET_SIZE:
        raise ValueError(f"{2 * SECRET_SIZE} hexadecimal digits are wanted")
    return secret


def relay_room(key: bytes) -> bytes:
    """The name of a room at forwarders, from the host's 32-byte key for it."""
    return hashlib.blake2s(fields(LABEL_ROOM, key)).digest()[:ROOM_SIZE]


def make_grant(secret: bytes, claims: Claims) -> Grant:
    """Let somebody have a slot."""
    data = claims.write_fields()
    return Grant(data, _hmac(secret, LABEL_TAG, data), _hmac(secret, LABEL_SLOT, data))


def tag_is_right(secret: bytes, claims: bytes, tag: bytes) -> bool:
    """Whether whoever knows the secret made these claims."""
    return hmac.compare_digest(tag, _hmac(secret, LABEL_TAG, claims))


def prove(slot_key: bytes, cookie: bytes, claims: bytes) -> bytes:
    """That one holds the slot key, for one cookie."""
    return _hmac(slot_key, LABEL_HELLO, cookie, claims)


def proof_is_right(secret: bytes, cookie: bytes, claims: bytes, proof: bytes) -> bool:
    """The forwarder's side of ``prove``."""
    slot_key = _hmac(secret, LABEL_SLOT, claims)
    return hmac.compare_digest(proof, prove(slot_key, cookie, claims))


def _hmac(key: bytes, label: str, *parts: bytes) -> bytes:
    return hmac.digest(key, fields(label, *parts), "sha256")
