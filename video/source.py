"""Where pictures come from: one edge for screens, cameras, files and the test pattern.

SPEC    screen | screen:N | camera | camera:NAME | file:PATH | loop:PATH | test
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from video.picture import Size
from video.unavailable import PictureUnavailable

if TYPE_CHECKING:
    import av

KINDS = "screen, screen:N, camera, camera:NAME, file:PATH, loop:PATH or test"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a source is opened with; it may give something else."""

    spec: str
    box: Size
    """The size at most; 0 for any."""
    fps: float
    """0 for any."""
    cursor: bool = True
    """Whether a screen shows the pointer."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture as its source gives it."""

    frame: av.VideoFrame
    captured: int
    """µs of the monotonic clock."""
    film: tuple[float, int] | None = None
    """Of a film: when its clock showed 0, in s of the monotonic clock, and how often it began."""


class Source(Protocol):
    """Something that gives pictures; all calls come from one thread, and block."""

    name: str
    """For people."""
    size: Size
    fps: float
    """Pictures per second that it gives by itself; 0 where whoever reads sets the rate."""
    ended: bool
    """Whether there will be no more."""

    def read(self) -> Shot | None:
        """The next picture, or None if it would be as the last. ``PictureUnavailable`` if it
        breaks."""

    @property
    def glance(self) -> float:
        """Seconds between two looks while nothing changes."""

    def forget(self) -> None:
        """Let the next read give a picture even if it is as the last."""

    def close(self) -> None:
        """Give back what was opened."""


def _screen(rest: str, wish: Wish) -> Source:
    from video.screen import open_screen

    return open_screen(rest, wish)


def _camera(rest: str, wish: Wish) -> Source:
    from video.camera import open_camera

    return open_camera(rest, wish)


def _file(rest: str, wish: Wish) -> Source:
    from video.clip import Clip

    return Clip(rest, again=False)


def _loop(rest: str, wish: Wish) -> Source:
    from video.clip import Clip

    return Clip(rest, again=True)


def _test(rest: str, wish: Wish) -> Source:
    from video.clip import Drawn

    return Drawn(wish)


OPENERS: dict[str, Callable[[str, Wish], Source]] = {
    "screen": _screen,
    "camera": _camera,
    "file": _file,
    "loop": _loop,
    "test": _test,
}
WAITS_FOR_VIEWERS = {"file"}
NEEDS_MORE = {"file", "loop"}


def kind_of(spec: str) -> str:
    """The word before the colon; ``PictureUnavailable`` if the SPEC means nothing."""
    kind, _, rest = spec.partition(":")
    if kind not in OPENERS or (kind in NEEDS_MORE and not rest):
        raise PictureUnavailable(
            "picture-spec", f"'{spec}' names nothing that can be shown", f"use {KINDS}"
        )
    return kind


def open_source(wish: Wish) -> Source:
    """Open what the SPEC names; blocks; ``PictureUnavailable`` if it cannot be had."""
    return OPENERS[kind_of(wish.spec)](wish.spec.partition(":")[2], wish)
