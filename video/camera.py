"""Cameras, by FFmpeg's v4l2, avfoundation and dshow.

A camera is open when its first picture has come: some drivers promise sizes that they do not
give. One that gives none any more hangs in its driver, so a thread of its own waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from vc_core.errors import reason
from vc_core.record import record
from video.picture import Size
from video.source import Shot, Source, Wish
from video.unavailable import PictureUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.container import InputContainer

# Implementation
FIRST_PICTURE, NEXT_PICTURE = 10.0, 5.0  # seconds
LAST_PICTURE = 1.0  # seconds to be switched off
TOO_LARGE = 1.2  # times what it says: more than rows that fill something up
SIZE, FPS = Size(1280, 720), 30.0  # where nobody asks for another
IN_USE, UNPLUGGED = "is another program using it?", "is it still plugged in?"
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
        preloaded = "v4l" in os.environ.get("LD_PRELOAD", "")
        return list(ask_v4l2()) if preloaded else list_v4l2()
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


def ask_v4l2() -> Iterator[Device]:
    """What answers like a camera, whether the kernel knows of it or a library."""
    from video.v4l2 import MOST_NODES, name_of

    for path in (f"/dev/video{number}" for number in range(MOST_NODES)):
        name = name_of(path)
        if name is not None:
            yield Device(name, path)


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


def _options(handle: str, wish: Wish) -> list[Mapping[str, str]]:
    """What to ask of a camera, the best first; it may refuse all but the last."""
    size = Size(wish.box.width or SIZE.width, wish.box.height or SIZE.height)
    usual = {"video_size": f"{SIZE.width}x{SIZE.height}", "framerate": f"{FPS:g}"}
    rate = {"framerate": f"{wish.fps or FPS:g}"}
    if sys.platform.startswith("linux"):  # raw pictures of this size are slow over USB 2
        from video.v4l2 import MJPEG, sizes

        named = sizes(handle)
        packed, any_of = named.get(MJPEG, []), [one for found in named.values() for one in found]
        small = {**rate, "video_size": nearest(packed, size), "input_format": "mjpeg"}
        first = [small] if packed or not any_of else []
        return [*first, {**rate, "video_size": nearest(any_of, size)}, usual, {}]
    asked = {**rate, "video_size": f"{size.width}x{size.height}"}
    return [asked, usual, {"framerate": f"{FPS:g}"}, {}]


def nearest(named: list[Size], wanted: Size) -> str:
    """The smallest of these sizes that covers ``wanted``, else the largest; of none, ``wanted``."""
    covering = [one for one in named if one.width >= wanted.width and one.height >= wanted.height]
    of = attrgetter("pixels")
    one = min(covering, key=of) if covering else max(named, key=of, default=wanted)
    return f"{one.width}x{one.height}"


def open_camera(rest: str, wish: Wish) -> Source:
    """The camera that fits; ``PictureUnavailable`` if there is none or it refuses."""
    device = choose(cameras(), rest)
    refused: Exception | None = None
    for options in _options(device.handle, wish):
        try:
            return Camera(device, options)
        except (FFmpegError, OSError, ValueError) as error:
            refused = error
    assert refused is not None
    hint = IN_USE
    if getattr(refused, "errno", None) in {errno.EACCES, errno.EPERM}:
        hint = f"may you open {device.handle}? its group is often 'video'"
    raise PictureUnavailable("picture-camera", f"{device.name}: {reason(refused)}", hint)


class Camera:
    """An open camera."""

    glance = 0.0
    ended = False

    def __init__(self, device: Device, options: Mapping[str, str]) -> None:
        """``FFmpegError``, ``OSError`` or ``ValueError`` if it cannot do what the options ask for;
        ``PictureUnavailable`` if no picture comes."""
        self.name, self.fps = device.name, FPS
        self._device, self._options = device, options
        self._container: InputContainer | None = None
        self._ending = False
        self._place: queue.Queue[Shot | Exception | None] = queue.Queue(1)
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        try:
            self._first: Shot | None = self._next(FIRST_PICTURE, IN_USE)
            if self._first is None:
                raise ValueError("it gives no pictures")
        except BaseException:
            self.close()
            raise
        self.size = Size(self._first.frame.width, self._first.frame.height)

    def _run(self) -> None:
        """The thread: whatever comes goes into the place, when that is free."""
        try:
            options = dict(self._options)
            self._container = av.open(self._device.handle, format=_format(), options=options)
            for shot in self._shots(self._container):
                self._place.put(shot)
                if self._ending:
                    return
            self._place.put(None)
        except (FFmpegError, OSError, ValueError) as error:
            self._place.put(error)

    def _shots(self, container: InputContainer) -> Iterator[Shot]:
        stream = container.streams.video[0]
        stream.thread_type, stream.thread_count = "SLICE", 1
        self.fps = float(stream.average_rate or stream.guessed_rate or FPS)
        for packet in container.demux(stream):
            captured = time.monotonic_ns() // 1000
            check_size(packet)
            for frame in packet.decode():
                yield Shot(frame, captured)

    def _next(self, patience: float, hint: str) -> Shot | None:
        """What the thread has next; None at the end."""
        try:
            found = self._place.get(timeout=patience)
        except queue.Empty:
            what = f"{self.name} has given no picture for {patience:.0f} s"
            raise PictureUnavailable("picture-camera", what, hint) from None
        if isinstance(found, Exception):
            raise found
        return found

    def read(self) -> Shot | None:
        """The next picture, when it comes."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            shot = self._next(NEXT_PICTURE, UNPLUGGED)
        except (FFmpegError, OSError, ValueError) as error:
            what = f"{self.name}: {reason(error)}"
            raise PictureUnavailable("picture-camera", what, UNPLUGGED) from error
        self.ended = shot is None
        return shot

    def forget(self) -> None:
        """Each picture is a new one."""

    def close(self) -> None:
        """Switch it off; if it hangs, the end of the process does. Its pictures are gone: they may
        lie in the driver's memory."""
        self._ending = True
        with contextlib.suppress(queue.Empty):
            self._place.get_nowait()
        self._thread.join(LAST_PICTURE)
        if self._container is not None and not self._thread.is_alive():
            self._container.close()


def check_size(packet: av.Packet[av.VideoStream]) -> None:
    """``ValueError`` if a picture that is not compressed has not the size that was promised."""
    context = packet.stream.codec_context
    if context.name == "rawvideo" and context.format is not None:
        promised = context.width * context.height * context.format.bits_per_pixel / 8
        if packet.size > TOO_LARGE * promised:
            raise ValueError("it gives larger pictures than it says")
