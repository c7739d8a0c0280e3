"""Films as a player shows them, and the colours of whatever is shared."""

from __future__ import annotations

import contextlib
import re
import struct
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from video import clip
from video.clip import Clip
from video.convert import Converter
from video.film import Film
from video.picture import Size
from video.unavailable import PictureUnavailable

WIDE = Size(96, 64)
IDENTITY = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
TURNED = {
    90: struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000),
    180: struct.pack(">9i", -0x10000, 0, 0, 0, -0x10000, 0, 0, 0, 0x40000000),
    270: struct.pack(">9i", 0, -0x10000, 0, 0x10000, 0, 0, 0, 0, 0x40000000),
}
"""By degrees clockwise, the matrix of a track of MP4 (ISO/IEC 14496-12, 8.3.2)."""


def picture(size: Size = WIDE) -> NDArray[np.uint8]:
    """Black, but for a bright corner: top left."""
    drawn = np.zeros((size.height, size.width, 3), np.uint8)
    drawn[: size.height // 2, : size.width // 2] = 255
    return drawn


def write(
    path: Path, count: int = 10, codec: str = "mpeg4", *, apart: int = 1, **about: Any
) -> Path:
    """A film of one picture again and again, ``apart`` 25ths of a second from each other."""
    with av.open(str(path), "w") as container:
        stream: av.VideoStream = container.add_stream(codec, rate=25)  # type: ignore[assignment]
        stream.width, stream.height, stream.pix_fmt = WIDE.width, WIDE.height, "yuv420p"
        stream.codec_context.gop_size = 1
        for name, value in about.items():
            setattr(stream.codec_context, name, value)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(), format="rgb24")
            frame.pts, frame.time_base = number * apart, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def damage(path: Path, which: range) -> None:
    """Zeros in the place of some pictures (JPEG)."""
    data = path.read_bytes()
    begins = [one.start() for one in re.finditer(b"\xff\xd8\xff", data)]
    changed = bytearray(data)
    for number in which:
        end = data.index(b"\xff\xd9", begins[number])
        changed[begins[number] : end] = bytes(end - begins[number])
    path.write_bytes(changed)


def corner(frame: av.VideoFrame) -> tuple[str, str]:
    """Where the bright part is."""
    grey = frame.to_ndarray(format="gray").astype(float)
    down, right = np.argwhere(grey > 128).mean(axis=0) / grey.shape
    return "bottom" if down > 0.5 else "top", "right" if right > 0.5 else "left"


@contextlib.contextmanager
def opened(path: Path, *, again: bool = False) -> Iterator[Clip]:
    """A clip that is closed again."""
    one = Clip(str(path), again=again)
    try:
        yield one
    finally:
        one.close()


@pytest.mark.parametrize(
    ("degrees", "where"),
    [(90, ("top", "right")), (180, ("bottom", "right")), (270, ("bottom", "left"))],
)
def test_a_film_of_a_telephone_stands_upright(
    degrees: int, where: tuple[str, str], tmp_path: Path
) -> None:
    path = write(tmp_path / "a.mp4")
    data = path.read_bytes()
    at = data.rindex(IDENTITY)  # of the track; that of the film comes before
    path.write_bytes(data[:at] + TURNED[degrees] + data[at + len(IDENTITY) :])
    film = Film(str(path))
    frames = list(film)
    expected = WIDE if degrees == 180 else Size(WIDE.height, WIDE.width)
    assert film.size == expected
    assert {Size(one.width, one.height) for one in frames} == {expected}
    assert [corner(one) for one in frames] == [where] * 10
    times = [one.time for one in frames]
    assert [round(b - a, 3) for a, b in pairwise(times)] == [0.04] * 9
    film.close()


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", sample_aspect_ratio=Fraction(3, 2))
    with opened(path) as film:
        assert film.size == Size(144, 64)
        shot = film.read()
        assert shot is not None
        made = Converter(film.size).convert(shot.frame)
        assert (made.width, made.height) == (144, 64)


def test_damage_in_the_middle_costs_some_pictures_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", 30, codec="mjpeg", pix_fmt="yuvj420p")
    damage(path, range(10, 15))
    film = Film(str(path))
    assert len(list(film)) == 25
    film.close()


def test_pictures_without_times_come_in_their_rate(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h264", codec="libx264")
    with opened(path) as film:
        began = time.monotonic()
        shots = [film.read() for _ in range(10)]
        assert None not in shots
        assert time.monotonic() - began > 0.3


@pytest.mark.parametrize(("kind", "waits"), [("mkv", True), ("ts", False)])
def test_a_picture_that_stands_long_is_waited_for_unless_clocks_may_leap(
    kind: str, waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip, "LEAP", 0.3)
    path = write(tmp_path / f"a.{kind}", 8, codec="libx264", apart=20)
    with opened(path) as film:
        assert film.read() is not None
        began = time.monotonic()
        assert film.read() is not None
        assert (time.monotonic() - began > 0.6) is waits


@pytest.mark.parametrize("again", [False, True])
def test_a_single_picture_stays(again: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", 1, codec="png", pix_fmt="rgb24")
    with opened(path, again=again) as film:
        assert film.read() is not None
        assert [film.read() for _ in range(3)] == [None] * 3
        assert not film.ended


def test_the_last_picture_is_seen_as_long_as_others(tmp_path: Path) -> None:
    with opened(write(tmp_path / "a.mkv", 3)) as film:
        shots = [film.read() for _ in range(3)]
        assert None not in shots
        began = time.monotonic()
        assert film.read() is None and film.ended
        assert time.monotonic() - began > 0.03


def test_a_film_without_a_picture_that_can_be_decoded_is_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", codec="mjpeg", pix_fmt="yuvj420p")
    damage(path, range(10))
    with pytest.raises(PictureUnavailable) as raised:
        Film(str(path))
    assert raised.value.code == "picture-file"


# ---- Colours --------------------------------------------------------------------------

HD, SD = Size(1280, 720), Size(640, 360)
ORANGE = (230, 120, 20)
MATRICES = {5: Colorspace.ITU601, 6: Colorspace.ITU601, 1: Colorspace.ITU709}
"""By the colour description of H.273."""


def coloured(size: Size, matrix: int, told: int, *, full: bool) -> av.VideoFrame:
    """Orange by ``matrix``, which says that it is by ``told``."""
    drawn = np.empty((size.height, size.width, 3), np.uint8)
    drawn[:] = ORANGE
    frame = av.VideoFrame.from_ndarray(drawn, format="rgb24").reformat(
        format="yuvj420p" if full else "yuv420p",
        dst_colorspace=MATRICES[matrix],
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
    )
    frame.colorspace = told
    return frame


@pytest.mark.parametrize("size", [HD, SD])
@pytest.mark.parametrize(
    ("of", "matrix", "told", "full"),
    [
        (HD, 5, 5, True),  # MJPEG, as cameras give it
        (HD, 1, 1, False),
        (HD, 6, 6, False),
        (HD, 1, 2, False),  # says nothing: by its own size
        (SD, 6, 2, False),
        (SD, 1, 1, True),
    ],
)
def test_colours_stay_what_they_were(
    of: Size, matrix: int, told: int, full: bool, size: Size
) -> None:
    made = Converter(size).convert(coloured(of, matrix, told, full=full))
    shown = made.to_ndarray(
        format="rgb24",
        src_colorspace=Colorspace.ITU709 if size is HD else Colorspace.ITU601,
    )
    assert np.abs(shown[size.height // 2, size.width // 2].astype(int) - ORANGE).max() <= 6
