"""Devices through miniaudio, which finds PulseAudio, ALSA and JACK at run time.

It converts rates and channels itself, so all streams are 48 kHz, microphones mono and
speakers stereo. Capture and playback are separate devices: its duplex stream is erratic.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from audio.backend import HEARD_AT_ONCE, PLAYED_AT_ONCE, Deliver, Device, Fetch, Stream
from audio.pcm import RATE
from audio.unavailable import AudioUnavailable

# Implementation
PERIODS = 3  # in the device's own buffer: two crackle on a busy machine
SPEAKERS = 2  # channels that are played
APP_NAME = "vchat"


class MiniAudio:
    """The library with a context that reached a sound system."""

    name = "miniaudio"

    def __init__(self, library: Any) -> None:
        self._ma = library
        silent = {library.Backend.NULL, library.Backend.CUSTOM}
        enabled = library.get_enabled_backends() - silent
        self._systems = sorted(enabled, key=lambda one: int(one.value))
        try:
            self._devices = library.Devices(self._systems)
        except library.MiniaudioError as error:
            raise AudioUnavailable("audio-backend", f"miniaudio: {error}") from error

    def microphones(self) -> list[Device]:
        """All capture devices; number 0 is whichever the system prefers."""
        return self._list(self._devices.get_captures)

    def speakers(self) -> list[Device]:
        """All playback devices; number 0 is whichever the system prefers."""
        return self._list(self._devices.get_playbacks)

    def _list(self, ask: Any) -> list[Device]:
        try:
            found = ask()
        except self._ma.MiniaudioError:
            return []
        if not found:
            return []
        preferred = Device(0, "default", 1, RATE, default=True, handle=None)
        return [preferred, *(self._device(number, one) for number, one in enumerate(found, 1))]

    def _device(self, number: int, one: dict[str, Any]) -> Device:
        native = (one["formats"] or [{}])[0]
        return Device(
            number=number,
            name=one["name"],
            channels=native.get("channels") or 1,
            rate=native.get("samplerate") or RATE,
            default=False,
            handle=one["id"],
        )

    def capture(self, device: Device, deliver: Deliver) -> Stream:
        """See ``Backend``."""

        def receive() -> Generator[None, bytes, None]:
            while True:
                deliver(np.frombuffer((yield), np.float32))

        options = {"input_format": self._ma.SampleFormat.FLOAT32, "nchannels": 1}
        return self._open(self._ma.CaptureDevice, device, receive(), HEARD_AT_ONCE, options)

    def play(self, device: Device, fetch: Fetch) -> Stream:
        """See ``Backend``."""
        both = np.zeros((RATE, SPEAKERS), np.float32)

        def produce() -> Generator[memoryview, int, None]:
            count = yield memoryview(b"")
            while True:
                fetch(both[:count])
                count = yield both[:count].data.cast("B")

        options = {"output_format": self._ma.SampleFormat.FLOAT32, "nchannels": SPEAKERS}
        return self._open(self._ma.PlaybackDevice, device, produce(), PLAYED_AT_ONCE, options)

    def _open(
        self, kind: Any, device: Device, callback: Any, block: float, options: dict[str, Any]
    ) -> Stream:
        next(callback)
        try:
            opened = kind(
                sample_rate=RATE,
                buffersize_msec=round(block * 1000),
                callback_periods=PERIODS,
                device_id=device.handle,
                backends=self._systems,
                app_name=APP_NAME,
                **options,
            )
            opened.start(callback)
        except self._ma.MiniaudioError as error:
            raise AudioUnavailable(
                "audio-device", f"'{device.name}' cannot be opened: {error}", "try another device"
            ) from error
        return _Stream(opened, block)


class _Stream:
    """An open miniaudio device."""

    rate = RATE

    def __init__(self, opened: Any, latency: float) -> None:
        self.latency = latency
        self._opened = opened

    def close(self) -> None:
        """Stop and give the device back."""
        self._opened.close()
