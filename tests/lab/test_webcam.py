"""A camera is shared, by FFmpeg's V4L2 input, and seen on the other side of a call."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.calls.engines import EngineProcess
from tests.calls.stage import Stage
from tests.lab.webcam import Webcams, webcams, why_impossible

pytestmark = pytest.mark.live

PRELOAD = ["pw-v4l2"]
BARS = [
    *((255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0)),
    *((255, 0, 255), (255, 0, 0), (0, 0, 255)),
]
NEAR = 12  # of 255: what codecs may change


@pytest.fixture(autouse=True, scope="module")
def possible() -> None:
    """What is missing here is told once."""
    why = why_impossible()
    if why is not None:
        pytest.skip(why)


@pytest.fixture
def plugged() -> Iterator[Webcams]:
    folder = Path(mkdtemp(prefix="vc-", dir="/tmp"))
    try:
        with webcams(folder) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pair(stage: Stage, plugged: Webcams) -> tuple[EngineProcess, EngineProcess]:
    """A host with cameras, and a guest."""
    return stage.pair(prefix=PRELOAD, variables=plugged.variables)


def last_picture(path: Path) -> NDArray[np.uint8]:
    """Of a recording, in red, green and blue."""
    with av.open(str(path)) as container:
        *_, last = container.decode(video=0)
    return np.asarray(last.to_ndarray(format="rgb24"), np.uint8)


@pytest.mark.parametrize(
    ("jpeg", "has", "wanted", "seen"),
    [
        (False, (1280, 720), {}, (1280, 720)),
        (False, (1280, 720), {"width": 1920, "height": 1080, "fps": 60}, (1280, 720)),
        (False, (1280, 720), {"width": 640, "height": 360}, (640, 360)),
        (True, (640, 480), {}, (640, 480)),
    ],
)
def test_a_camera_is_listed_and_seen_in_its_rate_and_colours_until_it_is_unplugged(
    stage: Stage,
    plugged: Webcams,
    tmp_path: Path,
    jpeg: bool,
    has: tuple[int, int],
    wanted: dict[str, int],
    seen: tuple[int, int],
) -> None:
    plugged.plug("Paper", *has, jpeg=jpeg)
    host, guest = pair(stage, plugged)
    host.say("cameras")
    assert host.wait("cameras")["cameras"] == [{"source": "camera:Paper", "about": "Paper"}]
    host.say("share", source="camera:Paper", **wanted)
    offered = guest.wait("stream-offered")
    assert (offered["width"], offered["height"], offered["fps"]) == (*seen, 30)
    stream = int(offered["stream"])
    guest.say("watch", member=host.member, stream=stream, to=f"file:{tmp_path / 'seen.mkv'}")
    guest.wait("stream-started")
    guest.say("stats", every=1)
    shown = f"{host.member}/{stream}"
    guest.wait("stats", where=lambda told: told["streams"][shown]["fps_shown"] >= 24)
    plugged.unplug("Paper")
    error = host.wait("error")
    assert error["code"] == "picture-camera" and error["message"].startswith("Paper")
    assert error["hint"] == "is it still plugged in?"
    guest.wait("stream-ended")
    guest.say("chat", text="still here")
    host.wait("chat", text="still here")
    picture = last_picture(tmp_path / "seen.mkv")
    height, width = picture.shape[:2]
    for number, colour in enumerate(BARS):
        spot = picture[height // 3, (2 * number + 1) * width // 14]
        assert np.abs(spot.astype(int) - colour).max() <= NEAR, (number, spot)


def test_a_camera_that_gives_no_pictures_is_told_in_one_sentence_with_a_hint(
    stage: Stage, plugged: Webcams
) -> None:
    plugged.plug("Paper", 1280, 720)
    plugged.freeze("Paper")
    host, guest = pair(stage, plugged)
    host.say("share", source="camera")
    error = host.wait("error")
    assert error["message"] == "Paper has given no picture for 10 s"
    assert error["hint"] == "is another program using it?"
    assert not guest.of("stream-offered")
