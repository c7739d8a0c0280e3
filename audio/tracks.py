"""Tracks: the stereo sound that comes with pictures which one watches.

    packets of a stream ─► its receiver (jitter buffer, decoder) ─► the mixer, beside the voices

Rule: a track plays only from ``open`` to ``close``; what comes for others is dropped.
"""

from __future__ import annotations

from collections.abc import Callable

from audio.mixer import gain_of
from audio.pcm import Framer, Stereo, stereo_silence
from audio.receiver import VoiceReceiver, VoiceStats

Name = tuple[int, int]
"""Member, stream."""


class Tracks:
    """All that are open."""

    def __init__(self, make: Callable[[], VoiceReceiver]) -> None:
        self.on_frame: Callable[[Name, Stereo], None] | None = None
        """Every track's 20 ms at every beat, silence included, for recording."""
        self._make = make
        self._receivers: dict[Name, VoiceReceiver] = {}
        self._framers: dict[Name, Framer] = {}
        self._gains: dict[Name, float] = {}

    def open(self, name: Name) -> None:
        """Play it from now on; ``OpusMissing`` without the library."""
        if name not in self._receivers:
            self._receivers[name] = self._make()

    def close(self, name: Name) -> None:
        """Play it no more."""
        self._receivers.pop(name, None)
        self._framers.pop(name, None)

    def receive(self, name: Name, timestamp: int, payload: bytes, now: float) -> None:
        """Take an opened packet; nothing in it can raise."""
        receiver = self._receivers.get(name)
        if receiver is not None:
            receiver.receive(timestamp, payload, False, now)

    def hold(self, name: Name, seconds: float) -> None:
        """Wait so much longer than the network asks for, so that pictures keep up."""
        if (receiver := self._receivers.get(name)) is not None:
            receiver.hold(seconds)

    def playing(self, name: Name) -> tuple[int, float] | None:
        """A timestamp, and the seconds until it is pulled; None while it is silent."""
        receiver = self._receivers.get(name)
        return receiver.playing if receiver is not None else None

    def pull(self, now: float, count: int) -> list[tuple[int, Stereo, float]]:
        """For each that is not silent: whose it is, the next ``count`` samples, and its gain."""
        found = []
        for name, receiver in self._receivers.items():
            samples = receiver.pull(now, count)
            if self.on_frame is not None:
                self._show(self.on_frame, name, samples, count)
            if samples is not None:
                found.append((name[0], samples, self._gains.get(name, 1.0)))
        return found

    def _show(
        self,
        show: Callable[[Name, Stereo], None],
        name: Name,
        samples: Stereo | None,
        count: int,
    ) -> None:
        framer = self._framers.setdefault(name, Framer(channels=2))
        for frame in framer.push(stereo_silence(count) if samples is None else samples):
            show(name, frame)

    @property
    def at_rest(self) -> bool:
        """Whether nothing need be pulled until the next packet."""
        recording = self.on_frame is not None and bool(self._receivers)
        return not recording and all(one.at_rest for one in self._receivers.values())

    def volume(self, name: Name, percent: float) -> None:
        """How loud it is beside the member's voice: 0 to 400 percent."""
        self._gains[name] = gain_of(percent)

    def forget(self, member: int) -> None:
        """The member has left."""
        for name in [one for one in self._receivers if one[0] == member]:
            self.close(name)
        self._gains = {name: gain for name, gain in self._gains.items() if name[0] != member}

    def stats(self) -> dict[Name, VoiceStats]:
        """By track: what happened since this was last asked."""
        return {name: one.stats() for name, one in self._receivers.items()}
