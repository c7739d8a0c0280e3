"""Demand: what an encoding takes of a path, which may be less than it was allowed.

A page that hardly changes takes a tenth of what the paths carry. A viewer needs a path
for what is made, not for what could be; so a narrow one may be wide enough.

Rule: while it makes all that it is allowed nothing is known; then any path may be too narrow.
"""

from __future__ import annotations

from collections import deque

# Implementation
WINDOW = 1.0  # s over which it is measured
MEMORY = 20.0  # s that the most of it is remembered: a page may move again
FULL = 0.6  # of the bitrate: from there on it may be the bitrate that limits it (x264: 0.75)
ROOM = 1.25  # for headers, and for frames that are not all of one size


class Demand:
    """Of one encoding."""

    def __init__(self) -> None:
        self.made = 0.0
        """bit/s in the last window."""
        self._begun: float | None = None
        self._bytes = 0
        self._allowed = float("inf")
        self._windows: deque[tuple[float, float]] = deque()
        """(end, bit/s made)."""
        self._free = False
        """Whether it made less than it was allowed, in the last window."""

    def add(self, size: int, allowed: float, now: float) -> None:
        """A frame of so many bytes, of an encoding that was told that bitrate."""
        if self._begun is None:
            self._begun = now
        elif now - self._begun >= WINDOW:
            self._close(now, now - self._begun)
        self._bytes += size
        self._allowed = min(self._allowed, allowed)

    def _close(self, now: float, span: float) -> None:
        self.made = 8 * self._bytes / span
        self._free = self.made < FULL * self._allowed
        self._windows.append((now, self.made))
        self._begun, self._bytes, self._allowed = now, 0, float("inf")

    def need(self, now: float) -> float:
        """bit/s of path beyond which nobody gets more; infinite as long as that is not known."""
        while len(self._windows) > 1 and self._windows[0][0] < now - MEMORY:
            self._windows.popleft()
        return ROOM * max(made for _, made in self._windows) if self._free else float("inf")
