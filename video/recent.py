"""Recent: amounts of the last seconds, and their sum at any moment."""

from __future__ import annotations

from collections import deque


class Recent:
    """Amounts with their times, roughly in order; the oldest goes first."""

    __slots__ = ("_entries", "_most", "total")

    def __init__(self, most: float = float("inf")) -> None:
        """``most`` entries are kept, whatever their times are."""
        self._entries: deque[tuple[float, int]] = deque()
        self._most = most
        self.total = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, at: float, amount: int) -> None:
        """Something happened."""
        entries = self._entries
        entries.append((at, amount))
        self.total += amount
        if len(entries) > self._most:
            self.total -= entries.popleft()[1]

    def forget(self, before: float) -> None:
        """What stands in front and is older than ``before``."""
        entries = self._entries
        while entries and entries[0][0] < before:
            self.total -= entries.popleft()[1]

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self.total = 0

    def since(self, begin: float) -> tuple[float, int]:
        """(when it began, sum) of what is not older than ``begin``."""
        if not self._entries or self._entries[0][0] >= begin:
            return (self._entries[0][0] if self._entries else begin), self.total
        begun, total = begin, 0
        for at, amount in reversed(self._entries):
            if at < begin:
                break
            begun, total = at, total + amount
        return begun, total

    @property
    def oldest(self) -> tuple[float, int]:
        """(when, amount) of the first; there must be one."""
        return self._entries[0]

    @property
    def newest(self) -> tuple[float, int]:
        """(when, amount) of the last; there must be one."""
        return self._entries[-1]
