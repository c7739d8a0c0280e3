"""Envelopes: what a client and a forwarder say to each other, and what it carries.

One datagram (or one WebSocket message); the first byte is the kind, 4 to 15:

     4 HELLO     > u8 version | zeros up to 1 200 bytes in all
     5 COOKIE    < u8 version | u8 flags (1: open) | cookie 16
     6 CLAIM     > cookie 16 | claims 30 | tag 32 | proof 32
     7 ATTACHED  < u16 slot | u16 idle s | u8 family 4 or 6 (0: unknown) | u16 port | address
     8 REFUSED   < u8 reason
     9 PASS      > u16 to | inner          < u16 from | inner
    10 SPREAD    > u8 handle | inner       (a copy to each slot that wants it, as PASS)
    11 WANT      > u32 sequence | u8 count | count times (u16 slot, u8 handle)
    12 PING      > u32 stamp
    13 PONG      < u32 stamp | u32 newest WANT sequence taken | u8 flags (2: draining)
    14 BYE       > cookie 16 of the claim

``>`` from the client, ``<`` from the forwarder. What comes from an address that
holds no slot is answered with a COOKIE if it was at least as long.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import Any

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.grant import CLAIMS_SIZE, TAG_SIZE
from vc_core.record import record

# Specification
FIRST, LAST = 4, 15  # first bytes of envelopes
HELLO, COOKIE, CLAIM, ATTACHED, REFUSED, PASS, SPREAD, WANT, PING, PONG, BYE = range(4, 15)
FORWARDER_VERSION = 1
HELLO_SIZE = 1200  # bytes; the question is longer than any answer before the cookie
COOKIE_SIZE = 16
PROOF_SIZE = 32
MAX_INNER = 1200  # bytes of a datagram inside
MAX_WANTS = 255
EVERYBODY = 0xFFFF  # slot of a WANT that means every slot of the room
VOICE_HANDLE = 0  # the stream handle of voice

_COOKIE = struct.Struct(f">BBB{COOKIE_SIZE}s")
_CLAIM = struct.Struct(f">B{COOKIE_SIZE}s{CLAIMS_SIZE}s{TAG_SIZE}s{PROOF_SIZE}s")
_ATTACHED = struct.Struct(">BHHBH")
_PASS = struct.Struct(">BH")
_WANT = struct.Struct(">BIB")
_WANTED = struct.Struct(">HB")
_PING = struct.Struct(">BI")
_PONG = struct.Struct(">BIIB")
_BYE = struct.Struct(f">B{COOKIE_SIZE}s")
PASS_OVERHEAD = _PASS.size
_FAMILIES = {0: 0, 4: 4, 6: 16}  # family: bytes of an address


class Flags(IntFlag):
    """What a forwarder says of itself."""

    OPEN = 1
    """It has no secret: the host's own grants hold."""
    DRAINING = 2
    """It will end soon: look for another."""


class Reason(IntEnum):
    """Why a claim was refused."""

    WRONG = 1
    """The tag or the proof does not hold."""
    EXPIRED = 2
    """The grant is too old, or lives longer than any may."""
    FULL = 3
    """No room for one more slot."""
    DRAINING = 4
    """It ends soon and takes nobody new."""
    TOO_FAST = 5
    """This address has claimed too often; try later."""


@record
class Cookie:
    """An answer to a HELLO, or to a stranger's packet."""

    version: int
    flags: int
    cookie: bytes


@record
class Claim:
    """Somebody wants its slot."""

    cookie: bytes
    claims: bytes
    tag: bytes
    proof: bytes


@record
class Attached:
    """The slot is given."""

    slot: int
    idle: int
    """Seconds without a packet after which the slot is taken back."""
    host: bytes
    """The client's address as the forwarder sees it: 0, 4 or 16 bytes."""
    port: int


@record
class Pong:
    """The forwarder lives."""

    stamp: int
    wanted: int
    """The newest WANT that it has taken; 0 for none."""
    flags: int


Want = tuple[int, int]
"""(slot, stream handle) of somebody whose copies are wanted."""


def write_hello() -> bytes:
    """The question for a cookie."""
    return bytes((HELLO, FORWARDER_VERSION)) + bytes(HELLO_SIZE - 2)


def write_cookie(cookie: Cookie) -> bytes:
    """The answer."""
    return _COOKIE.pack(COOKIE, cookie.version, cookie.flags, cookie.cookie)


