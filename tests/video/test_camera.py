"""Cameras: how they are found and chosen, and what reading one gives."""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
from pathlib import Path
from typing import ClassVar
from unittest.mock import Mock

import av
import pytest

from tests.video.desk import MISSING, xvfb
from tests.video.test_share import film
from video import camera, shelf
from video.camera import Camera, Device, choose, list_v4l2, open_camera
from video.picture import Size
from video.source import Wish
from video.unavailable import PictureUnavailable

FOUND = [Device("Integrated Webcam", "/dev/video0"), Device("USB Capture", "/dev/video2")]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="V4L2 is Linux's")
WISH = Wish("camera", Size(320, 180), 20)


def node(folder: Path, name: str, called: str, index: int) -> None:
    """A camera's node as the kernel shows it."""
    (folder / name).mkdir()
    (folder / name / "name").write_text(f"{called}\n")
    (folder / name / "index").write_text(f"{index}\n")


def test_each_camera_is_listed_once_by_its_first_node(tmp_path: Path) -> None:
    node(tmp_path, "video10", "Late", 0)
    node(tmp_path, "video0", "Integrated Webcam", 0)
    node(tmp_path, "video1", "Integrated Webcam", 1)
    (tmp_path / "video2").mkdir()
    found = [Device("Integrated Webcam", "/dev/video0"), Device("Late", "/dev/video10")]
    assert list_v4l2(tmp_path) == found
    assert list_v4l2(tmp_path / "none") == []


def test_a_camera_is_chosen_by_nothing_its_name_its_node_or_a_part() -> None:
    assert choose(FOUND, "") is FOUND[0]
    assert choose(FOUND, "usb") is FOUND[1]
    assert choose(FOUND, "/dev/video2") is FOUND[1]
    with pytest.raises(PictureUnavailable, match="no camera fits 'drone'"):
        choose(FOUND, "drone")
    with pytest.raises(PictureUnavailable, match="no camera found"):
        choose([], "")


def test_a_camera_gives_stamped_pictures_until_it_is_unplugged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "_format", lambda: None)
    played = Camera(Device("film", film(tmp_path / "a.mkv", 0.5)), {})
    assert (played.size, played.fps) == (Size(320, 180), 20)
    shots = []
    while not played.ended:
        shots.append(played.read())
    played.close()
    stamps = [shot.captured for shot in shots if shot]
    assert len(stamps) == 10 and stamps == sorted(stamps) and shots[-1] is None


def test_a_camera_that_refuses_all_that_is_asked_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video0").write_bytes(b"no camera at all")
    broken = Device("Broken", str(tmp_path / "video0"))
    monkeypatch.setattr(camera, "cameras", lambda: [broken])
    with pytest.raises(PictureUnavailable, match="Broken") as caught:
        open_camera("", WISH)
    assert caught.value.code == "picture-camera" and caught.value.hint


def test_the_shelf_shows_what_a_spec_can_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "cameras", lambda: FOUND)
    specs = [item.spec for item in shelf.cameras().items]
    assert specs == ["camera:Integrated Webcam", "camera:USB Capture"]
    monkeypatch.setattr(camera, "cameras", lambda: [])
    assert shelf.cameras() == shelf.Shelf((), "no camera found")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setattr("video.cast.shutil.which", lambda _program: "/usr/bin/gst-launch-1.0")
    assert shelf.screens().items[0].spec == "screen" and shelf.screens().hint
    monkeypatch.setattr("video.cast.shutil.which", lambda _program: None)
    assert shelf.screens().items == () and "GStreamer" in shelf.screens().hint
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    monkeypatch.setenv("DISPLAY", "")
    assert shelf.screens().items == () and "DISPLAY" in shelf.screens().hint


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_the_shelf_shows_the_monitors(monkeypatch: pytest.MonkeyPatch) -> None:
    with xvfb(800, 600) as (display, _):
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.setenv("WAYLAND_DISPLAY", "")
        (item,) = shelf.screens().items
    assert (item.spec, item.size, item.default) == ("screen:1", Size(800, 600), True)


# ---- What cameras are asked ------------------------------------------------------------


