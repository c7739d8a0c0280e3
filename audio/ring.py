"""A ring of samples between one writing and one reading thread, without a lock.

Each side moves only its own counter, and moves it after the samples are in
place; under the interpreter lock a counter is read whole. Nothing is allocated
while audio runs. A full ring drops what does not fit, an empty one gives less
than was asked for: the caller counts both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio.pcm import Samples


class Ring:
    """``capacity`` samples, mono or of so many channels, between two threads."""

    def __init__(self, capacity: int, channels: int = 1) -> None:
        self.capacity = capacity
        self.dropped = 0
        shape = capacity if channels == 1 else (capacity, channels)
        self._samples: NDArray[np.float32] = np.zeros(shape, np.float32)
        self._written = 0
        self._read = 0

    def __len__(self) -> int:
        return self._written - self._read

    @property
    def written(self) -> int:
        """Samples written since the beginning."""
        return self._written

    @property
    def read_count(self) -> int:
        """Samples read since the beginning."""
        return self._read

    def write(self, samples: Samples) -> int:
        """Put samples in, as many as fit; how many those were."""
        count = min(len(samples), self.capacity - len(self))
        self.dropped += len(samples) - count
        at = self._written % self.capacity
        first = min(count, self.capacity - at)
        self._samples[at : at + first] = samples[:first]
        self._samples[: count - first] = samples[first:count]
        self._written += count
        return count

    def read_into(self, out: NDArray[np.float32]) -> int:
        """Fill ``out`` from its start; how many samples there were."""
        count = min(len(out), len(self))
        at = self._read % self.capacity
        first = min(count, self.capacity - at)
        out[:first] = self._samples[at : at + first]
        out[first:count] = self._samples[: count - first]
        self._read += count
        return count

    def read(self, count: int | None = None) -> Samples:
        """At most ``count`` samples (all if not given) as an array of their own."""
        wanted = len(self) if count is None else min(count, len(self))
        out = np.empty((wanted, *self._samples.shape[1:]), np.float32)
        return out[: self.read_into(out)]
