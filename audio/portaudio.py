"""Devices through PortAudio (sounddevice)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio.backend import HEARD_AT_ONCE, PLAYED_AT_ONCE, Deliver, Device, Fetch, Stream
from audio.pcm import RATE
from audio.unavailable import AudioUnavailable

# Implementation
MOST_CHANNELS = 2  # of a device that are opened


class PortAudio:
    """The library, loaded."""

    name = "PortAudio"

    def __init__(self, library: Any) -> None:
        self._sd = library

    def microphones(self) -> list[Device]:
        """Devices with input channels; the list is frozen when the library is loaded."""
        return self._list("input")

    def speakers(self) -> list[Device]:
        """Devices with output channels."""
        return self._list("output")

    def _list(self, kind: str) -> list[Device]:
        default = self._default(kind)
        try:
            found = self._sd.query_devices()
        except self._sd.PortAudioError:
            return []
        return [
            Device(
                number=one["index"],
                name=one["name"],
                channels=one[f"max_{kind}_channels"],
                rate=int(one["default_samplerate"]) or RATE,
                default=one["index"] == default,
                handle=one["index"],
            )
            for one in found
            if one[f"max_{kind}_channels"] > 0
        ]

    def _default(self, kind: str) -> int:
        try:
            return int(self._sd.query_devices(kind=kind)["index"])
        except (self._sd.PortAudioError, ValueError):
            return -1

    def capture(self, device: Device, deliver: Deliver) -> Stream:
        """See ``Backend``."""

        def callback(block: NDArray[np.float32], _frames: int, _time: Any, _status: Any) -> None:
            deliver(block)

        return self._open(self._sd.InputStream, device, HEARD_AT_ONCE, callback)

    def play(self, device: Device, fetch: Fetch) -> Stream:
        """See ``Backend``."""
        both = np.zeros((RATE, MOST_CHANNELS), np.float32)

        def callback(block: NDArray[np.float32], frames: int, _time: Any, _status: Any) -> None:
            fetch(both[:frames])
            if block.shape[1] == MOST_CHANNELS:
                block[:] = both[:frames]
            else:
                np.mean(both[:frames], axis=1, keepdims=True, out=block)

        return self._open(self._sd.OutputStream, device, PLAYED_AT_ONCE, callback)

    def _open(
        self, kind: Any, device: Device, block: float, callback: Callable[..., None]
    ) -> Stream:
        """At 48 kHz if the device can, else at the rate it likes."""
        error: Exception | None = None
        for rate in dict.fromkeys((RATE, device.rate)):
            try:
                return _Stream(kind, device, rate, block, callback, self._settings(device))
            except (self._sd.PortAudioError, ValueError) as refusal:
                error = refusal
        raise AudioUnavailable(
            "audio-device", f"'{device.name}' cannot be opened: {error}", "try another device"
        ) from error

    def _settings(self, device: Device) -> Any:
        """Windows: let the system convert rates."""
        if sys.platform != "win32":
            return None
        api = self._sd.query_hostapis(self._sd.query_devices(device.handle)["hostapi"])
        return self._sd.WasapiSettings(auto_convert=True) if "WASAPI" in api["name"] else None


class _Stream:
    """An open PortAudio stream."""

    def __init__(
        self,
        kind: Any,
        device: Device,
        rate: int,
        block: float,
        callback: Callable[..., None],
        settings: Any,
    ) -> None:
        self.rate = rate
        self._stream = kind(
            samplerate=rate,
            blocksize=round(rate * block),
            device=device.handle,
            channels=min(device.channels, MOST_CHANNELS),
            dtype="float32",
            latency="low",
            callback=callback,
            extra_settings=settings,
        )
        self.latency = float(self._stream.latency)
        try:
            self._stream.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop at once."""
        self._stream.close(ignore_errors=True)
