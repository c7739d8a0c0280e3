"""The mixer: many voices into one signal, with a limit that cannot be heard as one.

A sum that stays below the knee passes unchanged, bit by bit. Above it a slow
gain follows the peaks (fast down, slowly up again), and what slips through
while the gain still moves is bent by a smooth curve that never reaches 1.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from audio.pcm import FRAME, RATE, Samples, along, silence, to_stereo

# Implementation
KNEE = 0.9  # below this nothing is touched
ATTACK = 96  # samples: 2 ms from the old gain to a lower one
RELEASE = 0.3  # seconds until half of a lowered gain is back
UNITY = 100  # percent
LOUDEST_VOLUME = 400  # percent


def bend(samples: Samples) -> Samples:
    """Samples as they are up to the knee, above it a curve with limit 1."""
    room = np.float32(1.0 - KNEE)
    over = np.abs(samples) - np.float32(KNEE)
    bent = np.float32(KNEE) + room * np.tanh(over / room)
    # float32 rounds tanh to 1.0: keep one step below full scale
    bent = np.minimum(bent, np.float32(1.0) - np.float32(2**-20))
    return np.where(over > 0, np.copysign(bent, samples), samples).astype(np.float32)


class Limiter:
    """Keeps one stream of samples strictly within -1..1."""

    def __init__(self) -> None:
        self.gain = 1.0

    def limit(self, samples: Samples) -> Samples:
        """Samples (2 ms or more), never beyond full scale; the same array if it can stay."""
        peak = max(samples.item(samples.argmax()), -samples.item(samples.argmin()))
        if peak <= KNEE and self.gain == 1.0:
            return samples
        wanted = min(1.0, KNEE / peak) if peak > 0.0 else 1.0
        return bend(samples * along(self._ramp(wanted, len(samples)), samples))

    def _ramp(self, wanted: float, count: int) -> Samples:
        before = self.gain
        risen = 1.0 - (1.0 - before) * 0.5 ** (count / RATE / RELEASE)
        self.gain = min(wanted, 1.0 if risen > 1.0 - 1e-4 else risen)
        if self.gain >= before:
            return np.linspace(before, self.gain, count, dtype=np.float32)
        ramp = np.full(count, self.gain, np.float32)
        ramp[:ATTACK] = np.linspace(before, self.gain, ATTACK, dtype=np.float32)
        return ramp


def gain_of(percent: float) -> float:
    """The factor of a volume in percent, 0 to 400."""
    return min(max(percent, 0.0), LOUDEST_VOLUME) / UNITY


class Mixer:
    """Adds voices, each with its gain, and limits the sum."""

    def __init__(self) -> None:
        self._limiter = Limiter()

    def mix(self, voices: Iterable[tuple[Samples, float]], count: int = FRAME) -> Samples:
        """``count`` samples out of (samples, gain) pairs of that length; silence out of none.

        As soon as one of them is stereo, all of it is.
        """
        total: Samples | None = None
        for samples, gain in voices:
            louder = samples if gain == 1.0 else samples * np.float32(gain)
            if total is not None and total.ndim != louder.ndim:
                total, louder = to_stereo(total), to_stereo(louder)
            total = louder if total is None else total + louder
        return self._limiter.limit(silence(count) if total is None else total)
