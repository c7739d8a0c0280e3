"""The speaker: a device, a WAV file or nothing, always pulling in real time.

SPEC: ``default``, ``none``, ``file:PATH`` (48 kHz mono 16 bit, in real time,
silence included), ``stereo:PATH`` (the same on two channels), a device's number or part
of its name.

``pull(count)`` is called in the event loop's thread when ``count`` more samples are
needed, and returns them, mono or stereo: blocks of 10 ms, since what is played waits for
its turn, and whole frames where nobody listens. A device's ring is kept as little ahead of the
device as its thread allows; each time it runs dry it is kept 5 ms longer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio import devices
from audio.backend import Backend, Device, Stream, open_stream
from audio.pacer import NAP, Pacer, next_frame
from audio.pcm import BLOCK, FRAME, RATE, Samples, silence, to_stereo
from audio.record import GrowingWav
from audio.resample import Resampler
from audio.ring import Ring
from audio.unavailable import AudioUnavailable, malformed
from vc_core.errors import reason

__all__ = ["AudioUnavailable", "Pull", "Speaker", "open_speaker"]

log = logging.getLogger(__name__)

Pull = Callable[[int], Samples]
Silent = Callable[[], bool]
"""Whether nothing but silence would be pulled until ``wake`` is called."""

# Implementation
KINDS = "default, none, file:PATH, stereo:PATH, or a device's name or number"
FILES = {"file": 1, "stereo": 2}
"""Kinds of files, and their channels."""
RING_SECONDS = 1.0
SPARE = 0.005  # seconds kept beyond what the device takes at once
MOST_SPARE = 0.06  # seconds
LONG_NAP = 5.0  # seconds; nothing keeps this silence


class Speaker:
    """An open speaker."""

    def __init__(self, name: str, advice: str | None = None) -> None:
        self.name = name
        """What was opened."""
        self.advice = advice
        """A sentence for the user when it is not what was asked for."""
        self.started: float | None = None
        """Unix time of the first sample; None while there was none."""
        self.calls: int | None = None
        """How often the device has called; None: there is no device."""
        self.on_failure: Callable[[str], None] | None = None
        """Hears why a file is written no longer."""

    def wake(self) -> None:
        """There is something to play after silence."""

    def close(self) -> None:
        """No pull comes afterwards; twice is fine."""


class TimedSpeaker(Speaker):
    """No device: a beat pulls, and a file (or nothing) keeps what was pulled."""

    def __init__(
        self,
        name: str,
        pull: Pull,
        silent: Silent,
        file: GrowingWav | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(name, advice)
        self._pull = pull
        self._file = file
        self._block = FRAME if file is None else BLOCK
        begin = next_frame(time.monotonic())
        self.started = time.time() + begin - time.monotonic()
        self._pacer = Pacer(
            self._play,
            self._lose,
            begin,
            period=self._block / RATE,
            may_nap=silent,
            nap=NAP if file is not None else LONG_NAP,
        )

    def wake(self) -> None:
        self._pacer.wake()

    def _play(self, _beat: int) -> None:
        block = self._pull(self._block)
        if self._file is not None:
            self._try(partial(self._file.write, block))

    def _lose(self, count: int) -> None:
        if self._file is not None:
            self._try(partial(self._file.write, silence(self._block * count)))

    def _try(self, work: Callable[[], None]) -> None:
        """Something with the file; one that fails is written no longer."""
        try:
            work()
        except OSError as error:
            self.advice = f"{self.name} is written no longer: {reason(error)}"
            log.warning("%s", self.advice)
            self._file = None
            if self.on_failure is not None:
                self.on_failure(self.advice)

    def close(self) -> None:
        self._pacer.stop()
        if self._file is not None:
            self._try(self._file.close)


class DeviceSpeaker(Speaker):
    """A device: the loop writes blocks into a ring, the device's thread takes them out."""

    def __init__(self, device: Device, pull: Pull) -> None:
        super().__init__(device.name)
        self.calls: int = 0
        self.ran_dry = 0
        """Times that the device wanted more than there was."""
        self._loop = asyncio.get_running_loop()
        self._pull = pull
        self._ring = Ring(0)
        self._block = 0
        self._spare = SPARE
        self._dry_seen = 0
        self._woken = False
        self._closed = False
        self._stream: Stream | None = None

    async def open(self, backend: Backend, device: Device) -> None:
        """Open the device in an executor; ``AudioUnavailable`` if it refuses."""
        self._ring = Ring(int(max(device.rate, RATE) * RING_SECONDS), channels=2)
        self._stream = await open_stream(partial(backend.play, device, self._fetch))
        self._resampler = Resampler(RATE, self._stream.rate, channels=2)
        self._fill()

    def _fetch(self, out: NDArray[np.float32]) -> None:
        """On the device's thread."""
        count = self._ring.read_into(out)
        out[count:] = 0.0
        self.calls += 1
        if self.started is None:
            self.started = time.time()
        if self._ring.written and count < len(out):
            self.ran_dry += 1
        self._block = max(self._block, len(out))
        if not self._woken and not self._closed:
            self._woken = True
            self._loop.call_soon_threadsafe(self._fill)

    def _fill(self) -> None:
        self._woken = False
        if self._stream is None or self._closed:
            return
        if self.ran_dry > self._dry_seen:
            self._dry_seen = self.ran_dry
            self._spare = min(MOST_SPARE, self._spare + SPARE)
        ahead = min(self._ring.capacity // 2, self._block + int(self._spare * self._stream.rate))
        while len(self._ring) < ahead:
            self._ring.write(self._resampler.push(to_stereo(self._pull(BLOCK))))

    def close(self) -> None:
        if not self._closed and self._stream is not None:
            self._loop.run_in_executor(None, self._stream.close)
        self._closed = True


def _never() -> bool:
    return False


async def open_speaker(
    spec: str, pull: Pull, backend: Backend | None = None, silent: Silent = _never
) -> Speaker:
    """Open what ``spec`` says; ``AudioUnavailable`` if it cannot be had.

    ``default`` never fails: without a device nothing is heard, but pulling goes
    on. ``backend`` is for tests; otherwise the best one that works. Without a
    device there are no pulls while ``silent()``.
    """
    if spec == "none":
        return TimedSpeaker("none", pull, silent)
    kind, colon, path = spec.partition(":")
    if colon and kind in FILES:
        return TimedSpeaker(spec, pull, silent, _open_wav(path, FILES[kind]))
    if not spec:
        raise malformed(spec, KINDS)
    return await _open_device(spec, pull, backend, silent)


def _open_wav(path: str, channels: int) -> GrowingWav:
    try:
        return GrowingWav(Path(path), channels=channels)
    except OSError as error:
        raise AudioUnavailable("audio-file", f"cannot write {path}: {reason(error)}") from error


async def _open_device(spec: str, pull: Pull, backend: Backend | None, silent: Silent) -> Speaker:
    loop = asyncio.get_running_loop()
    untried = iter([backend]) if backend else devices.backends()
    advice = devices.NO_BACKEND
    refusal = AudioUnavailable("audio-device", f"no speaker fits '{spec}'", advice)
    while one := await loop.run_in_executor(None, next, untried, None):
        advice = devices.NO_SPEAKER
        try:
            found = await loop.run_in_executor(None, one.speakers)
            device = devices.choose(found, spec, "speaker")
            speaker = DeviceSpeaker(device, pull)
            await speaker.open(one, device)
            return speaker
        except AudioUnavailable as error:
            refusal = error
    if spec == "default":
        return TimedSpeaker("none", pull, silent, advice=advice)
    raise refusal
