"""What a frame is, and how samples become frames.

A frame is 20 ms of one voice: float32, shape (960,), 48 kHz, -1 to 1. All of
``audio`` between the microphone and the codec speaks in frames. Speakers ask for
blocks of half a frame: what is played waits on average half a block for its turn.
The sound that comes with pictures has two channels, shape (n, 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Specification
RATE = 48_000  # samples per second
FRAME = 960  # samples of one frame
FRAME_SECONDS = 0.02  # FRAME / RATE

# Implementation
BLOCK = 480  # samples that a speaker asks for at once: 10 ms

Samples = NDArray[np.float32]
"""Any number of mono samples, float32, 48 kHz unless said otherwise."""
Frame = NDArray[np.float32]
"""Shape (960,)."""
Stereo = NDArray[np.float32]
"""Shape (n, 2): left and right, float32, 48 kHz."""

_FULL_SCALE = 32_767.0


def silence(count: int = FRAME) -> Samples:
    """``count`` samples of silence, the caller's own."""
    return np.zeros(count, np.float32)


def stereo_silence(count: int = FRAME) -> Stereo:
    """``count`` samples of silence on two channels, the caller's own."""
    return np.zeros((count, 2), np.float32)


def to_stereo(samples: Samples) -> Stereo:
    """Samples of any number of channels as two: mono on both, else the first two."""
    if samples.ndim == 1:
        return np.repeat(samples[:, np.newaxis], 2, axis=1)
    return samples[:, :2] if samples.shape[1] > 1 else np.repeat(samples, 2, axis=1)


def filled(samples: Samples, count: int) -> Samples:
    """``samples``, mono or stereo, with silence behind them up to ``count``."""
    rest = np.zeros((count - len(samples), *samples.shape[1:]), np.float32)
    return np.concatenate((samples, rest))


def along(ramp: Samples, samples: Samples) -> Samples:
    """A gain for each sample, fit to multiply ``samples``, mono or stereo."""
    return ramp if samples.ndim == 1 else ramp[:, np.newaxis]


def to_mono(block: NDArray[np.float32]) -> Samples:
    """The mean of all channels of ``block``, shape (n,) or (n, channels)."""
    if block.ndim == 1:
        return block
    if block.shape[1] == 1:
        return block[:, 0]
    mean: Samples = block.mean(axis=1, dtype=np.float32)
    return mean


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Samples as 16-bit integers, little-endian; what is beyond -1..1 is clipped."""
    whole: NDArray[np.int16] = np.rint(np.clip(samples, -1.0, 1.0) * _FULL_SCALE).astype("<i2")
    return whole


def from_int16(samples: NDArray[np.int16]) -> Samples:
    """The inverse of ``to_int16``."""
    return samples.astype(np.float32) / np.float32(_FULL_SCALE)


def fade_in(samples: Samples) -> Samples:
    """The same samples, rising from nothing over their length."""
    return samples * along(np.linspace(0.0, 1.0, len(samples), dtype=np.float32), samples)


def fade_out(samples: Samples) -> Samples:
    """The same samples, falling to nothing over their length."""
    return samples * along(np.linspace(1.0, 0.0, len(samples), dtype=np.float32), samples)


def joined(before: Samples, after: Samples) -> Samples:
    """``after``, its start faded over from ``before``, both of any length but 0."""
    count = min(len(before), len(after))
    start = fade_out(before[:count]) + fade_in(after[:count])
    return np.concatenate((start, after[count:]))


class Framer:
    """Cuts chunks of any length, of one or two channels, into frames."""

    def __init__(self, channels: int = 1) -> None:
        self._kept: Samples = silence(0) if channels == 1 else stereo_silence(0)

    @property
    def pending(self) -> int:
        """Samples kept until their frame is full, 0 to 959."""
        return len(self._kept)

    def push(self, samples: Samples) -> list[Frame]:
        """The frames that ``samples`` complete, oldest first."""
        joined = np.concatenate((self._kept, samples))
        whole = len(joined) // FRAME * FRAME
        self._kept = joined[whole:].copy()
        return [joined[at : at + FRAME] for at in range(0, whole, FRAME)]

    def flush(self) -> list[Frame]:
        """The last frame, filled up with silence, if anything is pending."""
        if not len(self._kept):
            return []
        return self.push(np.zeros((FRAME - len(self._kept), *self._kept.shape[1:]), np.float32))
