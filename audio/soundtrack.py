"""A track on its way out: from a source of stereo sound to packets of one size.

    source ─ each 20 ms ─► Opus (96 kbit/s, padded) ─► packet, stamped with when it was played

While somebody listens there is a packet each 20 ms, silence included: what is played, and
when it pauses, is nobody's business on the way. While nobody does, nothing is captured.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from audio.codec import StereoEncoder
from audio.pacer import Pacer, next_frame
from audio.pcm import FRAME, FRAME_SECONDS, RATE, Stereo
from audio.system import Source

# Specification
_WRAP = 1 << 32  # timestamps are u32

# Implementation
LONG_NAP = 5.0  # seconds; nobody hears what is not played meanwhile
LOUD = 0.1  # seconds at the begin of each second in which the test tones are loud
LEVELS = (0.4, 0.1)  # amplitudes then, and otherwise
TONES = (440.0, 660.0)  # hertz, left and right

OnPacket = Callable[[int, bytes], None]
"""Timestamp (samples of the monotonic clock, modulo 2^32), Opus packet."""


class Tones:
    """The sound of the test pattern: two tones, louder as each second of the clock begins."""

    delay = 0.0

    def listen(self, on: bool) -> None:
        """They are there when they are read."""

    def read(self, at: float) -> Stereo:
        """What belongs to the 20 ms from ``at`` on."""
        times = at + np.arange(FRAME) / RATE
        level = np.where(times % 1.0 < LOUD, *LEVELS)
        both = [level * np.sin(2 * np.pi * hertz * times) for hertz in TONES]
        return np.stack(both, axis=1).astype(np.float32)

    def close(self) -> None:
        """Nothing to give back."""


class Soundtrack:
    """One source in its beat."""

    def __init__(self, source: Source, on_packet: OnPacket) -> None:
        """``OpusMissing`` without the library. Needs a running loop."""
        self.source = source
        self._on_packet = on_packet
        self._encoder = StereoEncoder()
        self._heard = False
        self._begun = next_frame(time.monotonic())
        self._stamp = round((self._begun - source.delay) * RATE)
        self._pacer = Pacer(
            self._play,
            lambda _count: None,
            self._begun,
            may_nap=lambda: not self._heard,
            nap=LONG_NAP,
        )

    def listen(self, on: bool) -> None:
        """Somebody hears it from now on, or nobody."""
        if on is not self._heard:
            self._heard = on
            self.source.listen(on)
            self._pacer.wake()

    def _play(self, beat: int) -> None:
        frame = self.source.read(self._begun + beat * FRAME_SECONDS)
        timestamp = (self._stamp + beat * FRAME) % _WRAP
        self._on_packet(timestamp, self._encoder.encode(frame))

    def close(self) -> None:
        """The end."""
        self._pacer.stop()
        self.source.close()
