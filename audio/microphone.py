"""The microphone: a device, a file, a tone or nothing, always as frames in real time.

SPEC: ``default``, ``none``, ``file:PATH`` (once, then silence), ``loop:PATH``,
``tone:HZ``, a device's number or part of its name.

``on_frame(frame, captured_at)`` is called in the event loop's thread when the
last sample of the frame has been captured; ``captured_at`` is the moment of its
*first* sample on ``time.monotonic()``, so about 20 ms earlier.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audio import devices
from audio.backend import Backend, Device, Stream, open_stream
from audio.pacer import Pacer, next_frame
from audio.pcm import FRAME, FRAME_SECONDS, RATE, Frame, Framer, silence, to_mono
from audio.resample import Resampler
from audio.ring import Ring
from audio.sources import Loop, Source, Tone, open_file
from audio.unavailable import AudioUnavailable, malformed

__all__ = ["AudioUnavailable", "Microphone", "OnFrame", "open_microphone"]

OnFrame = Callable[[Frame, float], None]

# Implementation
KINDS = "default, none, file:PATH, loop:PATH, tone:HZ, or a device's name or number"
HIGHEST_TONE = 20_000.0  # hertz
RING_SECONDS = 1.0  # what a stalled event loop may leave behind
FOLLOW = 0.002  # of a later estimate of the first sample's time, per frame: clock drift
LOST = 0.2  # seconds of difference that mean lost samples and not a late thread


class Microphone:
    """An open microphone; this one hears nothing and never calls."""

    def __init__(self, name: str = "none", advice: str | None = None) -> None:
        self.name = name
        """What was opened."""
        self.advice = advice
        """A sentence for the user when it is not what was asked for."""
        self.started: float | None = None
        """Unix time of the first sample; None while there was none."""
        self.calls: int | None = None
        """How often the device has called; None: there is no device."""

    def close(self) -> None:
        """No frame comes afterwards; twice is fine."""


class TimedMicrophone(Microphone):
    """A source played in real time; silence goes on after its end."""

    def __init__(self, name: str, source: Source, on_frame: OnFrame) -> None:
        super().__init__(name)
        self._source = source
        self._on_frame = on_frame
        self._begun = next_frame(time.monotonic())
        self.started = time.time() + self._begun - time.monotonic()
        self._pacer = Pacer(self._capture, self._lose, self._begun + FRAME_SECONDS)

    def _capture(self, beat: int) -> None:
        frame = self._source.read()
        captured_at = self._begun + beat * FRAME_SECONDS
        self._on_frame(silence() if frame is None else frame, captured_at)

    def _lose(self, count: int) -> None:
        for _ in range(count):
            self._source.read()

    def close(self) -> None:
        self._pacer.stop()
        self._source.close()


class SampleClock:
    """When a sample was captured: a straight line under times that only come late."""

    def __init__(self) -> None:
        self._origin: float | None = None

    def at(self, sample: int, estimate: float) -> float:
        """The time of sample number ``sample``, which is thought to be ``estimate``."""
        origin = estimate - sample / RATE
        if self._origin is None or origin < self._origin or origin - self._origin > LOST:
            self._origin = origin
        self._origin += (origin - self._origin) * FOLLOW
        return self._origin + sample / RATE


class DeviceMicrophone(Microphone):
    """A device: its thread writes into a ring, the loop takes frames out."""

    def __init__(self, device: Device, on_frame: OnFrame) -> None:
        super().__init__(device.name)
        self.calls: int = 0
        self._loop = asyncio.get_running_loop()
        self._on_frame = on_frame
        self._ring = Ring(0)
        self._framer = Framer()
        self._clock = SampleClock()
        self._frames = 0
        self._mark = (0, 0.0)
        self._woken = False
        self._closed = False
        self._stream: Stream | None = None

    async def open(self, backend: Backend, device: Device) -> None:
        """Open the device in an executor; ``AudioUnavailable`` if it refuses."""
        self._ring = Ring(int(max(device.rate, RATE) * RING_SECONDS))
        self._stream = await open_stream(partial(backend.capture, device, self._deliver))
        self._resampler = Resampler(self._stream.rate, RATE)

    def _deliver(self, block: NDArray[np.float32]) -> None:
        """On the device's thread."""
        self._ring.write(to_mono(block))
        self._mark = (self._ring.written, time.monotonic())
        self.calls += 1
        if not self._woken and not self._closed:
            self._woken = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._woken = False
        if self._stream is None or self._closed:
            return
        rate = self._stream.rate
        written, marked = self._mark
        behind = (written - self._ring.read_count) / rate
        estimate = marked - behind - self._stream.latency - self._framer.pending / RATE
        if self.started is None:
            self.started = time.time() - (time.monotonic() - estimate)
        frames = self._framer.push(self._resampler.push(self._ring.read()))
        captured_at = self._clock.at(self._frames * FRAME, estimate)
        self._frames += len(frames)
        for number, frame in enumerate(frames):
            self._on_frame(frame, captured_at + number * FRAME_SECONDS)

    def close(self) -> None:
        if not self._closed and self._stream is not None:
            self._loop.run_in_executor(None, self._stream.close)
        self._closed = True


async def open_microphone(
    spec: str, on_frame: OnFrame, backend: Backend | None = None
) -> Microphone:
    """Open what ``spec`` says; ``AudioUnavailable`` if it cannot be had.

    ``default`` never fails: without a device it is the silent microphone, with
    ``advice``. ``backend`` is for tests; otherwise the best one that works.
    """
    if spec == "none":
        return Microphone()
    kind, colon, rest = spec.partition(":")
    if colon and kind in _OPENERS:
        loop = asyncio.get_running_loop()
        source = await loop.run_in_executor(None, _OPENERS[kind], rest)
        return TimedMicrophone(spec, source, on_frame)
    if not spec:
        raise malformed(spec, KINDS)
    return await _open_device(spec, on_frame, backend)


def _open_loop(path: str) -> Source:
    return Loop(partial(open_file, path))


def _open_tone(hertz: str) -> Source:
    try:
        pitch = float(hertz)
    except ValueError:
        pitch = 0.0
    if not 0.0 < pitch <= HIGHEST_TONE:
        raise malformed(f"tone:{hertz}", "a pitch between 0 and 20000 Hz")
    return Tone(pitch)


_OPENERS: dict[str, Callable[[str], Source]] = {
    "file": open_file,
    "loop": _open_loop,
    "tone": _open_tone,
}


async def _open_device(spec: str, on_frame: OnFrame, backend: Backend | None) -> Microphone:
    loop = asyncio.get_running_loop()
    untried = iter([backend]) if backend else devices.backends()
    advice = devices.NO_BACKEND
    refusal = AudioUnavailable("audio-device", f"no microphone fits '{spec}'", advice)
    while one := await loop.run_in_executor(None, next, untried, None):
        advice = devices.NO_MICROPHONE
        try:
            found = await loop.run_in_executor(None, one.microphones)
            device = devices.choose(found, spec, "microphone")
            microphone = DeviceMicrophone(device, on_frame)
            await microphone.open(one, device)
            return microphone
        except AudioUnavailable as error:
            refusal = error
    if spec == "default":
        return Microphone(advice=advice)
    raise refusal
