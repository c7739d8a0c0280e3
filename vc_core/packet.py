"""Media packets: sealed once by their sender, opened by each member.

On the wire, in bytes (at most 1 200 in all):

    0        1                  9             15
    +--------+------------------+-------------+----------------+---------+
    |  0x80  | routing id (8)   | CTR (u48)   | ciphertext     | tag 16  |
    +--------+------------------+-------------+----------------+---------+
                                              |
    plaintext                                 u8 kind | u32 timestamp | payload

    KID    = generation u32 | member u16 | stream u16, as one u64
    key 32 | salt 24 = HKDF(sender key, "vchat-1 media", room, KID)
    routing id       = HKDF(sender key, "vchat-1 route", KID), 8 bytes
    nonce  = salt XOR CTR (big-endian, right-aligned), XChaCha20-Poly1305
    AAD    = SFrame header of KID and CTR (RFC 9605, 4.3) | room 32 | roster hash 32

The SFrame header itself is not sent: the routing id stands for the KID, so that
a forwarder sees neither member nor stream. Its layout, for the AAD:

     X | K K K | Y | C C C      then KID bytes if X, then CTR bytes if Y
     X = 0: K is the KID (0..7); X = 1: K + 1 bytes of KID follow; Y, C alike

Rule 1: order of work: length, routing id, window, tag, and only then the inside.
Rule 2: one key per routing id; nobody tries a second key on a packet.
Rule 3: a sender counts up and never seals twice under one CTR; what is sent
        again is the sealed bytes.
"""

from __future__ import annotations

import struct
from dataclasses import field

from vc_core.aead import TAG_SIZE, decrypt, encrypt
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.keys import KEY_SIZE, hkdf
from vc_core.record import record
from vc_core.replay import Window
from vc_core.wire import Reader

# Specification
SEALED_MEDIA = 0x80  # first byte; 0x81..0xBF are kept for later layouts
MAX_DATAGRAM = 1200  # bytes of an inner datagram
ROUTE_SIZE = 8
SALT_SIZE = 24  # also the nonce's
HEADER_SIZE = 1 + ROUTE_SIZE + 6
_INSIDE = struct.Struct(">BI")
INNER_SIZE = _INSIDE.size
OVERHEAD = HEADER_SIZE + INNER_SIZE + TAG_SIZE  # 36 bytes
MAX_PAYLOAD = MAX_DATAGRAM - OVERHEAD
CTR_LIMIT = 1 << 48
_SMALL = 8  # values below stand in the SFrame header's first byte


def _sframe_half(value: int) -> tuple[int, bytes]:
    if value < _SMALL:
        return value, b""
    size = (value.bit_length() + 7) // 8
    return 8 | size - 1, value.to_bytes(size, "big")


def write_sframe_header(kid: int, ctr: int) -> bytes:
    """The shortest SFrame header (RFC 9605, 4.3) of two u64."""
    if not (0 <= kid < 1 << 64 and 0 <= ctr < 1 << 64):
        raise LocalProtocolError("KID and CTR are 64-bit numbers")
    kid_bits, kid_bytes = _sframe_half(kid)
    ctr_bits, ctr_bytes = _sframe_half(ctr)
    return bytes([kid_bits << 4 | ctr_bits]) + kid_bytes + ctr_bytes


def read_sframe_header(data: bytes) -> tuple[int, int, bytes]:
    """(KID, CTR, what follows); only the shortest form is accepted."""
    reader = Reader(data)
    config = reader.take(1)[0]
    values = []
    for bits in (config >> 4, config & 15):
        value = int.from_bytes(reader.take((bits & 7) + 1), "big") if bits & 8 else bits
        values.append(value)
    kid, ctr = values
    head = write_sframe_header(kid, ctr)
    if not data.startswith(head):
        raise RemoteProtocolError("an SFrame header that is not the shortest")
    return kid, ctr, data[len(head) :]


@record
class Kid:
    """Which key: the ``generation`` of a member's sender key, and one of its streams."""

    generation: int
    member: int
    stream: int

    def __post_init__(self) -> None:
        sizes = ((self.generation, 32), (self.member, 16), (self.stream, 16))
        if any(not 0 <= value < 1 << bits for value, bits in sizes):
            raise LocalProtocolError(f"{self} does not fit in u32, u16, u16")

    @property
    def number(self) -> int:
        """The KID as one u64."""
        return self.generation << 32 | self.member << 16 | self.stream

    def pack(self) -> bytes:
        """8 bytes."""
        return self.number.to_bytes(8, "big")


