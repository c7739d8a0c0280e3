"""What gives pictures must be able to do this; ``video.sources`` says what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vc_core.record import record
from video.picture import Size

if TYPE_CHECKING:
    import av


@record(slots=True)
class Wish:
    """What a source is opened with; it may give something else."""

    spec: str
    box: Size
    """The size at most; 0 for any."""
    fps: float
    """0 for any."""
    cursor: bool = True
    """Whether a screen shows the pointer."""


@record(slots=True)
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
