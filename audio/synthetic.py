"""Something like speech, made without any library or file.

For demonstrations and tests on machines that have no recording: syllables of
vowels and hisses with short pauses, broad enough to judge a codec by and the
same for each seed.
"""

from __future__ import annotations

import numpy as np

from audio.pcm import RATE, Samples, silence

VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))
"""Formants of a, i, u, e in hertz (Peterson and Barney 1952)."""
PEAK = 0.5
"""Of the loudest sample."""


def voiced(seconds: float, pitch: float, formants: tuple[int, ...]) -> Samples:
    """A vowel: harmonics of a gliding pitch, weighted by formants."""
    count = int(seconds * RATE)
    glide = pitch * (1 + 0.15 * np.sin(np.linspace(0, np.pi, count)))
    phase = 2 * np.pi * np.cumsum(glide) / RATE
    out = np.zeros(count)
    for harmonic in range(1, int(4000 / pitch)):
        at = harmonic * pitch
        weight = sum(1 / (1 + ((at - formant) / 90) ** 2) for formant in formants)
        out += weight / np.sqrt(harmonic) * np.sin(harmonic * phase)
    return _shaped(out)


def unvoiced(seconds: float, rng: np.random.Generator) -> Samples:
    """A hiss like an s: noise with its low end taken away."""
    noise = rng.standard_normal(int(seconds * RATE))
    return _shaped(np.diff(noise, n=2, prepend=[0.0, 0.0])) * np.float32(0.2)


def _shaped(samples: np.ndarray) -> Samples:
    edge = min(len(samples) // 3, RATE // 50)
    envelope = np.ones(len(samples))
    envelope[:edge] = np.linspace(0, 1, edge)
    envelope[-edge:] = np.linspace(1, 0, edge)
    shaped: Samples = (samples / np.abs(samples).max() * envelope).astype(np.float32)
    return shaped


def speech(seconds: float, seed: int = 1) -> Samples:
    """Syllables of vowels and hisses with short pauses; the same for each seed."""
    rng = np.random.default_rng(seed)
    pieces: list[Samples] = []
    length = 0
    while length < seconds * RATE:
        vowel = VOWELS[int(rng.integers(len(VOWELS)))]
        syllable = (
            unvoiced(rng.uniform(0.04, 0.1), rng),
            voiced(rng.uniform(0.12, 0.3), rng.uniform(95, 210), vowel),
            silence(int(rng.choice([0.0, 0.03, 0.12], p=[0.6, 0.25, 0.15]) * RATE)),
        )
        pieces.extend(syllable)
        length += sum(len(piece) for piece in syllable)
    joined = np.concatenate(pieces)[: int(seconds * RATE)]
    loud: Samples = (joined / np.abs(joined).max() * PEAK).astype(np.float32)
    return loud
