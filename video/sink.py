"""Where pictures go: the border between decoding and a window, a terminal, a file.

Doubles and real ones alike: ``video.window``, ``video.canvas``, ``video.record``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from vc_core.errors import VchatError
from video.pipe import FrameRecord, SoundRecord

if TYPE_CHECKING:
    from av import VideoFrame

Shown = Callable[[FrameRecord], None]
"""To be called when the picture of this frame has reached its place."""


class ClosedError(VchatError):
    """Who looked at it has closed it; the argument is a word on how."""


class UnusableError(VchatError):
    """It cannot be had: (code, message, hint)."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


class Sink(Protocol):
    """One place for the pictures of one stream."""

    decodes: bool
    """Whether it needs pictures; else frames as they came are enough."""
    opens_files: bool
    """Whether it goes on opening files once it stands."""
    writes_files: bool
    """Whether it writes into files."""
    patience: float
    """s after which ``turn`` is called even if nothing comes."""

    def unit(self, frame: FrameRecord) -> bool:
        """A frame that can be decoded; False when it had to be left out."""

    def sound(self, sound: SoundRecord) -> None:
        """What goes with the pictures, for places that keep it."""

    def picture(self, picture: VideoFrame, frame: FrameRecord) -> None:
        """The newest picture."""

    def turn(self) -> None:
        """Time for whatever comes from its own side; ``ClosedError`` when that is its end."""

    def overlay(self, text: str) -> None:
        """What else to say about the stream."""

    def report(self, shown: dict[str, Any]) -> None:
        """The figures of the last second."""

    def close(self) -> None:
        """The end, ours or theirs."""


class Nowhere:
    """Pictures are decoded, counted and dropped."""

    decodes, opens_files, writes_files, patience = True, False, False, 1.0

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def unit(self, frame: FrameRecord) -> bool:
        """Nothing to keep."""
        return True

    def sound(self, sound: SoundRecord) -> None:
        """The engine plays it."""

    def picture(self, picture: VideoFrame, frame: FrameRecord) -> None:
        """Count it."""
        self._shown(frame)

    def turn(self) -> None:
        """Nothing comes from nowhere."""

    def overlay(self, text: str) -> None:
        """Nobody looks."""

    def report(self, shown: dict[str, Any]) -> None:
        """Nobody looks."""

    def close(self) -> None:
        """Nothing was opened."""
