"""What waits for a client that cannot take more now: little, and not for long.

Voice and pictures that are late are worth nothing, so they go first when there
is too much; what belongs to the reliable plane is sent again by its QUIC.
"""

from __future__ import annotations

from collections import deque

from vc_core.envelope import PASS, PASS_OVERHEAD

# Specification
LARGEST = 64 * 1024
"""Bytes that wait for one client."""
OLDEST = 0.2
"""Seconds that anything waits."""
MEDIA = range(128, 192)
"""First bytes of sealed media."""

_Entry = tuple[int, float, bytes]
"""How many came before, since when it waits, a datagram."""


class Queue:
    """The datagrams that wait for one client, in order."""

    __slots__ = ("_count", "_media", "_others", "_size", "dropped")

    def __init__(self) -> None:
        self._media: deque[_Entry] = deque()
        self._others: deque[_Entry] = deque()
        self._size = 0
        self._count = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._media) + len(self._others)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def push(self, data: bytes, now: float) -> None:
        """Let a datagram wait, at the cost of older ones if there are too many."""
        self._count += 1
        entries = self._media if is_media(data) else self._others
        entries.append((self._count, now, data))
        self._size += len(data)
        while self._size > LARGEST:
            self._drop(self._media or self._others)
        self._drop_old(now)

    def pop(self, now: float) -> bytes | None:
        """The one that came first, of those that are not too old."""
        self._drop_old(now)
        entries = min((one for one in (self._media, self._others) if one), default=None, key=_first)
        if entries is None:
            return None
        _, _, data = entries.popleft()
        self._size -= len(data)
        return data

    def _drop_old(self, now: float) -> None:
        for entries in (self._media, self._others):
            while entries and entries[0][1] < now - OLDEST:
                self._drop(entries)

    def _drop(self, entries: deque[_Entry]) -> None:
        self._size -= len(entries.popleft()[2])
        self.dropped += 1


def _first(entries: deque[_Entry]) -> int:
    return entries[0][0]


def is_media(data: bytes) -> bool:
    """Whether an envelope to a client carries voice or pictures."""
    return len(data) > PASS_OVERHEAD and data[0] == PASS and data[PASS_OVERHEAD] in MEDIA
