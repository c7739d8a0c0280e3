"""How late a sound is heard: what went in at one end compared with what came out at the other."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from audio.pcm import RATE, Samples, from_int16, to_int16

# Implementation
WINDOW = 0.25  # seconds of sound that are looked for at once
LONGEST = 0.6  # seconds of delay that are looked at
ALIKE = 0.6  # normalised correlation from which a window counts as found
AUDIBLE = 1e-5  # mean square of a window worth looking for


def chirps(seconds: float) -> Samples:
    """A chirp of 60 ms each 250 ms, each between two frequencies of its own."""
    rng = np.random.default_rng(7)
    count = int(RATE * 0.06)
    time = np.arange(count) / RATE
    signal = np.zeros(int(seconds * RATE), np.float32)
    for at in range(RATE // 10, len(signal) - count, RATE // 4):
        low, high = rng.uniform(300, 3400, 2)
        phase = 2 * np.pi * (low * time + (high - low) / 2 / 0.06 * time**2)
        signal[at : at + count] = np.sin(phase) * np.hanning(count) * 0.5
    return signal


def write_wav(path: Path, samples: Samples) -> None:
    """48 kHz mono 16 bit."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(to_int16(samples).tobytes())


def read_wav(path: Path) -> Samples:
    """What ``write_wav`` or a speaker wrote, also while it is still being written."""
    data = path.read_bytes()[44:]
    return from_int16(np.frombuffer(data[: len(data) // 2 * 2], "<i2"))


def delays(said: Samples, heard: Samples, lead: float = 0.0) -> list[tuple[float, float]]:
    """(time in ``said``, delay) in seconds of each window of ``said`` that was heard.

    ``lead`` seconds: how much earlier ``heard`` begins than ``said``.
    """
    size, reach = int(WINDOW * RATE), int(LONGEST * RATE)
    found = []
    for at in range(0, len(said) - size, size):
        start = at + round(lead * RATE)
        window, span = said[at : at + size], heard[max(0, start) : start + size + reach]
        if start < 0 or len(span) < size + reach or np.mean(window**2) < AUDIBLE:
            continue
        late = _find(window.astype(np.float64), span.astype(np.float64))
        if late is not None:
            found.append((at / RATE, late))
    return found


def _find(window: np.ndarray, span: np.ndarray) -> float | None:
    size = 1 << (len(window) + len(span)).bit_length()
    product = np.fft.rfft(span, size) * np.conj(np.fft.rfft(window, size))
    likeness = np.fft.irfft(product, size)[: len(span) - len(window) + 1]
    running = np.concatenate(([0.0], np.cumsum(span**2)))
    energy = running[len(window) :] - running[: -len(window)]
    likeness /= np.sqrt(np.maximum(energy * np.sum(window**2), 1e-9))
    best = int(np.argmax(likeness))
    return best / RATE if likeness[best] >= ALIKE else None
