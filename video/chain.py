"""The way of a picture to its encoder: two threads, one place between them.

    capture thread   source -> converter -> | place for one picture | -> main: encoder -> pipe

The place holds one picture. A screen is looked at only when it is free, so a
slow encoder or a stalled pipe makes pictures rarer and never older; a camera or
a film, which give pictures by themselves, lose those that find it taken. While
nothing changes, nothing comes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from av import VideoFrame
from av.error import FFmpegError

from vc_core.record import record
from video.convert import Converter
from video.picture import Size
from video.pipe import Words
from video.rhythm import Rhythm
from video.source import Shot, Source
from video.unavailable import PictureUnavailable

# Implementation
PATIENCE = 1.5  # seconds that a capture thread has for its end


@record(slots=True)
class Taken:
    """A picture that is ready for the encoder."""

    frame: VideoFrame
    """I420."""
    captured: int
    """µs of the monotonic clock."""
    film: tuple[float, int] | None = None
    """As ``Shot`` has it."""


@record(slots=True)
class Over:
    """The source gives no more."""

    why: PictureUnavailable | None
    """None at its proper end."""


class Inbox:
    """What the main thread waits for: orders, a picture, an end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._orders: deque[Words | None] = deque()
        self._place: Taken | Over | None = None

    def order(self, words: Words | None) -> None:
        """An order came; None: there will be no more."""
        with self._changed:
            self._orders.append(words)
            self._changed.notify_all()

    def put(self, what: Taken | Over) -> None:
        """Fill the place."""
        with self._changed:
            self._place = what
            self._changed.notify_all()

    def is_free(self, patience: float) -> bool:
        """Whether the place is free, within ``patience`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._place is None, patience)

    def wait(self, until: float) -> None:
        """Until something came or the monotonic clock shows ``until``."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._orders or self._place, max(0.0, until - time.monotonic())
            )

    def next_order(self) -> Words | None:
        """The oldest order; ``IndexError`` if there is none."""
        with self._changed:
            return self._orders.popleft()

    def take(self) -> Taken | Over | None:
        """What stands in the place, which is free then."""
        with self._changed:
            what, self._place = self._place, None
            self._changed.notify_all()
            return what


class Capture:
    """The capture thread: reads a source in its rhythm into an inbox."""

    def __init__(self, source: Source, size: Size, fps: float, inbox: Inbox) -> None:
        """``size`` and ``fps`` of what is delivered. The source is closed with it."""
        self.looked = self.unchanged = 0
        """How often the source was asked, and how often it had nothing new."""
        self._source, self._inbox = source, inbox
        self._converter = Converter(size)
        self._fps = fps
        self._rhythm = Rhythm(fps, time.monotonic(), source.glance)
        self._ending, self._afresh = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._started = False

    def start(self) -> None:
        """Begin, if it has not begun."""
        if not self._started:
            self._started = True
            self._thread.start()

    def reshape(self, size: Size, fps: float) -> None:
        """Another size and rate; a picture comes even if nothing has changed."""
        self._converter = Converter(size)
        self._rhythm = Rhythm(fps, time.monotonic(), self._source.glance)
        self._fps = fps
        self._afresh.set()

    def close(self) -> None:
        """End the thread and close the source; one that hangs is left to the end of the process."""
        self._ending.set()
        self._inbox.take()
        if self._started:
            self._thread.join(PATIENCE)
        if not self._thread.is_alive():
            self._source.close()

    def _run(self) -> None:
        turn: Callable[[], None] = self._follow if self._source.fps else self._look
        try:
            while not self._ending.is_set() and not self._source.ended:
                turn()
            over = Over(None)
        except PictureUnavailable as error:
            over = Over(error)
        except (FFmpegError, ValueError) as error:
            over = Over(PictureUnavailable("picture-source", f"{self._source.name}: {error}"))
        while not self._ending.is_set():
            if self._inbox.is_free(PATIENCE):
                self._inbox.put(over)
                return

    def _look(self) -> None:
        """One turn at a source that shows what it has now."""
        rhythm = self._rhythm
        if self._ending.wait(max(0.0, rhythm.due - time.monotonic())):
            return
        if not self._inbox.is_free(PATIENCE):
            return
        if self._afresh.is_set():
            self._afresh.clear()
            self._source.forget()
        shot = self._source.read()
        self.looked += 1
        self.unchanged += shot is None
        rhythm.looked(time.monotonic(), changed=shot is not None)
        if shot is not None:
            self._deliver(shot)

    def _follow(self) -> None:
        """One turn at a source with a rate of its own."""
        shot = self._source.read()
        self.looked += 1
        if shot is None:
            return
        now, rhythm = time.monotonic(), self._rhythm
        spare = self._source.fps > self._fps + 0.5
        if spare and now < rhythm.due - 0.5 / self._source.fps:
            return
        rhythm.looked(now, changed=True)
        if self._inbox.is_free(0):
            self._deliver(shot)

    def _deliver(self, shot: Shot) -> None:
        frame = self._converter.convert(shot.frame)
        self._inbox.put(Taken(frame, shot.captured, shot.film))
