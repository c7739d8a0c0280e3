"""Sealed records inside a QUIC stream: one body, one record, in order.

    record     = u16 length | ciphertext with tag          length of the latter
    plaintext  = u8 last (0 or 1) | body                   body ≤ 65 000 bytes
    nonce      = number of the record, from 0: 24 bytes big-endian
    AAD        = the u16 length
    key        = HKDF(split key of that direction, "vchat-1 stream", stream id u64)

XChaCha20-Poly1305. QUIC delivers in order, so a record that does not open
means that somebody interfered, and ends the conversation. A stream that ends
without a record marked last was cut off.
"""

from __future__ import annotations

from vc_core.aead import NONCE_SIZE, TAG_SIZE, decrypt, encrypt
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.keys import hkdf

# Specification
MAX_BODY = 65_000  # bytes of one body
LENGTH_SIZE = 2
MIN_RECORD = 1 + TAG_SIZE  # the flag and the tag
MAX_RECORD = MAX_BODY + MIN_RECORD


def stream_key(split_key: bytes, stream: int) -> bytes:
    """The key of one direction of one stream, 32 bytes."""
    return hkdf(split_key, "vchat-1 stream", stream.to_bytes(8, "big"))


class StreamSealer:
    """The sending end of one direction of one stream.

    ``key`` is the Noise split key of that direction, ``stream`` QUIC's stream id.
    """

    def __init__(self, key: bytes, stream: int) -> None:
        self._key = stream_key(key, stream)
        self._count = 0
        self._ended = False

    def seal(self, body: bytes, *, last: bool = False) -> bytes:
        """The next record; none may follow a ``last`` one."""
        if self._ended:
            raise LocalProtocolError("a record after the last one of its stream")
        if len(body) > MAX_BODY:
            raise LocalProtocolError(f"a record body of {len(body)} bytes")
        length = (len(body) + MIN_RECORD).to_bytes(LENGTH_SIZE, "big")
        nonce = self._count.to_bytes(NONCE_SIZE, "big")
        self._count += 1
        self._ended = last
        return length + encrypt(bytes([last]) + body, length, nonce, self._key)


class StreamOpener:
    """The receiving end; holds at most one unfinished record."""

    def __init__(self, key: bytes, stream: int) -> None:
        self._key = stream_key(key, stream)
        self._count = 0
        self._buffer = bytearray()
        self.ended = False
        """Whether the record marked last has come."""

    def receive(self, data: bytes) -> list[bytes]:
        """The bodies that ``data`` completes.

        ``RemoteProtocolError`` for a wrong tag or length, or anything after the
        last record; the opener is of no use after that.
        """
        self._buffer += data
        bodies, at = [], 0
        while record := self._next_record(at):
            at += LENGTH_SIZE + len(record)
            bodies.append(self._open(record))
        del self._buffer[:at]
        if self.ended and self._buffer:
            raise RemoteProtocolError("bytes after the last record of a stream")
        return bodies

    def finish(self) -> None:
        """The stream has ended: ``RemoteProtocolError`` unless its last record came."""
        if not self.ended:
            raise RemoteProtocolError("a stream was cut off before its last record")

    def _next_record(self, at: int) -> bytes:
        start = at + LENGTH_SIZE
        if self.ended or len(self._buffer) < start:
            return b""
        size = int.from_bytes(self._buffer[at:start], "big")
        if not MIN_RECORD <= size <= MAX_RECORD:
            raise RemoteProtocolError(f"a record of {size} bytes")
        whole = start + size
        return bytes(self._buffer[start:whole]) if len(self._buffer) >= whole else b""

    def _open(self, record: bytes) -> bytes:
        nonce = self._count.to_bytes(NONCE_SIZE, "big")
        length = len(record).to_bytes(LENGTH_SIZE, "big")
        plain = decrypt(record, length, nonce, self._key)
        if plain[0] > 1:
            raise RemoteProtocolError("a record's flag is neither 0 nor 1")
        self._count += 1
        self.ended = plain[0] == 1
        return plain[1:]
