"""Records of the pipe: what is written is read, and what is no record is refused."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from video.pipe import (
    MAX_RECORD,
    Codec,
    FrameRecord,
    Reader,
    SoundRecord,
    parse,
    write_frame,
    write_sound,
    write_words,
)

FRAME = FrameRecord(7, 123_456_789, True, Codec.H264, 1920, 1080, b"\0\0\0\1unit")
FRAMES = st.builds(
    FrameRecord,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.booleans(),
    st.sampled_from(Codec),
    st.integers(1, 0xFFFF),
    st.integers(1, 0xFFFF),
    st.binary(min_size=1, max_size=50),
    st.booleans(),
)


def test_a_frame_has_the_bytes_of_the_document() -> None:
    head = struct.pack(">IBIQBBHH", 27, 1, 7, 123_456_789, 1, 1, 1920, 1080)
    assert write_frame(FRAME) == head + b"\0\0\0\1unit"


def test_sound_has_the_bytes_of_the_document() -> None:
    record = write_sound(SoundRecord(123_456_789, b"opus"))
    assert record == struct.pack(">IBQ", 13, 3, 123_456_789) + b"opus"
    assert parse(record[4:]) == SoundRecord(123_456_789, b"opus")
    with pytest.raises(RemoteProtocolError):
        parse(record[4:-4])


def test_a_flag_says_that_a_frame_is_of_the_second_encoding_and_others_are_refused() -> None:
    record = bytearray(write_frame(replace(FRAME, second=True)))
    flags = 4 + 1 + 4 + 8
    assert record[flags] == 3
    assert parse(bytes(record[4:])) == replace(FRAME, second=True)
    record[flags] = 4
    with pytest.raises(RemoteProtocolError):
        parse(bytes(record[4:]))


@given(st.lists(FRAMES | st.dictionaries(st.text(), st.integers())), st.integers(1, 40))
def test_records_come_out_as_they_went_in_however_they_are_cut(
    records: list[FrameRecord | dict[str, int]], step: int
) -> None:
    data = b"".join(
        write_frame(one) if isinstance(one, FrameRecord) else write_words(one) for one in records
    )
    reader = Reader()
    found: list[object] = []
    for begin in range(0, len(data), step):
        found += reader.feed(data[begin : begin + step])
    assert found == records


@given(st.binary(max_size=60))
def test_what_is_no_record_is_the_other_sides_fault_and_nothing_worse(data: bytes) -> None:
    try:
        parse(data)
    except RemoteProtocolError:
        return


@pytest.mark.parametrize("length", [0, MAX_RECORD + 1, 0xFFFF_FFFF])
def test_a_length_that_cannot_be_is_refused_before_anything_is_kept(length: int) -> None:
    with pytest.raises(RemoteProtocolError):
        list(Reader().feed(struct.pack(">I", length)))


@pytest.mark.parametrize("body", [b"\2[]", b"\2{", b"\2\xff", b"\2" + b"[" * 100_000, b"\4{}"])
def test_words_are_one_object(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(body)


def test_what_is_too_large_is_never_written() -> None:
    with pytest.raises(LocalProtocolError):
        write_words({"text": "x" * MAX_RECORD})
    with pytest.raises(LocalProtocolError):
        write_sound(SoundRecord(0, bytes(MAX_RECORD)))
