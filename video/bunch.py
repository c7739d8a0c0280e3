"""Bunch: packets that are found at one instant say together what the last of them says.

A process that stood still finds all that came meanwhile at once: they are less and less
late, and the last one hardly. Behind a queue they would come one after another, all of
them as late as it is long (draft-ietf-rmcat-gcc-02, 5.2, merges bunches as well).

    late:    80  75  70 … 10   5   |  a bunch: 5, 5, 5 … 5
             40  41  39  42        |  a queue: 39, 39, 39, 42

Rule: what comes much later than the packet before it may be the beginning of a bunch;
      nothing is said of it before it has ended. A queue grows step by step, and is told
      of at once.
"""

from __future__ import annotations

# Implementation
TOGETHER = 0.003  # s between two arrivals of one bunch
LEAPS = 0.010  # s later than the packet before
OVER = 0.003  # s: no later than that
PATIENCE = 0.05  # s that a bunch may go on
MOST = 1024  # packets of it, whatever times the viewer tells


class Bunches:
    """Arrivals of one path, in order."""

    def __init__(self) -> None:
        self._begun = self._at = float("-inf")
        self._before = 0.0
        """How late the last packet before this bunch was."""
        self._late: list[float] = []
        self._over: list[float] = []

    def add(self, at: float, late: float) -> None:
        """A packet that came ``at``, ``late`` seconds behind the fastest."""
        if at - self._at > TOGETHER:
            self._close(late if self._leapt and late - self._before <= OVER else float("inf"))
            self._begun = at
        self._at = at
        self._late.append(late)

    @property
    def _leapt(self) -> bool:
        return bool(self._late) and self._late[0] - self._before >= LEAPS

    def _close(self, least: float = float("inf")) -> None:
        found = []
        for late in reversed(self._late):
            least = min(least, late)
            found.append(least)
        self._over += found[::-1]
        self._before = self._late[-1] if self._late else self._before
        self._late.clear()

    def take(self) -> list[float]:
        """How late packets were, without what may still be a bunch."""
        over = self._at - self._begun > PATIENCE or len(self._late) >= MOST
        if over or not self._leapt or self._late[-1] - self._before <= OVER:
            self._close()
        found, self._over = self._over, []
        return found