class Driver:
    """A V4L2 driver of one camera, for whoever calls ``open`` and ``ioctl``."""

    name, abilities = b"Cam\xffera", 0x84200001
    formats: ClassVar = {b"YUYV": [(1280, 720), (640, 480)], b"MJPG": [(1920, 1080), (1280, 720)]}

    def open(self, path: str, _flags: int) -> int:
        if path != "/dev/video3":
            raise FileNotFoundError(path)
        return 3

    def ioctl(self, _node: int, question: int, told: bytearray) -> int:
        number, code = int.from_bytes(told[:4], "little"), bytes(told[4:8])
        try:
            if question == 0x80685600:  # VIDIOC_QUERYCAP
                told[16 : 16 + len(self.name)] = self.name
                told[84:92] = struct.pack("=II", 0x85200003, self.abilities)
            elif question == 0xC0405602:  # VIDIOC_ENUM_FMT
                told[44:48] = list(self.formats)[number]
            elif question == 0xC02C564A:  # VIDIOC_ENUM_FRAMESIZES
                told[8:20] = struct.pack("=3I", 1, *self.formats[code][number])
        except IndexError:
            raise OSError(22, "no more") from None
        return 0

    @classmethod
    def load(cls, monkeypatch: pytest.MonkeyPatch) -> Driver:
        """As ``LD_PRELOAD`` does."""
        one = cls()
        monkeypatch.setattr("video.v4l2.os.open", one.open)
        monkeypatch.setattr("video.v4l2.os.close", lambda _node: None)
        monkeypatch.setattr("video.v4l2.fcntl.ioctl", one.ioctl)
        return one


@linux
def test_cameras_of_a_preloaded_library_are_asked_for_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver.load(monkeypatch)
    monkeypatch.setenv("LD_PRELOAD", "/usr/$LIB/pipewire-0.3/v4l2/libpw-v4l2.so")
    assert camera.cameras() == [Device("Cam\ufffdera", "/dev/video3")]
    driver.abilities = 0x84A00000  # a node that tells about pictures, and gives none
    assert camera.cameras() == []


@linux
@pytest.mark.parametrize(
    ("box", "asked"),
    [
        (Size(0, 0), ["mjpeg 1280x720", "1280x720"]),
        (Size(1280, 1024), ["mjpeg 1920x1080", "1920x1080"]),
        (Size(3840, 2160), ["mjpeg 1920x1080", "1920x1080"]),
        (Size(320, 180), ["mjpeg 1280x720", "640x480"]),
    ],
)
def test_a_camera_is_asked_for_a_size_that_it_has(
    monkeypatch: pytest.MonkeyPatch, box: Size, asked: list[str]
) -> None:
    Driver.load(monkeypatch)
    found = camera._options("/dev/video3", Wish("camera", box, 0))
    assert [
        f"{one.get('input_format', '')} {one['video_size']}".strip() for one in found[:2]
    ] == asked
    assert found[-1] == {}
    (first, *_) = camera._options("/dev/video0", Wish("camera", Size(800, 600), 15))
    assert first == {"input_format": "mjpeg", "video_size": "800x600", "framerate": "15"}


def test_a_camera_that_promises_smaller_pictures_than_it_gives_is_refused() -> None:
    context = Mock(width=640, height=360, format=av.VideoFormat("yuyv422", 640, 360))
    context.name = "rawvideo"
    packet = Mock(size=640 * 360 * 2 + 4096, **{"stream.codec_context": context})
    camera.check_size(packet)
    packet.size = 1280 * 720 * 2
    with pytest.raises(ValueError, match="larger"):
        camera.check_size(packet)


def test_a_camera_that_hangs_or_may_not_be_opened_is_told_with_a_hint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(camera, "cameras", lambda: FOUND)
    for number, word in ((errno.EBUSY, "another program"), (errno.EACCES, "'video'")):
        refuse = Mock(side_effect=OSError(number, os.strerror(number)))
        monkeypatch.setattr("video.camera.av.open", refuse)
        with pytest.raises(PictureUnavailable) as caught:
            open_camera("", WISH)
        assert caught.value.message == f"Integrated Webcam: {os.strerror(number).lower()}"
        assert word in caught.value.hint
    monkeypatch.setattr(camera, "FIRST_PICTURE", 0.01)
    monkeypatch.setattr(camera, "LAST_PICTURE", 0.01)
    ended = threading.Event()

    def hang(*_: object, **__: object) -> None:
        ended.wait()
        raise OSError

    monkeypatch.setattr("video.camera.av.open", hang)
    with pytest.raises(PictureUnavailable, match="Integrated Webcam has given no picture"):
        open_camera("", WISH)
    ended.set()
