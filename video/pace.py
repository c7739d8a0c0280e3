"""Pace: pieces leave one after the other, never in a burst that voice would wait behind.

A lane has a rate and two queues: what was asked for again goes first, then frames in
order. At most ``CREDIT`` of what was not sent in time is made up for.

Rule: a lane that cannot keep up drops whole frames, newest intent first: what waits for
      too long is forgotten until the next key frame. Its memory is bounded by that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

# Implementation
CREDIT = 0.005  # s of rate that may leave at once
BEAT = 0.004  # s between two looks at a lane that is busy
GAIN_AT_FIRST = 1.5  # of the rate while nothing was congested: a first key frame is large
GAIN = 1.15  # of the rate later: an encoder's frames are not all of one size
MAX_AGAIN = 256  # pieces that wait to be sent again

Item = TypeVar("Item")


@dataclass(slots=True)
class Queued(Generic[Item]):
    """One piece that waits."""

    frame: int
    item: Item
    size: int


class Lane(Generic[Item]):
    """One paced way out: to a viewer, or to a forwarder that copies."""

    def __init__(self, now: float) -> None:
        self.rate = 1_000_000.0
        """bit/s, without gain."""
        self.gain = GAIN_AT_FIRST
        self._again: deque[Queued[Item]] = deque()
        self._frames: deque[Queued[Item]] = deque()
        self._free_at = now
        self._bytes = 0
        self._begun: int | None = None
        """The frame of which the first pieces have left."""

    @property
    def backlog(self) -> float:
        """Seconds until everything has left."""
        return 8 * self._bytes / (self.rate * self.gain)

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._again and not self._frames

    def push(self, queued: Queued[Item]) -> None:
        """A piece of a new frame."""
        self._frames.append(queued)
        self._bytes += queued.size

    def push_again(self, queued: Queued[Item]) -> bool:
        """A piece that was asked for again; False when too many wait already."""
        if len(self._again) >= MAX_AGAIN:
            return False
        self._again.append(queued)
        self._bytes += queued.size
        return True

    def drop(self, which: Callable[[Item], bool]) -> int:
        """Forget frames that wait; how many pieces. A frame that has begun goes too."""
        kept = deque(one for one in self._frames if not which(one.item))
        dropped = len(self._frames) - len(kept)
        self._frames = kept
        self._bytes = sum(one.size for one in (*self._frames, *self._again))
        return dropped

    def next_time(self) -> float:
        """When the next piece may leave; infinity while nothing waits."""
        return float("inf") if self.empty else self._free_at

    def pop(self, now: float) -> Item | None:
        """The next piece, if one may leave now."""
        waiting = self._again or self._frames
        if not waiting or self._free_at > now:
            return None
        queued = waiting.popleft()
        size = queued.size
        self._bytes -= size
        self._free_at = max(self._free_at, now - CREDIT) + 8 * size / (self.rate * self.gain)
        return queued.item