@record
class MediaKey:
    """All that seals or opens the packets of one KID."""

    kid: Kid
    key: bytes = field(repr=False)
    salt: int = field(repr=False)
    """24 bytes as one big-endian number, ready for the XOR."""
    route: bytes
    """The 8-byte routing id."""
    aad_tail: bytes = field(repr=False)
    """Room and roster hash."""
    sframe_bits: int
    """The KID's half of the SFrame header's first byte, in place."""
    sframe_kid: bytes
    """The KID's bytes of the SFrame header."""

    def bound(self, ctr: int) -> tuple[bytes, bytes]:
        """(AAD: SFrame header, room, roster hash; nonce: 24 bytes) of one packet."""
        nonce = (self.salt ^ ctr).to_bytes(SALT_SIZE, "big")
        if ctr < _SMALL:
            return bytes((self.sframe_bits | ctr,)) + self.sframe_kid + self.aad_tail, nonce
        size = (ctr.bit_length() + 7) // 8
        head = bytes((self.sframe_bits | 8 | size - 1,)) + self.sframe_kid
        return head + ctr.to_bytes(size, "big") + self.aad_tail, nonce


def media_key(sender_key: bytes, room: bytes, kid: Kid, roster: bytes) -> MediaKey:
    """The key of one stream of one generation.

    ``sender_key`` is the 32-byte key of that generation, ``room`` the room's 32
    bytes, ``roster`` the 32-byte hash of the entry the generation was made for.
    """
    if not len(sender_key) == len(room) == len(roster) == KEY_SIZE:
        raise LocalProtocolError("sender key, room and roster hash have 32 bytes each")
    both = hkdf(sender_key, "vchat-1 media", room, kid.pack(), length=KEY_SIZE + SALT_SIZE)
    bits, kid_bytes = _sframe_half(kid.number)
    return MediaKey(
        kid=kid,
        key=both[:KEY_SIZE],
        salt=int.from_bytes(both[KEY_SIZE:], "big"),
        route=hkdf(sender_key, "vchat-1 route", kid.pack(), length=ROUTE_SIZE),
        aad_tail=room + roster,
        sframe_bits=bits << 4,
        sframe_kid=kid_bytes,
    )


@record
class Media:
    """What was inside a packet."""

    kind: int
    """u8; its meaning belongs to audio and video."""
    timestamp: int
    """u32, in the clock of the stream (48 kHz samples for voice)."""
    payload: bytes


@record
class MediaHeader:
    """What a forwarder can see of a packet."""

    route: bytes
    ctr: int


def seal_media(key: MediaKey, ctr: int, kind: int, timestamp: int, payload: bytes) -> bytes:
    """One datagram of ``len(payload) + OVERHEAD`` bytes.

    ``ctr`` must never be used twice with ``key``; ``MediaSealer`` counts.
    """
    if not 0 <= ctr < CTR_LIMIT:
        raise LocalProtocolError("the counter of a media key has run out")
    if len(payload) > MAX_PAYLOAD:
        raise LocalProtocolError(f"{len(payload)} bytes of media in one packet")
    inside = _INSIDE.pack(kind, timestamp) + payload
    sealed = encrypt(inside, *key.bound(ctr), key.key)
    return b"\x80" + key.route + ctr.to_bytes(6, "big") + sealed


def parse_header(datagram: bytes) -> MediaHeader:
    """Length and outside only; ``RemoteProtocolError`` if it is no sealed media."""
    if not OVERHEAD <= len(datagram) <= MAX_DATAGRAM:
        raise RemoteProtocolError(f"a media packet of {len(datagram)} bytes")
    if datagram[0] != SEALED_MEDIA:
        raise RemoteProtocolError(f"a packet that begins with {datagram[0]}, not with 128")
    return MediaHeader(datagram[1:9], int.from_bytes(datagram[9:15], "big"))


def open_media(key: MediaKey, header: MediaHeader, datagram: bytes) -> Media:
    """The inside; ``RemoteProtocolError`` when the tag is wrong. Knows no window."""
    inside = decrypt(datagram[HEADER_SIZE:], *key.bound(header.ctr), key.key)
    kind, timestamp = _INSIDE.unpack_from(inside)
    return Media(kind, timestamp, inside[INNER_SIZE:])


class MediaSealer:
    """Seals the packets of one KID and counts them."""

    def __init__(self, key: MediaKey) -> None:
        self.key = key
        self.next_ctr = 0
        """The CTR of the next packet; also how many were sealed."""

    def seal(self, kind: int, timestamp: int, payload: bytes) -> bytes:
        """The next datagram."""
        sealed = seal_media(self.key, self.next_ctr, kind, timestamp, payload)
        self.next_ctr += 1
        return sealed


class MediaOpener:
    """Opens the packets of one KID, each once."""

    def __init__(self, key: MediaKey, window: Window | None = None) -> None:
        """``window`` is that of voice unless given."""
        self.key = key
        self.window = window or Window()

    def open(self, header: MediaHeader, datagram: bytes) -> Media:
        """The inside of a packet whose routing id is ``key.route``.

        ``RemoteProtocolError`` for one seen before, too old, too far ahead, or
        with a wrong tag; only a right tag moves the window.
        """
        if not self.window.check(header.ctr):
            raise RemoteProtocolError("a media packet that was seen, is too old or far ahead")
        media = open_media(self.key, header, datagram)
        self.window.advance(header.ctr)
        return media
