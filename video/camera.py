"""Cameras, by FFmpeg's v4l2, avfoundation and dshow."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from vc_core.record import record
from video.picture import Size
from video.source import Shot, Source, Wish
from video.unavailable import PictureUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

# Implementation
SIZE, FPS = Size(1280, 720), 30.0  # where nobody asks for another
_FORMATS = {"linux": "video4linux2", "darwin": "avfoundation", "win32": "dshow"}


@record(slots=True)
class Device:
    """One camera."""

    name: str
    """For people, and for ``camera:NAME``."""
    handle: str
    """What FFmpeg opens."""


def cameras() -> list[Device]:
    """All that are there; the first is the default one."""
    if sys.platform.startswith("linux"):
        return list_v4l2()
    return _list_by_ffmpeg()


def list_v4l2(folder: Path = Path("/sys/class/video4linux")) -> list[Device]:
    """What the kernel knows; of one camera's several nodes the first, which gives pictures."""
    found = []
    for node in sorted(folder.glob("video*"), key=lambda one: int(one.name[5:] or 0)):
        try:
            name = (node / "name").read_text("utf-8", "replace").strip()
            index = (node / "index").read_text().strip()
        except OSError:
            continue
        if index == "0":
            found.append(Device(name, f"/dev/{node.name}"))
    return found


def _list_by_ffmpeg() -> list[Device]:
    listing = getattr(av, "enumerate_input_devices", None)
    if listing is None:
        return []
    try:
        devices = listing(_format())
    except (FFmpegError, ValueError, OSError):
        return []
    prefix = "video=" if sys.platform == "win32" else ""
    return [
        Device(str(one.description or one.name), f"{prefix}{one.name}")
        for one in devices
        if "video" in [str(kind) for kind in one.media_types]
    ]


def _format() -> str:
    return _FORMATS.get("linux" if sys.platform.startswith("linux") else sys.platform, "")


def choose(found: list[Device], rest: str) -> Device:
    """The one that ``camera:REST`` means: its name, a part of it, or nothing for the first."""
    exact = [one for one in found if rest in {one.name, one.handle}]
    fitting = exact or [one for one in found if rest.casefold() in one.name.casefold()]
    if not fitting:
        said = f"no camera fits '{rest}'" if rest else "no camera found"
        raise PictureUnavailable("picture-camera", said, "see: vchat devices")
    return fitting[0]


def _options(wish: Wish) -> list[Mapping[str, str]]:
    """What to ask of a camera, the best first; it may refuse all but the last."""
    size = Size(wish.box.width or SIZE.width, wish.box.height or SIZE.height)
    asked = {"video_size": f"{size.width}x{size.height}", "framerate": f"{wish.fps or FPS:g}"}
    usual = {"video_size": f"{SIZE.width}x{SIZE.height}", "framerate": f"{FPS:g}"}
    if sys.platform.startswith("linux"):  # raw pictures of this size are slow over USB 2
        return [{**asked, "input_format": "mjpeg"}, asked, usual, {}]
    return [asked, usual, {"framerate": f"{FPS:g}"}, {}]


def open_camera(rest: str, wish: Wish) -> Source:
    """The camera that fits; ``PictureUnavailable`` if there is none or it refuses."""
    device = choose(cameras(), rest)
    refused: Exception | None = None
    for options in _options(wish):
        try:
            return Camera(device, options)
        except (FFmpegError, OSError) as error:
            refused = error
    raise PictureUnavailable(
        "picture-camera", f"{device.name}: {refused}", "is another program using it?"
    )


class Camera:
    """An open camera."""

    glance = 0.0
    ended = False

    def __init__(self, device: Device, options: Mapping[str, str]) -> None:
        """``FFmpegError`` or ``OSError`` if it cannot do what the options ask for."""
        self.name = device.name
        self._container = av.open(device.handle, format=_format(), options=dict(options))
        stream = self._container.streams.video[0]
        stream.thread_type, stream.thread_count = "SLICE", 1
        self.size = Size(stream.codec_context.width, stream.codec_context.height)
        self.fps = float(stream.average_rate or stream.guessed_rate or FPS)
        self._frames = self._container.decode(stream)

    def read(self) -> Shot | None:
        """The next picture, when it comes."""
        try:
            frame = next(self._frames, None)
        except FFmpegError as error:
            raise PictureUnavailable(
                "picture-camera", f"{self.name}: {error.strerror}", "is it still plugged in?"
            ) from error
        self.ended = frame is None
        return Shot(frame, time.monotonic_ns() // 1000) if frame else None

    def forget(self) -> None:
        """Each picture is a new one."""

    def close(self) -> None:
        """Switch it off."""
        self._container.close()
