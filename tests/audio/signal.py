"""Signals for tests: something like speech, and what came out of it laid beside it."""

from __future__ import annotations

import numpy as np

from audio.likeness import delay_of
from audio.pcm import FRAME, Frame, Samples, silence
from audio.synthetic import speech, unvoiced, voiced

__all__ = ["aligned", "delay_of", "frames", "speech", "unvoiced", "voiced"]


def frames(samples: Samples) -> list[Frame]:
    """Whole frames of ``samples``; the last one is filled up with silence."""
    padded = np.concatenate((samples, silence(-len(samples) % FRAME)))
    return [padded[at : at + FRAME] for at in range(0, len(padded), FRAME)]


def aligned(heard: Samples, said: Samples) -> tuple[Samples, Samples]:
    """Both, of equal length, the delay of ``heard`` taken out."""
    moved = heard[delay_of(heard, said) :]
    count = min(len(moved), len(said))
    return moved[:count], said[:count]
