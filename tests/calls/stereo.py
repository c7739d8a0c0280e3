"""What a viewer heard on two channels: pitches, gaps, and how late."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from audio.pcm import FRAME, RATE, Samples, Stereo, from_int16
from audio.soundtrack import LOUD
from tests.calls.engines import EngineProcess
from tests.calls.sounds import HEADER, loudness, pitch


def read_stereo(path: Path) -> Stereo:
    """Also while it is still being written."""
    data = path.read_bytes()[HEADER:]
    return from_int16(np.frombuffer(data[: len(data) // 4 * 4], "<i2")).reshape(-1, 2)


def pitches(heard: Stereo) -> tuple[float, float]:
    """The loudest frequency of each side."""
    return pitch(heard[:, 0]), pitch(heard[:, 1])


def apart(heard: Stereo, left: float, right: float) -> float:
    """How much quieter than its own pitch the other side's is on each side: the worse ratio."""
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))[:, None], axis=0))

    def at(hertz: float, side: int) -> float:
        middle = round(hertz * len(heard) / RATE)
        return float(spectrum[middle - 3 : middle + 4, side].max())

    return min(at(left, 0) / at(right, 0), at(right, 1) / at(left, 1))


def gaps(heard: Samples, quiet: float = 0.02) -> float:
    """Seconds of the longest silence."""
    frames = heard[: len(heard) // FRAME * FRAME].reshape(-1, FRAME)
    longest = run = 0
    for frame in frames:
        run = run + 1 if loudness(frame) < quiet else 0
        longest = max(longest, run)
    return longest * FRAME / RATE


def clock_of(engine: EngineProcess) -> float:
    """The monotonic time of the first sample of its speaker."""
    return float(engine.wait("audio")["speaker_started"]) - time.time() + time.monotonic()


def lateness(heard: Samples, begun: float) -> list[float]:
    """How late each loud part of the test tones is: it begins with a second of the clock.

    ``begun``: the monotonic time of the first sample.
    """
    step = RATE // 1000
    level = np.abs(heard[: len(heard) // step * step]).reshape(-1, step).max(axis=1)
    loud = level > 0.25
    starts = [n for n in range(300, len(loud) - 1) if loud[n] and not loud[n - 300 : n].any()]
    late = [(begun + n / 1000) % 1.0 for n in starts]
    return [one if one < 1 - LOUD else one - 1.0 for one in late]
