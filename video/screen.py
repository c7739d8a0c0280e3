"""Screens: X11 and Windows by FFmpeg's grabbers, macOS by mss, Wayland by its portal.

FFmpeg's grabber hands over the X server's shared memory without a copy: 0.15 ms
of ours for 1080p, mss 1.0 ms. Who shows an unchanged screen pays for nothing but
a question (``video.damage``), and for a look now and then.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from vc_core.errors import reason
from vc_core.record import record
from video.damage import Damage
from video.picture import Size, even, same
from video.rhythm import GLANCE
from video.source import Shot, Source, Wish
from video.unavailable import PictureUnavailable

if TYPE_CHECKING:
    import mss

log = logging.getLogger(__name__)

# Implementation
LOOK_ANYWAY = 0.5  # seconds after which a screen is looked at although nothing was told
ASK_EVERY = 1 / 30  # seconds between two questions about a still screen
PATIENCE = 0.008
"""Seconds that a question waits for an answer: who draws in the rate in which we ask, but a
little later, is not missed, and what is drawn is seen when it is drawn."""
REST, TRIES = 0.5, 3
"""Seconds without a change after which the screens have come to rest; how often one that cannot
be looked at is opened anew."""
GRABS = 1000  # per second: more than anybody reads, so that FFmpeg never waits


@record(slots=True)
class Monitor:
    """One of a desktop's screens."""

    number: int
    """As in ``screen:N``; 0 is all of them together."""
    name: str
    left: int
    top: int
    size: Size
    primary: bool


class Grabber(Protocol):
    """Takes one picture of a part of the desktop.

    An odd row or column is left out: else all would be scaled, and no letter sharp.
    """

    def grab(self) -> tuple[av.VideoFrame, NDArray[np.uint8]]:
        """The picture as it is now, and its bytes; ``OSError`` or ``FFmpegError``."""

    def close(self) -> None:
        """Give back what was opened."""


def is_wayland() -> bool:
    """Whether the desktop is one where nobody may look without asking."""
    return sys.platform.startswith("linux") and bool(os.environ.get("WAYLAND_DISPLAY"))


def monitors() -> list[Monitor]:
    """All screens, without the sum of them; ``PictureUnavailable`` without a desktop."""
    with _mss() as desktop:
        return list(_monitors(desktop))[1:]


def _mss(*, cursor: bool = False) -> mss.MSS:
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise PictureUnavailable(
            "picture-screen",
            "there is no screen here: neither DISPLAY nor WAYLAND_DISPLAY is set",
            "share a camera or a file instead",
        )
    import mss
    from mss.exception import ScreenShotError

    try:
        if not sys.platform.startswith("linux"):
            return mss.MSS()  # it cannot draw the pointer, and warns who asks for it
        with contextlib.suppress(ScreenShotError):  # it overlooks how TigerVNC shows colours
            return mss.MSS(with_cursor=cursor)
        return mss.MSS(with_cursor=cursor, backend="xlib")
    except (ScreenShotError, OSError) as error:
        message = f"cannot reach the screen: {reason(error)}"
        hint = "is the desktop still there?"
        raise PictureUnavailable("picture-screen", message, hint) from error


def _monitors(desktop: mss.MSS) -> Iterator[Monitor]:
    all_of_them: list[dict[str, Any]] = desktop.monitors
    primary = next((n for n, one in enumerate(all_of_them) if n and one.get("is_primary")), 1)
    for number, one in enumerate(all_of_them):
        size = Size(one["width"], one["height"])
        name = str(one.get("name") or one.get("output") or f"screen {number}")
        yield Monitor(number, name, one["left"], one["top"], size, number == primary)


def choose(found: list[Monitor], rest: str) -> Monitor:
    """The one that ``screen:REST`` means: a number, a name, or nothing for the primary one."""
    fitting = [one for one in found if (str(one.number) == rest if rest else one.primary)]
    fitting = fitting or [one for one in found if one.name.casefold() == rest.casefold()]
    if not fitting:
        raise PictureUnavailable("picture-screen", f"no screen '{rest}'", "see: vchat devices")
    return fitting[0]


