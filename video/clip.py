"""Pictures without a device: video files in real time, and the test pattern."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from vc_core.errors import reason
from video.pattern import Mark, Pattern
from video.picture import Size, fit, rate
from video.source import Shot, Wish
from video.unavailable import PictureUnavailable

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Implementation
TEST_SIZE = Size(1280, 720)  # where none is asked for
LATE = 0.1  # seconds behind real time from which pictures are passed over
LEAP = 10.0  # seconds between two pictures from which the film's clock is not believed
THREADS = 2  # of a decoder


class Clip:
    """A video file, each picture at its time."""

    glance = 0.0
    ended = False

    def __init__(self, path: str, *, again: bool) -> None:
        """``again``: from the start when it ends. ``PictureUnavailable`` if it is no video."""
        if not Path(path).is_file():
            raise PictureUnavailable("picture-file", f"no such video file: {path}")
        self._path, self._again = path, again
        self._container, stream = _open(path)
        context = stream.codec_context
        self.name = Path(path).name
        self.size = Size(context.width, context.height)
        self.fps = float(stream.average_rate or stream.guessed_rate or 30)
        self._film = 0.0, 0
        self._pictures = self._timed(stream)

    def read(self) -> Shot | None:
        """The next picture, when it is due."""
        try:
            frame = next(self._pictures, None)
        except FFmpegError as error:
            raise PictureUnavailable("picture-file", f"{self.name}: {error.strerror}") from error
        self.ended = frame is None
        return Shot(frame, time.monotonic_ns() // 1000, self._film) if frame else None

    def _timed(self, stream: VideoStream) -> Iterator[av.VideoFrame]:
        for turn in itertools.count():
            empty, began, last = True, 0.0, -math.inf
            for frame in self._container.decode(stream):
                empty = False
                at = frame.time if frame.pts is not None else last + 1 / self.fps
                now = time.monotonic()
                if not 0 <= at - last <= LEAP:  # its clock leaps, or this is the first
                    began = now - at
                    self._film = round(began, 6), turn
                wait, last = began + at - now, at
                if wait > 0:
                    time.sleep(wait)
                if wait > -LATE:
                    yield frame
            if not self._again or empty:
                return
            time.sleep(max(0.0, 1 / self.fps))
            self._container.close()
            self._container, stream = _open(self._path)

    def forget(self) -> None:
        """Each picture is a new one."""

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(ValueError):  # a read that was cut short still runs in it
            self._pictures.close()  # type: ignore[attr-defined]
        self._container.close()


def _open(path: str) -> tuple[InputContainer, VideoStream]:
    try:
        container = av.open(path)
    except (FFmpegError, OSError) as error:
        raise PictureUnavailable("picture-file", f"cannot read {path}: {reason(error)}") from error
    if not container.streams.video or not container.streams.video[0].codec_context.width:
        container.close()
        raise PictureUnavailable("picture-file", f"{path} holds no pictures")
    stream = container.streams.video[0]
    stream.thread_type, stream.thread_count = "AUTO", THREADS
    return container, stream


class Drawn:
    """The source ``test``."""

    name = "test pattern"
    glance = 0.0
    ended = False

    def __init__(self, wish: Wish) -> None:
        box = Size(wish.box.width or TEST_SIZE.width, wish.box.height or TEST_SIZE.height)
        self.size = fit(box, box)
        self.fps = rate(wish.fps)
        self._pattern = Pattern(self.size.width, self.size.height)
        self._number = 0
        self._began = time.monotonic()

    def read(self) -> Shot:
        """The next picture, in its rate; one that nobody was there to read is passed over."""
        due = self._began + self._number / self.fps
        now = time.monotonic()
        if now < due:
            time.sleep(due - now)
        else:
            self._number = int((now - self._began) * self.fps)
        captured = time.monotonic_ns() // 1000
        picture = self._pattern.draw(Mark(self._number, captured))
        self._number += 1
        return Shot(av.VideoFrame.from_numpy_buffer(picture, format="yuv420p"), captured)

    def forget(self) -> None:
        """Each picture is a new one."""

    def close(self) -> None:
        """Nothing to give back."""
