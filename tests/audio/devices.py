"""A sound library without sound: devices that do what a test tells them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audio.backend import Deliver, Device, Fetch
from audio.unavailable import AudioUnavailable


class SilentStream:
    """An open device of the double."""

    latency = 0.0

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.closed = False

    def close(self) -> None:
        self.closed = True


class FakeBackend:
    """Two microphones and one speaker at a rate; a test plays the device's thread."""

    name = "fake"

    def __init__(self, rate: int = 48_000, *, refuses: bool = False, empty: bool = False) -> None:
        self.rate = rate
        self.stream = SilentStream(rate)
        self.deliver: Deliver | None = None
        self.fetch: Fetch | None = None
        self.before_opening: Callable[[], object] = lambda: None
        """Called on the thread that opens a device."""
        self._refuses = refuses
        self._empty = empty

    def _device(self, number: int, name: str, default: bool) -> Device:
        return Device(number, name, 2, self.rate, default, number)

    def microphones(self) -> list[Device]:
        if self._empty:
            return []
        return [self._device(3, "Headset Mono", False), self._device(5, "Built-in", True)]

    def speakers(self) -> list[Device]:
        return [] if self._empty else [self._device(0, "Loud", True)]

    def capture(self, device: Device, deliver: Deliver) -> SilentStream:
        self._refuse(device)
        self.deliver = deliver
        return self.stream

    def play(self, device: Device, fetch: Fetch) -> SilentStream:
        self._refuse(device)
        self.fetch = fetch
        return self.stream

    def _refuse(self, device: Device) -> None:
        self.before_opening()
        if self._refuses:
            raise AudioUnavailable("audio-device", f"{device.name} is busy")

    def take(self, count: int) -> NDArray[np.float32]:
        """What the speaker's thread gets when it wants ``count`` samples: left, as right."""
        out = self.take_both(count)
        assert np.array_equal(out[:, 0], out[:, 1])
        return out[:, 0]

    def take_both(self, count: int) -> NDArray[np.float32]:
        """The same on two channels."""
        assert self.fetch is not None
        out = np.full((count, 2), np.nan, np.float32)
        self.fetch(out)
        return out
