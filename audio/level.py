"""How loud something is: mean squares, and dBFS (0 = a full-scale square wave)."""

from __future__ import annotations

import math

import numpy as np

from audio.pcm import FRAME, Frame, Samples

# Implementation
SILENT = -120.0  # dBFS; said of digital silence
BLOCK = 240  # samples: 5 ms, short enough that an onset late in a frame is seen


def power(decibels: float) -> float:
    """The mean square of so many dBFS."""
    return float(10.0 ** (decibels / 10))


def level(samples: Samples) -> float:
    """dBFS of the root mean square of all samples."""
    mean = float(np.dot(samples, samples)) / len(samples) if len(samples) else 0.0
    return max(SILENT, 10.0 * math.log10(mean)) if mean > 0.0 else SILENT


def loudest_block(frame: Frame) -> float:
    """The mean square of the loudest 5 ms of a frame."""
    blocks = frame.reshape(FRAME // BLOCK, BLOCK)
    return float(max(np.vecdot(blocks, blocks).tolist()) / BLOCK)
