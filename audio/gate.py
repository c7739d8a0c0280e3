"""The gate: whether somebody talks, frame by frame, without looking ahead.

It opens with the very frame that is loud enough, so that no onset is cut, and
closes 400 ms after the last such frame. What is loud enough follows the noise
of the room (the quietest frames of the last seconds), between two bounds: never
so high that a steady tone or a humming voice closes it.
"""

from __future__ import annotations

from enum import Enum

from audio.level import loudest_block, power
from audio.pcm import Frame

# Implementation
HANGOVER = 20  # frames: 400 ms bridge the pauses within a sentence
QUIETEST = power(-58.0)  # no threshold is lower: the hiss of a good microphone
LOUDEST = power(-40.0)  # no threshold is higher: a soft voice
ABOVE_NOISE = power(9.0)  # a voice's onset above the noise of the room
NOISE_WINDOW = 75  # frames: 1.5 s hold at least one breath of any talker


class Verdict(Enum):
    """What to do with a frame."""

    SILENT = "nobody talks: nothing is sent"
    TALKING = "it is sent"
    LAST = "it is sent and marked as the end of talking"


class NoiseFloor:
    """The room when nobody talks: the minimum over the last 1.5 to 3 s."""

    def __init__(self) -> None:
        self.threshold = QUIETEST
        """Mean square that the loudest 5 ms of a frame must reach."""
        self._level = QUIETEST / ABOVE_NOISE
        self._lowest = 1.0
        self._count = 0

    def learn(self, loudness: float) -> None:
        """Take the mean square of one more frame."""
        self._lowest = min(self._lowest, loudness)
        self._count += 1
        if self._count == NOISE_WINDOW:
            self._settle(self._lowest)
            self._lowest, self._count = 1.0, 0
        elif loudness < self._level:
            self._settle(loudness)

    def _settle(self, level: float) -> None:
        self._level = level
        self.threshold = min(LOUDEST, max(QUIETEST, level * ABOVE_NOISE))


class Gate:
    """One talker's gate."""

    def __init__(self) -> None:
        self._floor = NoiseFloor()
        self._left = 0

    @property
    def open(self) -> bool:
        """Whether the last frame was sent and was not the last one."""
        return self._left > 0

    def judge(self, frame: Frame) -> Verdict:
        """Whether this frame is sent, and whether it is the last one."""
        loudness = loudest_block(frame)
        loud = loudness >= self._floor.threshold
        self._floor.learn(loudness)
        if loud:
            self._left = HANGOVER
            return Verdict.TALKING
        if not self._left:
            return Verdict.SILENT
        self._left -= 1
        return Verdict.TALKING if self._left else Verdict.LAST

    def close(self) -> bool:
        """Close at once (muted); whether it was open."""
        was, self._left = self.open, 0
        return was
