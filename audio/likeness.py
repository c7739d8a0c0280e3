"""How much a voice that was heard is like the one that was said, and how late it is.

``intelligibility`` follows STOI (Taal et al. 2011): the envelopes of third-octave
bands are correlated over pieces of a third of a second. It leaves out STOI's
resampling and clipping, so its figures are near STOI's, not equal to them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio.pcm import RATE, Samples

# Specification
LOWEST = 150.0  # hertz; centre of the first band
BANDS = 15  # a third of an octave each, up to 3.8 kHz
PIECE = 30  # windows that are correlated at once: 384 ms

# Implementation
WINDOW = 1228  # samples: 25.6 ms
HOP = WINDOW // 2
ALIGNED = 0.8  # seconds that are compared as one piece
MOVED = 0.1  # seconds by which a piece may stand earlier or later than the whole
QUIET = 40.0  # dB under the loudest window from which windows of silence are left out

Spectrum = NDArray[np.float64]


def delay_of(heard: Samples, said: Samples, longest: float = 0.5) -> int:
    """Samples by which ``heard`` is later than ``said``, by cross-correlation."""
    reach = int(longest * RATE)
    size = 1 << (len(said) + len(heard)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    return int(np.argmax(np.fft.irfft(product, size)[: reach + 1]))


def place_in(heard: Samples, circle: Samples) -> int:
    """The sample of ``circle``, which repeats without end, at which ``heard`` begins."""
    count = len(circle)
    turns = np.zeros(count)
    for at in range(0, len(heard), count):
        piece = heard[at : at + count]
        turns[: len(piece)] += piece
    product = np.fft.rfft(circle) * np.conj(np.fft.rfft(turns))
    return int(np.argmax(np.fft.irfft(product, count)))


def intelligibility(heard: Samples, said: Samples) -> float:
    """0 to 1 for two aligned signals of one length at 48 kHz; 0 when there is too little."""
    ours, theirs = _windows(said), _windows(heard)
    levels = 10 * np.log10(np.sum(ours**2, axis=1) + 1e-12)
    kept = levels > levels.max(initial=-200.0) - QUIET
    said_bands, heard_bands = _bands(ours[kept]), _bands(theirs[kept])
    likeness = [
        _alike(said_bands[at : at + PIECE], heard_bands[at : at + PIECE])
        for at in range(0, len(said_bands) - PIECE + 1, PIECE // 2)
    ]
    return max(0.0, float(np.mean(likeness))) if likeness else 0.0


def _windows(samples: Samples) -> Spectrum:
    """Overlapping Hann windows, shape (n, WINDOW)."""
    if len(samples) < WINDOW:
        return np.zeros((0, WINDOW))
    view = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), WINDOW)[::HOP]
    return view * np.hanning(WINDOW)


def _bands(windows: Spectrum) -> Spectrum:
    """The root of the energy in each third-octave band, shape (n, BANDS)."""
    energy = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    hertz = np.fft.rfftfreq(WINDOW, 1 / RATE)
    centres = LOWEST * 2.0 ** (np.arange(BANDS) / 3)
    members = np.abs(np.log2(np.maximum(hertz, 1.0)[:, None] / centres)) < 1 / 6
    root: Spectrum = np.sqrt(energy @ members)
    return root


def _alike(said: Spectrum, heard: Spectrum) -> float:
    """The mean correlation of all bands over one piece; bands without sound do not count."""
    ours, theirs = said - said.mean(axis=0), heard - heard.mean(axis=0)
    sizes = np.linalg.norm(ours, axis=0)
    audible = sizes > 1e-6
    if not audible.any():
        return 0.0
    products = np.sum(ours * theirs, axis=0) / (sizes * np.linalg.norm(theirs, axis=0) + 1e-12)
    return float(np.mean(products[audible]))


def lateness(heard: Samples, circle: Samples, began: float, last: float) -> float | None:
    """Seconds that a voice is late; None when too little was heard.

    The voice says ``circle`` over and over from time 0 on; ``heard`` begins at
    ``began``, on the same clock. Judged by the ``last`` seconds. Others may be
    heard besides.
    """
    tail = heard[-int(last * RATE) :]
    if len(tail) < len(circle) or not tail.any():
        return None
    moment = began + (len(heard) - len(tail)) / RATE
    return (moment - place_in(tail, circle) / RATE) % (len(circle) / RATE)


def resemblance(heard: Samples, circle: Samples, last: float) -> float:
    """Intelligibility of the ``last`` seconds of somebody who says ``circle`` over and over.

    Every piece is aligned for itself: that a jitter buffer moves is no harm.
    """
    tail = heard[-int(last * RATE) :]
    if not tail.any():
        return 0.0
    step, begins = int(MOVED * RATE), place_in(tail, circle)
    said = np.resize(np.roll(circle, step - begins), len(tail) + 2 * step)
    size = int(ALIGNED * RATE)
    pieces = [
        _resembles(tail[at : at + size], said[at : at + size + 2 * step])
        for at in range(0, len(tail) - size + 1, size)
    ]
    return float(np.mean(pieces)) if pieces else 0.0


def _resembles(heard: Samples, said: Samples) -> float:
    """Intelligibility of ``heard``, which is somewhere within ``said``."""
    at = delay_of(said, heard, (len(said) - len(heard)) / RATE)
    return intelligibility(heard, said[at : at + len(heard)])