def read_cookie(data: bytes) -> Cookie:
    """A COOKIE of 19 bytes."""
    return Cookie(*_unpack(_COOKIE, data, COOKIE))


def write_claim(claim: Claim) -> bytes:
    """Grant and proof."""
    return _CLAIM.pack(CLAIM, claim.cookie, claim.claims, claim.tag, claim.proof)


def read_claim(data: bytes) -> Claim:
    """A CLAIM of 111 bytes."""
    return Claim(*_unpack(_CLAIM, data, CLAIM))


def write_attached(attached: Attached) -> bytes:
    """The slot, and the address that was seen."""
    family = {0: 0, 4: 4, 16: 6}[len(attached.host)]
    head = _ATTACHED.pack(ATTACHED, attached.slot, attached.idle, family, attached.port)
    return head + attached.host


def read_attached(data: bytes) -> Attached:
    """An ATTACHED of 8, 12 or 24 bytes."""
    if len(data) < _ATTACHED.size or data[0] != ATTACHED:
        raise RemoteProtocolError("not an ATTACHED")
    _, slot, idle, family, port = _ATTACHED.unpack_from(data)
    host = data[_ATTACHED.size :]
    if _FAMILIES.get(family) != len(host):
        raise RemoteProtocolError("an address of another length than its family's")
    return Attached(slot, idle, host, port)


def write_refused(reason: Reason) -> bytes:
    """Why not."""
    return bytes((REFUSED, reason))


def read_refused(data: bytes) -> int:
    """The number of a ``Reason``, known or not."""
    if len(data) != 2 or data[0] != REFUSED:
        raise RemoteProtocolError("not a REFUSED")
    return data[1]


def write_pass(slot: int, inner: bytes) -> bytes:
    """A datagram to (from the client) or from (from the forwarder) a slot."""
    return _PASS.pack(PASS, slot) + inner


def read_pass(data: bytes) -> tuple[int, bytes]:
    """(slot, inner) of a PASS."""
    if len(data) <= PASS_OVERHEAD or data[0] != PASS:
        raise RemoteProtocolError("not a PASS")
    return data[1] << 8 | data[2], data[PASS_OVERHEAD:]


def write_spread(handle: int, inner: bytes) -> bytes:
    """A datagram for everybody who wants this stream of ours."""
    return bytes((SPREAD, handle)) + inner


def write_want(sequence: int, wants: tuple[Want, ...]) -> bytes:
    """All that this slot wants copies of; replaces what it wanted before."""
    if len(wants) > MAX_WANTS:
        raise LocalProtocolError(f"{len(wants)} subscriptions, allowed are {MAX_WANTS}")
    head = _WANT.pack(WANT, sequence, len(wants))
    return head + b"".join(_WANTED.pack(slot, handle) for slot, handle in wants)


def read_want(data: bytes) -> tuple[int, tuple[Want, ...]]:
    """(sequence, subscriptions) of a WANT."""
    if len(data) < _WANT.size or data[0] != WANT:
        raise RemoteProtocolError("not a WANT")
    _, sequence, count = _WANT.unpack_from(data)
    if len(data) != _WANT.size + count * _WANTED.size:
        raise RemoteProtocolError("a WANT of another length than its count says")
    return sequence, tuple(_WANTED.iter_unpack(data[_WANT.size :]))


def write_ping(stamp: int) -> bytes:
    """Are you there?"""
    return _PING.pack(PING, stamp)


def read_ping(data: bytes) -> int:
    """The stamp of a PING."""
    return int(_unpack(_PING, data, PING)[0])


def write_pong(pong: Pong) -> bytes:
    """I am."""
    return _PONG.pack(PONG, pong.stamp, pong.wanted, pong.flags)


def read_pong(data: bytes) -> Pong:
    """A PONG of 10 bytes."""
    return Pong(*_unpack(_PONG, data, PONG))


def write_bye(cookie: bytes) -> bytes:
    """Give the slot back."""
    return _BYE.pack(BYE, cookie)


def read_bye(data: bytes) -> bytes:
    """The cookie of a BYE."""
    return bytes(_unpack(_BYE, data, BYE)[0])


def _unpack(layout: struct.Struct, data: bytes, kind: int) -> tuple[Any, ...]:
    if len(data) != layout.size or data[0] != kind:
        raise RemoteProtocolError(f"not an envelope of kind {kind}")
    return layout.unpack(data)[1:]