def open_screen(rest: str, wish: Wish) -> Source:
    """The screen of that number; ``PictureUnavailable`` if it cannot be looked at."""
    if is_wayland():
        from video.cast import open_cast

        return open_cast(wish)
    monitor, grabber = _open(rest, cursor=wish.cursor)
    heard = isinstance(grabber, X11Grabber) and sys.platform != "win32"
    damage = _damage(cursor=wish.cursor) if heard else None
    name = monitor.name if rest else ""  # numbers move when one is plugged in
    return Screen(monitor, grabber, damage, partial(_open, name, cursor=wish.cursor))


def _open(rest: str, *, cursor: bool) -> tuple[Monitor, Grabber]:
    desktop = _mss(cursor=cursor)
    try:
        monitor = choose(list(_monitors(desktop)), rest)
        grabber = _ffmpeg(monitor, cursor=cursor)
        if grabber is None:
            return monitor, MssGrabber(desktop, monitor)
        desktop.close()
    except BaseException:
        desktop.close()
        raise
    return monitor, grabber


def _ffmpeg(monitor: Monitor, *, cursor: bool) -> Grabber | None:
    """FFmpeg's grabber of this system, if PyAV has it and it works."""
    grabber = {"linux": X11Grabber, "win32": GdiGrabber}.get(sys.platform)
    if grabber is None or grabber.format not in av.formats_available:
        return None
    try:
        return grabber(monitor, cursor=cursor)
    except (FFmpegError, OSError) as error:
        log.warning("%s does not work here: %s", grabber.format, error)
        return None


def _damage(*, cursor: bool) -> Damage | None:
    try:
        return Damage(os.environ.get("DISPLAY", ""), cursor=cursor)
    except OSError as error:
        log.info("no news of the screen, so it is looked at: %s", error)
        return None


class X11Grabber:
    """FFmpeg's ``x11grab``."""

    format = "x11grab"
    corner = ("grab_x", "grab_y")

    def __init__(self, monitor: Monitor, *, cursor: bool) -> None:
        """``FFmpegError`` or ``OSError`` if it does not work."""
        options = {
            "framerate": str(GRABS),
            "fpsprobesize": "0",  # else the first five pictures are as old as the grabber
            "video_size": f"{even(monitor.size.width)}x{even(monitor.size.height)}",
            self.corner[0]: str(monitor.left),
            self.corner[1]: str(monitor.top),
            "draw_mouse": str(int(cursor)),
        }
        self._container = av.open(self._desktop(), format=self.format, options=options)
        self._packets = self._container.demux(self._container.streams.video[0])

    def _desktop(self) -> str:
        return os.environ.get("DISPLAY", "")

    def grab(self) -> tuple[av.VideoFrame, NDArray[np.uint8]]:
        """The picture in the X server's shared memory; the next ones come in other pieces."""
        (frame,) = next(self._packets).decode()
        return frame, np.frombuffer(memoryview(frame.planes[0]), np.uint8)

    def close(self) -> None:
        """Close the grabber."""
        self._container.close()


class GdiGrabber(X11Grabber):
    """FFmpeg's ``gdigrab``: Windows, with the pointer."""

    format = "gdigrab"
    corner = ("offset_x", "offset_y")

    def _desktop(self) -> str:
        return "desktop"


class MssGrabber:
    """mss: macOS, and where FFmpeg came without its grabber. Off X11 it draws no pointer."""

    def __init__(self, desktop: mss.MSS, monitor: Monitor) -> None:
        """``desktop`` is closed with it."""
        size = monitor.size
        self._desktop, self._size = desktop, size
        self._part = (
            monitor.left,
            monitor.top,
            monitor.left + even(size.width),
            monitor.top + even(size.height),
        )

    def grab(self) -> tuple[av.VideoFrame, NDArray[np.uint8]]:
        """The picture as mss copied it."""
        from mss.exception import ScreenShotError

        try:
            shot = self._desktop.grab(self._part)
        except ScreenShotError as error:
            raise OSError(str(error)) from error
        data = np.frombuffer(shot.raw, np.uint8)
        picture = data.reshape(shot.height, shot.width, 4)
        return av.VideoFrame.from_numpy_buffer(picture, format="bgra"), data

    def close(self) -> None:
        """Close mss."""
        self._desktop.close()


