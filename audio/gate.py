"""The gate: whether somebody talks, frame by frame, without looking ahead.

It opens with the very frame that is loud enough, so that no onset is cut, and
closes 400 ms after the last such frame. What is loud enough follows the noise
of the room (the quietest frames of the last seconds), between two bounds: never
so high that a steady tone or a humming voice closes it.
"""

from __future__ import annotations

from enum import Enum

from audio.level import SILENT, loudest_block
from audio.pcm import Frame

# Implementation
HANGOVER = 20  # frames: 400 ms bridge the pauses within a sentence
QUIETEST = -58.0  # dBFS; no threshold is lower: the hiss of a good microphone
LOUDEST = -40.0  # dBFS; no threshold is higher: a soft voice
ABOVE_NOISE = 9.0  # dB of a voice's onset above the noise of the room
NOISE_WINDOW = 75  # frames: 1.5 s hold at least one breath of any talker


class Verdict(Enum):
    """What to do with a frame."""

    SILENT = "nobody talks: nothing is sent"
    TALKING = "it is sent"
    LAST = "it is sent and marked as the end of talking"


class NoiseFloor:
    """The level of the room: the minimum over the last 1.5 to 3 s."""

    def __init__(self) -> None:
        self.level = QUIETEST - ABOVE_NOISE
        self._now = 0.0
        self._count = 0

    def learn(self, loudness: float) -> None:
        """Take the level of one more frame, in dBFS."""
        self._now = min(self._now, loudness)
        self.level = min(self.level, max(loudness, SILENT))
        self._count += 1
        if self._count == NOISE_WINDOW:
            self.level, self._now, self._count = self._now, 0.0, 0


class Gate:
    """One talker's gate."""

    def __init__(self) -> None:
        self._floor = NoiseFloor()
        self._left = 0

    @property
    def open(self) -> bool:
        """Whether the last frame was sent and was not the last one."""
        return self._left > 0

    @property
    def threshold(self) -> float:
        """dBFS that the loudest 5 ms of a frame must reach."""
        return min(LOUDEST, max(QUIETEST, self._floor.level + ABOVE_NOISE))

    def judge(self, frame: Frame) -> Verdict:
        """Whether this frame is sent, and whether it is the last one."""
        loudness = loudest_block(frame)
        loud = loudness >= self.threshold
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
