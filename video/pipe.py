"""Records between the engine and a picture process: frames, words and sound in one stream.

    u32 length | u8 kind | body          big-endian; length counts kind and body

    kind 1, FRAME   u32 number | u64 captured | u8 flags | u8 codec | u16 width | u16 height
                    | one access unit
    kind 2, WORDS   one JSON object (UTF-8): an order, an event
    kind 3, SOUND   u64 captured | one Opus packet of 20 ms

``captured`` is µs of the monotonic clock: the sharer's on its side, the viewer's
on the other. Flag 1 says key frame, flag 2 (sharer's side only) that it belongs to
the second, smaller encoding, whose frames are counted for themselves. H.264 is Annex B
with its parameter sets before each key frame.

Both ends are processes of ours, yet a decoder chews what strangers sent: what
does not parse is a ``RemoteProtocolError``, and the other process is ended.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.record import record

# Specification
LENGTH = struct.Struct(">I")
FRAME_HEAD = struct.Struct(">BIQBBHH")  # with its kind
KIND_FRAME = 1
KIND_WORDS = 2
KIND_SOUND = 3
SOUND_HEAD = struct.Struct(">BQ")  # with its kind
FLAG_KEY, FLAG_SECOND = 1, 2
MAX_RECORD = 8 * 1024 * 1024  # bytes of kind and body
MAX_SIDE = 0xFFFF  # pixels
MOST_SIDE, MOST_PIXELS = 4096, 4096 * 2304  # of a picture that viewers decode, either way round


class Codec(IntEnum):
    """What a frame is compressed with."""

    H264 = 1
    VP9 = 2
    AV1 = 3


CODECS: Mapping[str, Codec] = {"h264": Codec.H264, "vp9": Codec.VP9, "av1": Codec.AV1}
"""By the names of orders and events."""


@record(slots=True)
class FrameRecord:
    """One compressed picture."""

    number: int
    """Counts up by one from picture to picture of an encoding, modulo 2**32."""
    captured: int
    """µs of the monotonic clock when it was taken."""
    key: bool
    """Whether it can be decoded without those before it."""
    codec: Codec
    width: int
    height: int
    """Pixels."""
    data: bytes
    """One access unit."""
    second: bool = False
    """Whether it belongs to the second, smaller encoding."""


@record(slots=True)
class SoundRecord:
    """20 ms of the sound of a stream, for a recording."""

    captured: int
    """µs of the monotonic clock when its first sample was played."""
    data: bytes
    """One Opus packet, in stereo."""


Words = dict[str, Any]
Record = FrameRecord | SoundRecord | Words


def frame_head(record: FrameRecord, size: int) -> bytes:
    """What stands before ``size`` bytes of an access unit; ``LocalProtocolError`` if too big."""
    if FRAME_HEAD.size + size > MAX_RECORD:
        raise LocalProtocolError("frame too large for the pipe")
    flags = FLAG_KEY * record.key | FLAG_SECOND * record.second
    return LENGTH.pack(FRAME_HEAD.size + size) + FRAME_HEAD.pack(
        KIND_FRAME,
        record.number,
        record.captured,
        flags,
        record.codec,
        record.width,
        record.height,
    )


def write_frame(record: FrameRecord) -> bytes:
    """A FRAME as it goes into the pipe."""
    return frame_head(record, len(record.data)) + record.data


def write_sound(record: SoundRecord) -> bytes:
    """SOUND as it goes into the pipe; ``LocalProtocolError`` if too long."""
    size = SOUND_HEAD.size + len(record.data)
    if size > MAX_RECORD:
        raise LocalProtocolError("sound too long for the pipe")
    return LENGTH.pack(size) + SOUND_HEAD.pack(KIND_SOUND, record.captured) + record.data


def write_words(words: Words) -> bytes:
    """WORDS as they go into the pipe; ``LocalProtocolError`` if too long."""
    body = json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()
    if 1 + len(body) > MAX_RECORD:
        raise LocalProtocolError("words too long for the pipe")
    return LENGTH.pack(1 + len(body)) + bytes((KIND_WORDS,)) + body


def parse(record: memoryview | bytes) -> Record:
    """One record without its length; ``RemoteProtocolError`` if it is none."""
    if not record:
        raise RemoteProtocolError("empty record")
    if record[0] == KIND_FRAME:
        return _parse_frame(record)
    if record[0] == KIND_WORDS:
        return _parse_words(bytes(record[1:]))
    if record[0] == KIND_SOUND:
        return _parse_sound(record)
    raise RemoteProtocolError("unknown kind of record")


def _parse_frame(record: memoryview | bytes) -> FrameRecord:
    if len(record) <= FRAME_HEAD.size:
        raise RemoteProtocolError("short frame")
    _, number, captured, flags, codec, width, height = FRAME_HEAD.unpack_from(record)
    if codec not in set(Codec) or not width or not height:
        raise RemoteProtocolError("frame of no known codec or size")
    if flags & ~(FLAG_KEY | FLAG_SECOND):
        raise RemoteProtocolError("frame with an unknown flag")
    data = bytes(record[FRAME_HEAD.size :])
    key, second = bool(flags & FLAG_KEY), bool(flags & FLAG_SECOND)
    return FrameRecord(number, captured, key, Codec(codec), width, height, data, second)


def _parse_sound(record: memoryview | bytes) -> SoundRecord:
    if len(record) <= SOUND_HEAD.size:
        raise RemoteProtocolError("short sound")
    _, captured = SOUND_HEAD.unpack_from(record)
    return SoundRecord(captured, bytes(record[SOUND_HEAD.size :]))


def _parse_words(body: bytes) -> Words:
    try:
        words = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError("words are not JSON") from error
    if not isinstance(words, dict):
        raise RemoteProtocolError("words are no object")
    return words


class Reader:
    """Cuts a stream of bytes into records."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that ``data`` completes; ``RemoteProtocolError`` ends the stream."""
        self._kept += data
        while (whole := self._next()) is not None:
            yield parse(whole)

    def _next(self) -> bytes | None:
        if len(self._kept) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._kept)
        if not 0 < length <= MAX_RECORD:
            raise RemoteProtocolError("record of impossible length")
        end = LENGTH.size + length
        if len(self._kept) < end:
            return None
        with memoryview(self._kept) as kept:
            whole = bytes(kept[LENGTH.size : end])
        del self._kept[:end]
        return whole
