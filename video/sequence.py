"""Which frames of a stream may be decoded, and when a key frame must be asked for.

    number:  7k 8 9 . 11 12 13k      9 and 11 do not follow: 11 and 12 are left out

Pure. A decoder that is given a frame whose forerunner is missing shows smears, or
the last good picture with holes; so nothing is decoded from a gap or an error on
until a key frame comes. What only ever fails has an end.
"""

from __future__ import annotations

from vc_core.errors import RemoteProtocolError

# Specification
WRAP = 1 << 32  # numbers of frames

# Implementation
PATIENCE = 0.5  # s between two requests for a key frame
MOST_FAILURES = 40  # one after the other, without a picture in between
MOST_BEHIND = 90  # frames that wait to be decoded; more is left out up to a key frame


class Sequence:
    """One stream of frames."""

    def __init__(self) -> None:
        self.failures = 0
        """One after the other."""
        self._next: int | None = None
        """The number that may follow; None while a key frame is waited for."""
        self._lost = False
        """Whether something came that could not be decoded, since the last key frame."""
        self._wanted_at: float | None = None

    def admits(self, number: int, *, key: bool) -> bool:
        """Whether this frame can be decoded; it is then taken as decoded."""
        if not key and number != self._next:
            self.skip()
            return False
        self._lost = False
        self._next = (number + 1) % WRAP
        return True

    def skip(self) -> None:
        """Frames were left out."""
        self._next, self._lost = None, True

    def failed(self) -> None:
        """The frame just admitted could not be decoded.

        ``RemoteProtocolError`` when that was one too many.
        """
        self.skip()
        self.empty()

    def empty(self) -> None:
        """The frame just admitted gave no picture, and no error either.

        A decoder may hold one back; ``RemoteProtocolError`` when it holds back all.
        """
        self.failures += 1
        if self.failures >= MOST_FAILURES:
            raise RemoteProtocolError("the stream cannot be decoded")

    def decoded(self) -> None:
        """The frame just admitted gave a picture."""
        self.failures = 0

    def wants_key(self, now: float) -> bool:
        """Whether to ask for a key frame now; not again for a while."""
        if not self._lost:
            return False
        if self._wanted_at is not None and now - self._wanted_at < PATIENCE:
            return False
        self._wanted_at = now
        return True
