"""Pictures without a device: video files in real time, and the test pattern."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import av
from av.error import FFmpegError

from video.film import Film
from video.pattern import Mark, Pattern
from video.picture import Size, fit, rate
from video.source import Shot, Wish
from video.unavailable import PictureUnavailable

# Implementation
TEST_SIZE = Size(1280, 720)  # where none is asked for
LATE = 0.1  # seconds behind real time from which pictures are passed over
LEAP = 10.0  # seconds between two pictures from which a clock that may leap is not believed
STILL = 0.1  # seconds between two looks whether a picture that stays is over


class Clip:
    """A video file, each picture at its time."""

    glance = 0.0
    ended = False

    def __init__(self, path: str, *, again: bool) -> None:
        """``again``: from the start when it ends. ``PictureUnavailable`` if it is no video."""
        self._path, self._again = path, again
        self._film = Film(path)
        self.name = Path(path).name
        self.size, self.fps = self._film.size, self._film.fps
        self._zero = 0.0, 0
        self._pictures = self._timed()

    def read(self) -> Shot | None:
        """The next picture, when it is due."""
        try:
            frame = next(self._pictures)
        except StopIteration:
            self.ended = True
            return None
        except FFmpegError as error:
            raise PictureUnavailable("picture-file", f"{self.name}: {error.strerror}") from error
        return Shot(frame, time.monotonic_ns() // 1000, self._zero) if frame else None

    def _timed(self) -> Iterator[av.VideoFrame | None]:
        """Each picture at its time; a single one is no film, and stays."""
        for turn in itertools.count():
            number, began, last = 0, 0.0, -math.inf
            for frame in self._film:
                number += 1
                at = frame.time if frame.pts is not None else max(0.0, last) + 1 / self.fps
                now = time.monotonic()
                longest = LEAP if self._film.leaps else math.inf
                if last == -math.inf or not 0 <= at - last <= longest:  # the first, or a leap
                    began = now - at
                    self._zero = round(began, 6), turn
                wait, last = began + at - now, at
                if wait > 0:
                    time.sleep(wait)
                if wait > -LATE:
                    yield frame
            while number == 1:
                time.sleep(STILL)
                yield None
            time.sleep(1 / max(1.0, self.fps))  # the last one is seen as long as others
            if not self._again or not number:
                return
            self._film.close()
            self._film = Film(self._path)

    def forget(self) -> None:
        """Each picture is a new one."""

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(ValueError):  # a read that was cut short still runs in it
            self._pictures.close()  # type: ignore[attr-defined]
        self._film.close()


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
