"""Encoders: real pictures in, decoded pictures out."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

import video.encoder
from tests.video.eyes import marks
from video import recipes
from video.encoder import Encoder, Unit, has_parameter_sets
from video.pattern import Mark, Pattern
from video.picture import Size
from video.pipe import Codec
from video.recipes import BUFFER_SECONDS
from video.unavailable import PictureUnavailable

SIZE = Size(320, 180)


def pictures(count: int, size: Size = SIZE, first: int = 0) -> Iterator[av.VideoFrame]:
    """Of the test pattern."""
    pattern = Pattern(size.width, size.height)
    for number in range(first, first + count):
        drawn = pattern.draw(Mark(number, number * 1000))
        yield av.VideoFrame.from_numpy_buffer(drawn, format="yuv420p")


def encode(encoder: Encoder, frames: Iterator[av.VideoFrame], begin: int = 0) -> list[Unit]:
    """All units of pictures at 30 per second."""
    units = []
    for number, frame in enumerate(frames, begin):
        units += encoder.encode(frame, 1_000_000 + number * 33_333)
    return units


@pytest.mark.parametrize("codec", Codec)
def test_each_picture_comes_out_at_once_and_can_be_read_when_decoded(codec: Codec) -> None:
    encoder = Encoder(codec, SIZE, 30, 1_000_000)
    for number, frame in enumerate(pictures(12)):
        units = encoder.encode(frame, 5_000_000 + number * 33_333)
        assert [unit.captured for unit in units] == [5_000_000 + number * 33_333]
    units = encode(Encoder(codec, SIZE, 30, 1_000_000), pictures(12))
    assert marks(codec, units) == [Mark(n, n * 1000) for n in range(12)]


@pytest.mark.parametrize("codec", Codec)
def test_key_frames_come_when_they_are_asked_for_and_never_else(codec: Codec) -> None:
    encoder = Encoder(codec, SIZE, 30, 1_000_000)
    units = encode(encoder, pictures(10))
    encoder.want_key()
    units += encode(encoder, pictures(20, first=10), 10)
    assert [n for n, unit in enumerate(units) if unit.key] == [0, 10]
    assert marks(codec, units[10:])[0] == Mark(10, 10_000)


def test_a_key_frame_of_h264_brings_its_parameters_and_another_picture_does_not() -> None:
    encoder = Encoder(Codec.H264, SIZE, 30, 1_000_000)
    units = encode(encoder, pictures(5))
    encoder.want_key()
    units += encode(encoder, pictures(1, first=5), 5)
    assert [has_parameter_sets(bytes(unit.data)) for unit in units] == [unit.key for unit in units]


def test_a_change_of_all_of_the_picture_is_no_key_frame() -> None:
    encoder = Encoder(Codec.H264, SIZE, 30, 1_000_000)
    encode(encoder, pictures(3))
    black = np.zeros((SIZE.height * 3 // 2, SIZE.width), np.uint8)
    (unit,) = encoder.encode(av.VideoFrame.from_numpy_buffer(black, format="yuv420p"), 9_000_000)
    assert not unit.key


def rates(units: list[Unit], skip: int) -> float:
    """Bit/s at 30 pictures per second, without the first."""
    counted = units[skip:]
    return sum(unit.data.size for unit in counted) * 8 * 30 / len(counted)


BIG = Size(640, 360)


@pytest.mark.parametrize("bitrate", [300_000, 600_000])
def test_the_bitrate_is_obeyed_within_a_fifth(bitrate: int) -> None:
    units = encode(Encoder(Codec.H264, BIG, 30, bitrate), pictures(150, BIG))
    assert rates(units, 30) == pytest.approx(bitrate, rel=0.2)


def test_another_bitrate_is_obeyed_at_once_and_without_a_key_frame() -> None:
    encoder = Encoder(Codec.H264, BIG, 30, 600_000)
    before = encode(encoder, pictures(90, BIG))
    encoder.set_bitrate(200_000)
    after = encode(encoder, pictures(120, BIG, 90), 90)
    assert rates(after, 30) == pytest.approx(200_000, rel=0.2)
    assert rates(after[:30], 0) < 320_000
    encoder.set_bitrate(600_000)
    again = encode(encoder, pictures(120, BIG, 210), 210)
    assert rates(again, 60) == pytest.approx(600_000, rel=0.2)
    encoder.set_bitrate(1_000_000)
    more = encode(encoder, pictures(120, BIG, 330), 330)
    assert rates(more, 60) == pytest.approx(1_000_000, rel=0.25)
    assert [unit.key for unit in before + after + again + more].count(True) == 1


@pytest.mark.parametrize("every", [2, 4])
def test_the_bitrate_is_one_of_real_time_also_where_pictures_come_rarely(every: int) -> None:
    encoder, units = Encoder(Codec.H264, BIG, 60, 600_000), []
    for number, frame in enumerate(pictures(120, BIG)):
        units += encoder.encode(frame, 1_000_000 + number * every * 16_667)
    rate = rates(units, 40) / 30 * 60 / every
    assert rate == pytest.approx(600_000, rel=0.25)


def test_no_single_picture_is_larger_than_the_buffer() -> None:
    units = encode(Encoder(Codec.H264, BIG, 30, 600_000), pictures(90, BIG))
    assert max(unit.data.size for unit in units) * 8 < 600_000 * 0.25 * 1.1


@pytest.mark.parametrize("codec", list(Codec))
def test_a_key_frame_gets_through_a_narrow_path(codec: Codec) -> None:
    size = Size(1280, 720)
    (unit,) = encode(Encoder(codec, size, 30, 500_000), pictures(1, size))
    assert unit.data.size * 8 < 1.1 * 500_000, "more than a second"


def test_a_path_that_became_wide_gets_a_larger_buffer_with_one_key_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(video.encoder, "REOPEN_EVERY", 0.0)
    encoder = Encoder(Codec.H264, BIG, 30, 200_000)
    encode(encoder, pictures(30, BIG))
    encoder.set_bitrate(300_000)
    assert not any(unit.key for unit in encode(encoder, pictures(30, BIG, 30), 30))
    encoder.set_bitrate(2_000_000)
    units = encode(encoder, pictures(30, BIG, 60), 60)
    assert [unit.key for unit in units] == [True] + 29 * [False]
    assert units[0].data.size * 8 > 2 * 200_000 * BUFFER_SECONDS


def test_a_picture_that_stays_costs_next_to_nothing_and_gets_sharp() -> None:
    encoder = Encoder(Codec.H264, BIG, 30, 600_000)
    units = encode(encoder, pictures(60, BIG))
    (last,) = pictures(1, BIG, 59)
    still = [encoder.encode(last, 10_000_000 + n * 80_000)[0] for n in range(40)]
    before, after = units[-1].quantizer, still[-1].quantizer
    assert before is not None and after is not None and after < before - 10
    assert sum(unit.data.size for unit in still) < sum(unit.data.size for unit in units)


def test_an_encoder_that_does_not_work_here_gives_way_to_the_next() -> None:
    encoder = Encoder(Codec.H264, SIZE, 30, 1_000_000, wanted="h264_v4l2m2m")
    assert len(encode(encoder, pictures(3))) == 3
    assert encoder.name in {"libx264", "h264_v4l2m2m"}


def test_an_encoder_that_breaks_later_gives_way_with_a_key_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = Encoder(Codec.VP9, SIZE, 30, 1_000_000)
    encode(encoder, pictures(2))

    class Broken:
        bit_rate = 0

        def encode(self, _frame: object) -> list[object]:
            raise av.error.ExternalError(-1, "the card fell out")

    monkeypatch.setattr(encoder, "_context", Broken())
    with pytest.raises(PictureUnavailable):
        encode(encoder, pictures(1))
    encoder = Encoder(Codec.H264, SIZE, 30, 1_000_000)
    encode(encoder, pictures(2))
    monkeypatch.setattr(encoder, "_left", [encoder._recipe])
    monkeypatch.setattr(encoder, "_context", Broken())
    (unit,) = encode(encoder, pictures(1), 2)
    assert unit.key


def test_opening_and_closing_gives_the_memory_back() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    sizes = []
    for _ in range(24):
        encoder = Encoder(Codec.H264, BIG, 30, 600_000)
        encode(encoder, pictures(2, BIG))
        encoder.close()
        sizes.append(resident())
    assert sizes[-1] - sizes[8] < 20e6


def test_encoders_that_must_be_opened_again_for_it_follow_large_changes_only() -> None:
    encoder = Encoder(Codec.VP9, SIZE, 30, 1_000_000)
    encode(encoder, pictures(2))
    encoder.set_bitrate(900_000)
    assert not encode(encoder, pictures(1, first=2), 2)[0].key
    encoder.set_bitrate(300_000)
    assert not encode(encoder, pictures(1, first=3), 3)[0].key
    encoder._opened = time.monotonic() - 10
    assert encode(encoder, pictures(1, first=4), 4)[0].key


def test_timestamps_rise(codec: Codec = Codec.H264) -> None:
    units = encode(Encoder(codec, SIZE, 30, 1_000_000), pictures(5))
    assert all(one.captured < other.captured for one, other in pairwise(units))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads how ELF is linked")
def test_a_program_linked_to_fixed_addresses_is_known_by_where_it_lies() -> None:
    (kind,) = struct.unpack_from("<H", Path(sys.executable).read_bytes(), 16)
    assert recipes.nowhere_is_dear() is (kind == 2)  # ET_EXEC; ET_DYN may lie anywhere


@pytest.mark.parametrize(
    ("low", "bitrate"), [(0, 4_000_000), (1 << 64, 4_000_000), (1 << 64, 300_000)]
)
def test_pictures_are_made_wherever_the_program_lies(
    low: int, bitrate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "LOW", low)
    units = encode(Encoder(Codec.H264, SIZE, 30, bitrate), pictures(12))
    between = low > 0 and bitrate >= recipes.AMPLE
    assert (b"subme=1" in bytes(units[0].data)) is between  # x264 names its options
    assert marks(Codec.H264, units) == [Mark(n, n * 1000) for n in range(12)]
