"""Trains: what pieces that left close behind one another tell of a path's width.

    left     |   |   |   |   |   |     at the pace of a lane
    arrived  |    |    |    |    |     at the width of the path, each later than the one before

A train that is only as late at its end as at its beginning says nothing: the path is wider
than the pace, or nobody knows. (Dispersion of packet trains; C. Dovrolis et al., "What do
packet dispersion techniques measure?", INFOCOM 2001.)
"""

from __future__ import annotations

from collections import deque

# Implementation
PIECES = 4  # of a train, at least
MOST = 48  # pieces of it that are looked at, at most
PAUSE = 0.010  # s between two pieces that ends a train: two and a half looks at a lane


class Trains:
    """Arrivals of one path, in the order in which they were sent."""

    def __init__(self) -> None:
        self._train: deque[tuple[float, float, int]] = deque(maxlen=MOST)
        """(sent, arrived, bytes)."""

    def add(self, sent: float, at: float, size: int, pace: float) -> None:
        """A packet; ``pace`` is bit/s at which pieces leave, at least."""
        if self._train:
            before, came, bytes_before = self._train[-1]
            apart = PAUSE + 8 * bytes_before / pace
            if not before <= sent <= before + apart or at < came:
                self._train.clear()
        self._train.append((sent, at, size))

    def width(self, later: float) -> float:
        """bit/s of the path, if the newest train is ``later`` seconds later at its end; or 0."""
        if len(self._train) < PIECES:
            return 0.0
        first, last = self._train[0], self._train[-1]
        took = last[1] - first[1]
        if took - (last[0] - first[0]) < later:
            return 0.0
        return 8 * (sum(size for _, _, size in self._train) - first[2]) / took
