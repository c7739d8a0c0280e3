"""How loud something is, in dBFS (0 = a full-scale square wave)."""

from __future__ import annotations

import math

import numpy as np

from audio.pcm import FRAME, Frame, Samples

# Implementation
SILENT = -120.0  # dBFS; said of digital silence
BLOCK = 240  # samples: 5 ms, short enough that an onset late in a frame is seen


def decibels(power: float) -> float:
    """dBFS of a mean square."""
    return max(SILENT, 10.0 * math.log10(power)) if power > 0.0 else SILENT


def level(samples: Samples) -> float:
    """dBFS of the root mean square of all samples."""
    return decibels(float(np.dot(samples, samples)) / len(samples)) if len(samples) else SILENT


def loudest_block(frame: Frame) -> float:
    """dBFS of the loudest 5 ms of a frame."""
    blocks = frame.reshape(FRAME // BLOCK, BLOCK)
    return decibels(max(np.vecdot(blocks, blocks).tolist()) / BLOCK)
