"""Time made shorter or longer by one period of the voice, without clicks.

A piece of the signal that looks like what follows one period later is found by
correlation, and the two are cross-faded (WSOLA, Verhelst and Roelands 1993;
NetEq's accelerate and preemptive expand do the same). Pitch stays as it is.
"""

from __future__ import annotations

import numpy as np

from audio.pcm import FRAME, Frame, Samples, along, to_mono

# Implementation
SHORTEST = 120  # samples: 2.5 ms, a voice of 400 Hz
LONGEST = 720  # samples: 15 ms, a voice of 67 Hz
OVERLAP = FRAME - LONGEST  # samples of the cross-fade: 5 ms
ALIKE = 0.5  # correlation from which a cut is not heard
QUIET = 1e-6  # mean square (-60 dBFS) below which any cut is fine

_RISING = np.linspace(0.0, 1.0, OVERLAP, dtype=np.float32)


def period(frame: Frame, longest: int = LONGEST) -> int | None:
    """Samples after which ``frame`` resembles its own start, or None.

    Not more than ``longest``, which is from SHORTEST to LONGEST. Stereo is judged by its mean.
    """
    frame = to_mono(frame)
    head = frame[:OVERLAP]
    tail = frame[SHORTEST : longest + OVERLAP]
    if float(np.dot(frame, frame)) < QUIET * FRAME:
        return longest
    products = np.correlate(tail, head, "valid")
    running = np.concatenate(([0.0], np.cumsum(tail.astype(np.float64) ** 2)))
    energies = running[OVERLAP:] - running[:-OVERLAP]
    own = float(np.dot(head, head))
    alike = products / np.sqrt(np.maximum(energies * own, 1e-12))
    best = int(np.argmax(alike))
    return best + SHORTEST if alike[best] >= ALIKE else None


def shorten(frame: Frame, most: int = LONGEST) -> Samples:
    """``frame`` without one period (2.5 to 15 ms less); unchanged if that would be heard.

    Not more than ``most`` samples are taken away.
    """
    if most < SHORTEST:
        return frame
    lag = period(frame, min(most, LONGEST))
    if lag is None:
        return frame
    rising = along(_RISING, frame)
    joint = frame[:OVERLAP] * (1 - rising) + frame[lag : lag + OVERLAP] * rising
    return np.concatenate((joint, frame[lag + OVERLAP :]))


def lengthen(frame: Frame) -> Samples:
    """``frame`` with one period twice (2.5 to 15 ms more); unchanged if that would be heard."""
    lag = period(frame)
    if lag is None:
        return frame
    rising = along(_RISING, frame)
    joint = frame[lag : lag + OVERLAP] * (1 - rising) + frame[:OVERLAP] * rising
    return np.concatenate((frame[:lag], joint, frame[OVERLAP:]))