class Screen:
    """One monitor, looked at when it may have changed.

    When the desktop says that its screens change, or it cannot be looked at any more, it is
    opened anew, in the size that it has then, when they have come to rest.
    """

    fps = 0.0
    ended = False

    def __init__(
        self,
        monitor: Monitor,
        grabber: Grabber,
        damage: Damage | None,
        again: Callable[[], tuple[Monitor, Grabber]] | None = None,
    ) -> None:
        """``damage``: who tells of changes, if there is somebody. ``again``: opens it anew."""
        self.name = monitor.name
        self._grabber, self._damage, self._again = grabber, damage, again
        try:
            self.size = self._measure()
        except (FFmpegError, OSError, StopIteration) as error:
            self._close()
            raise PictureUnavailable(
                "picture-screen", f"cannot look at it: {reason(error)}"
            ) from error
        self._before: tuple[av.VideoFrame, NDArray[np.uint8]] | None = None
        self._looked = 0.0
        self._untold = False  # a change was seen that nobody has told of yet
        self._trusted = damage is not None
        self._opens = 0.0
        """When it is opened anew; 0: not."""
        self._tries = TRIES

    def _measure(self) -> Size:
        """Of a picture: macOS counts monitors in points."""
        frame, _ = self._grabber.grab()
        return Size(frame.width, frame.height)

    @property
    def glance(self) -> float:
        """Asking is cheap, looking is not."""
        return ASK_EVERY if self._trusted else GLANCE

    def read(self) -> Shot | None:
        """The screen, if it has changed; None, too, until it is opened anew."""
        try:
            told = self._told()
        except OSError as error:
            raise self._gone(error) from error
        now = time.monotonic()  # after the wait, before the look
        if self._damage is not None and self._damage.rearranged():
            self._opens, self._tries = now + REST, TRIES
        if now < self._opens or (not told and now - self._looked < LOOK_ANYWAY):
            return None
        self._looked = now
        try:
            if self._opens:
                self._reopen()
            frame, data = self._grabber.grab()
        except (FFmpegError, OSError, StopIteration, PictureUnavailable) as error:
            self._tries -= 1
            if self._again is None or self._tries < 0:
                raise self._gone(error) from error
            self._opens, self._looked = now + REST, 0.0
            return None
        self._tries = TRIES
        if self._before is not None and same(self._before[1], data):
            return None
        self._untold = self._before is not None and not told
        self._before = frame, data  # the bytes belong to the frame
        return Shot(frame, round(now * 1e6))

    def _reopen(self) -> None:
        """Another grabber, of the size that the monitor has now."""
        if self._again is not None:
            monitor, grabber = self._again()
            self._grabber.close()
            self.name, self._grabber = monitor.name, grabber
            self.size = self._measure()
        self._before, self._opens = None, 0.0

    def _gone(self, error: Exception) -> PictureUnavailable:
        log.warning("%s: %s", self.name, error)
        return PictureUnavailable("picture-screen", "the screen is gone", "share it again")

    def _told(self) -> bool:
        """Whether something may have changed, as far as one can know without looking."""
        if self._damage is None:
            return True
        told = self._damage.stirred(PATIENCE if self._trusted else 0.0)
        if self._untold and not told and self._trusted:
            log.info("the screen changes without telling, so it is looked at")
            self._trusted = False
        self._untold = False
        return told or not self._trusted

    def forget(self) -> None:
        """Let the next read look, and give what it sees."""
        self._before, self._looked = None, 0.0

    def close(self) -> None:
        """Give everything back."""
        self._before = None
        self._close()

    def _close(self) -> None:
        self._grabber.close()
        if self._damage is not None:
            self._damage.close()
