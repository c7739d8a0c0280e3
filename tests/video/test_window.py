"""The window, on a display that nobody looks at but us."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.video.encoded import stream
from tests.video.viewing import Child
from video.window import fitted, has_display

needs_xvfb = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
SIZE = (800, 600)


class Display:
    """An X server of our own."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-noreset"],
            pass_fds=(writing,),
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with open(reading) as numbers:
            self.name = ":" + numbers.readline().strip()

    @property
    def environment(self) -> dict[str, str]:
        """For programs that should show something there."""
        return {"DISPLAY": self.name, "SDL_VIDEODRIVER": "x11", "WAYLAND_DISPLAY": ""}

    def shot(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """What can be seen now: (height, width, 3)."""
        options = {"video_size": "800x600", "draw_mouse": "0"}
        with av.open(self.name, "r", format="x11grab", options=options) as container:
            return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)


@pytest.fixture
def display() -> Iterator[Display]:
    one = Display()
    yield one
    one.server.kill()
    one.server.wait()


@needs_xvfb
def test_the_window_shows_the_picture_in_its_shape_and_colours(display: Display) -> None:
    with Child("window", display.environment) as child:
        child.order(do="overlay", text="ann")
        child.frames(stream(5, 1280, 720), every=0.05)
        child.hear("started")
        child.hear("shown")
        child.hear("shown")
        shot = display.shot().astype(int)
        # 80 % of 800×600 leaves 640×360 in the middle.
        for bar, colour in enumerate(((255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 0)), 1):
            x = 80 + 640 * bar // 6 + 50
            assert np.abs(shot[120 + 90, x] - np.array(colour)).max() < 12, (bar, shot[210, x])
        assert shot[60, 400].max() == 0 and shot[210, 40].max() == 0
        line = shot[124:140, 84:200]
        assert line.max() == 255 and line.min() < 120, "the line stands in the corner"


@needs_xvfb
def test_a_display_that_goes_away_is_said(display: Display) -> None:
    with Child("window", display.environment) as child:
        child.frames(stream(3))
        child.hear("shown")
        display.server.kill()
        assert child.hear("error")["code"] == "display-gone"
        assert child.end() == ({"event": "ended", "reason": "display-gone"}, 0)


@needs_xvfb
@pytest.mark.skipif(shutil.which("xdotool") is None, reason="needs xdotool")
def test_a_person_closes_the_window_by_a_key(display: Display) -> None:
    with Child("window", display.environment) as child:
        child.frames(stream(3))
        child.hear("shown")
        over = ["mousemove", "400", "300", "click", "1", "key", "q"]
        subprocess.run(["xdotool", *over], env={**os.environ, **display.environment}, check=True)
        assert child.hear("closed")["how"] == "window"
        assert child.end() == ({"event": "ended", "reason": "closed"}, 0)


@needs_xvfb
def test_pictures_of_any_colour_format_are_shown(display: Display) -> None:
    with Child("window", display.environment) as child:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = 320, 180, "yuv444p"
        first = next(iter(stream(1)))
        context.options = {"preset": "ultrafast", "tune": "zerolatency"}
        context.framerate, context.time_base = Fraction(30), Fraction(1, 30)
        picture = av.VideoFrame.from_ndarray(np.full((180, 320, 3), 200, np.uint8), "rgb24")
        [packet] = context.encode(picture.reformat(format="yuv444p"))
        child.frames([replace(first, data=bytes(packet))])
        assert child.hear("started")["width"] == 320
        child.hear("shown")
        time.sleep(0.2)
        assert abs(int(display.shot()[300, 400].mean()) - 200) < 6


def test_without_a_display_it_is_said() -> None:
    with Child("window", {"DISPLAY": "", "WAYLAND_DISPLAY": ""}) as child:
        error = child.hear("error")
        assert error["code"] == "no-display" and "terminal" in error["hint"]
        assert child.end()[1] == 0


@given(*[st.tuples(st.integers(1, 5000), st.integers(1, 5000))] * 2)
def test_a_picture_keeps_its_shape_in_any_window(
    picture: tuple[int, int], room: tuple[int, int]
) -> None:
    x, y, width, height = fitted(picture, room)
    assert width <= room[0] and height <= room[1]
    assert width == room[0] or height == room[1]
    assert abs(x * 2 + width - room[0]) <= 1 and abs(y * 2 + height - room[1]) <= 1


def test_a_display_is_known_by_the_environment() -> None:
    assert has_display({"DISPLAY": ":0"}, "linux")
    assert has_display({}, "darwin")
    assert not has_display({"DISPLAY": ""}, "linux")
