"""One virtual clock: everything that will happen, ordered by time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Clock:
    """A heap of things to do; equal times keep their order."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now
        self.done = 0
        """How many things have happened."""
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = itertools.count()

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at a time, or at once if that is over."""
        heapq.heappush(self._heap, (max(time, self.now), next(self._tie), action))

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Do something after a while."""
        self.at(self.now + delay, action)

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True as soon as ``until`` holds (or at the end without it)."""
        end = self.now + seconds
        while not (until is not None and until()):
            if not self._heap or self._heap[0][0] > end:
                self.now = end
                return until is None or until()
            self.now, _, action = heapq.heappop(self._heap)
            self.done += 1
            action()
        return True
