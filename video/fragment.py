"""Fragments: a frame of pictures cut into pieces that fit into datagrams.

The payload of sealed media of kind 3 (one piece), integers big-endian:

    u32 frame | u16 index | u16 count | u8 flags | u8 codec | u8 back | bytes

    flags   1 KEY      the frame can be decoded by itself
            2 PARITY   ``bytes`` are parity (video.parity), not data
    back    the frame that this one needs is this many numbers before it; 0: none
    count   data pieces of the frame; parity pieces are not counted

The data pieces in order are u16 width | u16 height | one access unit; all but the last
have ``PIECE_SIZE`` bytes. They are dealt into blocks of at most 32: piece i belongs
to block i mod B, B = ceil(count / 32); parity piece ``row * B + block`` belongs to that
block. Frames are numbered as they are made, those of both encodings of a stream in one row,
which is why a frame names the one that it needs.
"""

from __future__ import annotations

import struct

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.packet import MAX_PAYLOAD
from vc_core.record import record
from video.parity import ROWS, blocks_of, parity

# Specification
PIECE_LAYOUT = struct.Struct(">IHHBBB")
PIECE_SIZE = MAX_PAYLOAD - PIECE_LAYOUT.size - 2  # bytes of data; parity has two more
MAX_PIECES = 2048  # data pieces of one frame: 2.3 MB
MAX_BACK = 255
SIZE_LAYOUT = struct.Struct(">HH")


class Flag:
    """What a piece says of its frame and of itself; plain numbers, since many are read."""

    KEY = 1
    PARITY = 2


class Codec:
    """Numbers of codecs."""

    H264 = 1
    VP9 = 2
    AV1 = 3


CODECS = (Codec.H264, Codec.VP9, Codec.AV1)


@record
class Picture:
    """One encoded frame."""

    number: int
    back: int
    """0 for a key frame, else the distance to the frame that it needs."""
    codec: int
    timestamp: int
    """When it was taken, in ms on the sharer's clock, modulo 2^32."""
    width: int
    height: int
    data: bytes
    """One access unit."""

    @property
    def key(self) -> bool:
        """Whether it can be decoded by itself."""
        return self.back == 0

    def body(self) -> bytes:
        """What is cut into pieces."""
        return SIZE_LAYOUT.pack(self.width, self.height) + self.data


@record(slots=True)
class Piece:
    """One piece as it was read."""

    frame: int
    index: int
    count: int
    key: bool
    parity: bool
    codec: int
    back: int
    data: bytes


def read_piece(payload: bytes) -> Piece:
    """A payload; ``RemoteProtocolError`` for anything that ``cut`` does not write."""
    if len(payload) <= PIECE_LAYOUT.size:
        raise RemoteProtocolError("a piece of a picture ends too early")
    frame, index, count, flags, codec, back = PIECE_LAYOUT.unpack_from(payload)
    data = payload[PIECE_LAYOUT.size :]
    key, of_parity = bool(flags & Flag.KEY), bool(flags & Flag.PARITY)
    if flags > 3 or codec not in CODECS or not 0 < count <= MAX_PIECES:
        raise RemoteProtocolError("a piece of a picture that cannot be")
    if key is not (back == 0) or back > frame:
        raise RemoteProtocolError("a frame that needs none or one that cannot be")
    if of_parity:
        good = index < ROWS * blocks_of(count) and 2 < len(data) <= PIECE_SIZE + 2
    else:
        last = index == count - 1
        good = index < count and (len(data) <= PIECE_SIZE if last else len(data) == PIECE_SIZE)
    if not good:
        raise RemoteProtocolError("a piece that does not fit into its frame")
    return Piece(frame, index, count, key, of_parity, codec, back, data)


class Fragments:
    """The pieces of one frame, data first; parity rows are made when asked for."""

    def __init__(self, picture: Picture) -> None:
        """``LocalProtocolError`` for a frame that is too large or needs one too far back."""
        body = picture.body()
        self._data = [body[at : at + PIECE_SIZE] for at in range(0, len(body), PIECE_SIZE)]
        self.count = len(self._data)
        self.blocks = blocks_of(self.count)
        if self.count > MAX_PIECES or not 0 <= picture.back <= MAX_BACK:
            raise LocalProtocolError("a frame that cannot be sent")
        self._picture = picture
        self._flags = Flag.KEY if picture.key else 0

    def size(self, index: int) -> int:
        """Bytes of a data piece's payload."""
        return PIECE_LAYOUT.size + len(self._data[index])

    def data(self, index: int) -> bytes:
        """Payload of a data piece."""
        return self._head(index, 0) + self._data[index]

    def parity(self, index: int) -> bytes:
        """Payload of a parity piece."""
        row, block = divmod(index, self.blocks)
        rows = parity(self._data[block :: self.blocks], row)
        return self._head(index, Flag.PARITY) + rows

    def _head(self, index: int, flags: int) -> bytes:
        one, flags = self._picture, flags | self._flags
        return PIECE_LAYOUT.pack(one.number, index, self.count, flags, one.codec, one.back)
