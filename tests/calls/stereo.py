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


def above(heard: Samples, one: float, other: float) -> float:
    """How many times as loud as pitch ``other`` is pitch ``one``; 0 in silence."""
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    middles = (round(hertz * len(heard) / RATE) for hertz in (one, other))
    levels = [float(spectrum[middle - 3 : middle + 4].max()) for middle in middles]
    return levels[0] / max(levels[1], 1e-9)


def apart(heard: Stereo, left: float, right: float) -> float:
    """How many times as loud as the other side's pitch each side has its own: the worse one."""
    return min(above(heard[:, 0], left, right), above(heard[:, 1], right, left))


def gaps(heard: Samples, quiet: float = 0.02) -> float:
    """Seconds of the longest silence."""
    frames = heard[: len(heard) // FRAME * FRAME].reshape(-1, FRAME)
    longest = run = 0
    for frame in frames:
        run = run + 1 if loudness(frame) < quiet else 0
        longest = max(longest, run)
    return longest * FRAME / RATE


def bursts(samples: Samples, hertz: float, level: float = 0.1) -> list[float]:
    """The seconds at which a tone of this pitch begins after at least 0.2 s without."""
    turning = samples * np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / RATE)
    step = RATE // 200
    share = turning[: len(turning) // step * step].reshape(-1, step).mean(axis=1)
    loud = 2 * np.abs(share) > level
    starts = [n for n in range(40, len(loud) - 1) if loud[n] and not loud[n - 40 : n].any()]
    return [n / 200 for n in starts]


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
