"""Elastic: between a device that gives samples when it likes and a beat that takes them.

The device has a clock of its own: what is kept grows or shrinks by some samples a second.
Frames are then taken from a few samples more or fewer, which nobody hears; only a stall
is cut away.
"""

from __future__ import annotations

import numpy as np

from audio.pcm import FRAME, RATE, Stereo, fade_in, fade_out, filled, stereo_silence

# Implementation
KEPT = 0.03  # seconds that wait for their turn: pieces of 20 ms come late by some
RANGE = (0.004, KEPT + 0.012)
"""Seconds; the least that is kept may be there, as pieces come between two frames."""
MOST = 0.25  # seconds above which what is old is cut away
CALM = 50  # frames over which the least that was kept is taken
STEP = 4  # samples that a frame is made of more, or fewer: 0.4 %


class Elastic:
    """One source of stereo samples."""

    def __init__(self) -> None:
        self._samples = stereo_silence(0)
        self._flows = False
        self._least = self._before = float("inf")
        self._counted = 0

    def __len__(self) -> int:
        return len(self._samples)

    def push(self, samples: Stereo) -> None:
        """What the device gave."""
        self._samples = np.concatenate((self._samples, samples))
        if len(self._samples) > (KEPT + MOST) * RATE:
            self._samples = self._samples[-(round(KEPT * RATE) + FRAME) :]
            self._forget()

    def pull(self) -> Stereo | None:
        """The next frame, (960, 2); None while it gives nothing."""
        begins = not self._flows
        if begins:
            if len(self._samples) < KEPT * RATE + FRAME:
                return None
            self._flows = True
            self._samples = self._samples[-(round(KEPT * RATE) + FRAME) :]
            self._forget()
        count = FRAME + self._bend()
        if len(self._samples) < count:
            return self._run_dry()
        frame, self._samples = self._samples[:count], self._samples[count:]
        self._note(len(self._samples) / RATE)
        frame = _fit(frame)
        return fade_in(frame) if begins else frame

    def _run_dry(self) -> Stereo | None:
        left, self._samples, self._flows = self._samples, stereo_silence(0), False
        return filled(fade_out(left), FRAME) if len(left) else None

    def _bend(self) -> int:
        """By how many samples the next frame is taken longer or shorter."""
        least = min(self._least, self._before)
        if least == float("inf") or self._before == float("inf"):
            return 0
        return STEP if least > RANGE[1] else -STEP if least < RANGE[0] else 0

    def _note(self, kept: float) -> None:
        self._least = min(self._least, kept)
        self._counted += 1
        if self._counted == CALM:
            self._before, self._least, self._counted = self._least, float("inf"), 0

    def _forget(self) -> None:
        self._least = self._before = float("inf")
        self._counted = 0


def _fit(samples: Stereo) -> Stereo:
    """Some samples more or fewer as one frame."""
    if len(samples) == FRAME:
        return samples
    at = np.linspace(0.0, len(samples) - 1.0, FRAME)
    whole = np.arange(len(samples))
    return np.stack([np.interp(at, whole, one) for one in samples.T], axis=1).astype(np.float32)
