"""A line between a sender and a receiver, on a virtual clock.

One direction, seeded: delay, jitter, loss (single or in bursts), reordering,
duplicates and a drifting clock. No time passes but the one that is counted here.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator

import numpy as np

from audio.chain import VoicePacket, VoiceSender
from audio.pcm import BLOCK, FRAME_SECONDS, RATE, Frame, Samples, silence
from audio.receiver import VoiceReceiver
from vc_core.record import record


@record
class Road:
    """What a line does to packets; times in seconds, shares from 0 to 1."""

    delay: float = 0.02
    jitter: float = 0.0
    """Each packet takes up to this much longer."""
    loss: float = 0.0
    burst: int = 1
    """Packets lost in a row."""
    stall: tuple[float, float] = (0.0, 0.0)
    """From the first on nothing arrives for the second; then all of it does."""
    duplicate: float = 0.0
    drift: float = 0.0
    """The listener's clock is this share faster than the talker's."""
    phase: float = 0.013
    """Of the speaker's beat behind the microphone's."""
    block: int = BLOCK
    """Samples that the speaker asks for at each beat."""


class Line:
    """Carries one voice from frames to frames."""

    def __init__(self, road: Road, sender: VoiceSender, receiver: VoiceReceiver, seed: int) -> None:
        self.road = road
        self.sender = sender
        self.receiver = receiver
        self.dropped = 0
        self.sent = 0
        self._random = random.Random(seed)
        self._flying: list[tuple[float, int, VoicePacket]] = []
        self._order = itertools.count()
        self._to_lose = 0

    def carry(self, said: list[Frame], tail: int = 30) -> Samples:
        """All that the listener hears, from the first beat of its speaker on."""
        heard = [
            silence(self.road.block) if block is None else block
            for block in self.pulls([*said, *[silence()] * tail])
        ]
        return np.concatenate(heard)

    def pulls(self, said: list[Frame]) -> Iterator[Samples | None]:
        """Beat by beat what the receiver gives."""
        played = 0
        for number, frame in enumerate(said):
            now = number * FRAME_SECONDS
            for packet in self.sender.push(frame):
                self._send(packet, now)
            while (beat := self._beat(played)) < now + FRAME_SECONDS:
                self._deliver(beat)
                yield self.receiver.pull(beat, self.road.block)
                played += 1

    def _beat(self, number: int) -> float:
        return self.road.phase + number * self.road.block / RATE / (1 + self.road.drift)

    def _send(self, packet: VoicePacket, now: float) -> None:
        self.sent += 1
        if self._loses():
            self.dropped += 1
            return
        copies = 2 if self._random.random() < self.road.duplicate else 1
        for _ in range(copies):
            arrives = now + self.road.delay + self._random.random() * self.road.jitter
            stalls_at, stall = self.road.stall
            if stalls_at <= arrives < stalls_at + stall:
                arrives = stalls_at + stall
            heapq.heappush(self._flying, (arrives, next(self._order), packet))

    def _loses(self) -> bool:
        if not self._to_lose and self._random.random() < self.road.loss / self.road.burst:
            self._to_lose = self.road.burst
        self._to_lose = max(0, self._to_lose - 1) if (lost := self._to_lose > 0) else 0
        return lost

    def _deliver(self, until: float) -> None:
        while self._flying and self._flying[0][0] <= until:
            arrived, _, packet = heapq.heappop(self._flying)
            self.receiver.receive(packet.timestamp, packet.payload, packet.last, arrived)
