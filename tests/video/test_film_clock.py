"""Where a film stands on our clock, as its sound must know it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import pytest

from video.clip import Clip
from video.source import Shot

RATE = 25
PICTURES = 6


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A short film whose clock begins at 0."""
    name = str(tmp_path / "film.mkv")
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"tune": "zerolatency"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(PICTURES):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return name


def shots(clip: Clip, count: int) -> list[Shot]:
    found = [clip.read() for _ in range(count)]
    clip.close()
    return [one for one in found if one is not None]


def test_every_picture_says_when_its_film_showed_zero(path: str) -> None:
    seen = shots(Clip(path, again=False), PICTURES)
    assert {one.film for one in seen} == {seen[0].film}
    assert seen[0].film is not None and seen[0].film[1] == 0
    for number, one in enumerate(seen):
        at = seen[0].film[0] + number / RATE
        assert one.captured / 1e6 == pytest.approx(at, abs=0.1)
        assert one.captured / 1e6 >= at - 0.002


def test_a_film_that_begins_again_says_so(path: str) -> None:
    seen = [one.film for one in shots(Clip(path, again=True), 3 * PICTURES)]
    turns = sorted({film for film in seen if film is not None}, key=lambda film: film[1])
    assert [turn for _, turn in turns] == [0, 1, 2]
    for (before, _), (after, _) in pairwise(turns):
        assert after - before >= (PICTURES - 1) / RATE
