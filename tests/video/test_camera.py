"""Cameras: how they are found and chosen, and what reading one gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.video.desk import MISSING, xvfb
from tests.video.test_share import film
from video import camera, shelf
from video.camera import Camera, Device, choose, list_v4l2, open_camera
from video.picture import Size
from video.source import Wish
from video.unavailable import PictureUnavailable

FOUND = [Device("Integrated Webcam", "/dev/video0"), Device("USB Capture", "/dev/video2")]
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
