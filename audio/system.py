"""What this machine plays, without our own call: every other program's stream, mixed.

The monitor of a speaker holds all that it plays, our own call as well, and those who
talk would hear themselves. So each stream is tapped by itself, as volume meters do it, and
nothing of the person's own set-up is changed:

    pactl subscribe, pactl list ─► which streams there are ─► a ``parec`` for each that is not ours
    parec ─► Elastic ─► ``read``, each 20 ms: their sum

PulseAudio, and PipeWire where it serves PulseAudio's clients. Nothing runs, and nothing is
listened to, but between ``listen(True)`` and ``listen(False)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

import numpy as np

from audio.elastic import KEPT, Elastic
from audio.mixer import Limiter
from audio.pcm import FRAME_SECONDS, RATE, Stereo, from_int16, stereo_silence
from audio.sinks import of_others, sink_inputs, tells_of_streams
from audio.unavailable import AudioUnavailable

log = logging.getLogger(__name__)

# Implementation
TOOLS = ("pactl", "parec")
LATENCY = 20  # ms that the sound server keeps for us
DELAY = FRAME_SECONDS + KEPT + LATENCY / 2000  # of a frame that is read: its first sample's age
PATIENCE = 3.0  # s for an answer of the sound server
SETTLING = 0.05  # s in which events are gathered
AGAIN = 1.0  # s until a look at what there is now, when something has died
MOST_TAPS = 16
SAMPLE = 4  # bytes: two channels of 16 bits
CODE = "no-system-sound"
ADVICE = {
    "tools": "install pulseaudio-utils, which has pactl and parec",
    "server": "this needs PulseAudio, or PipeWire with pipewire-pulse",
    "system": "this works on Linux with PulseAudio or PipeWire; share a file to send its sound",
}
VARIABLES = (
    *("PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DISPLAY", "XAUTHORITY"),
    *("PULSE_SERVER", "PULSE_COOKIE", "PULSE_RUNTIME_PATH", "PULSE_CLIENTCONFIG"),
    *("DBUS_SESSION_BUS_ADDRESS", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR"),
)
"""What the tools get of our environment."""


class Source(Protocol):
    """Stereo sound, a frame at a beat."""

    delay: float
    """Seconds since the first sample of a frame was played, when it is read."""

    def listen(self, on: bool) -> None:
        """Somebody hears it from now on, or nobody."""

    def read(self, at: float) -> Stereo:
        """The frame of the beat that was due ``at``, (960, 2)."""

    def close(self) -> None:
        """The end."""


def _environment() -> dict[str, str]:
    return {**{name: os.environ[name] for name in VARIABLES if name in os.environ}, "LC_ALL": "C"}


class _Tap(asyncio.SubprocessProtocol):
    """One program's stream."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self.elastic = Elastic()
        self.heard = False
        """Whether it ever gave anything."""
        self._gone = gone
        self._half = b""
        self._transport: asyncio.SubprocessTransport | None = None
        self._closed = False

    async def start(self, index: int) -> None:
        """Begin to listen."""
        command = (
            *("parec", f"--monitor-stream={index}", "--raw", "--format=s16le", f"--rate={RATE}"),
            *("--channels=2", f"--latency-msec={LATENCY}", "--client-name=vchat"),
            "--stream-name=system sound",
        )
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: self,
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
            )
        except OSError as error:
            log.warning("parec: %s", error)
            self._gone()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        if self._closed:
            self._transport.kill()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        data = self._half + data
        whole = len(data) // SAMPLE * SAMPLE
        self._half = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").reshape(-1, 2)
        if not self._closed and len(samples):
            self.heard = True
            self.elastic.push(from_int16(samples))

    def process_exited(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if not self._closed:
            self._gone()

    def close(self) -> None:
        """Listen no more."""
        self._closed = True
        if self._transport is not None:
            with contextlib.suppress(ProcessLookupError):
                self._transport.kill()


class SystemSound:
    """All streams but our own, mixed."""

    delay = DELAY

    def __init__(self) -> None:
        self._own = os.getpid()
        self._taps: dict[int, _Tap] = {}
        self._limiter = Limiter()
        self._following: asyncio.Task[None] | None = None
        self._look = asyncio.Event()

    async def open(self) -> None:
        """See whether it can be had; ``AudioUnavailable`` with a sentence if not."""
        if not sys.platform.startswith("linux"):
            raise _unavailable("that is not possible on this system", "system")
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise _unavailable(f"{' and '.join(missing)} not found", "tools")
        if await self._streams() is None:
            raise _unavailable("no sound server answers", "server")

    def listen(self, on: bool) -> None:
        """Tap what plays, or nothing any more."""
        if on and self._following is None:
            self._following = asyncio.get_running_loop().create_task(self._follow())
        elif not on:
            self.close()

    def read(self, at: float) -> Stereo:
        """What was played, ``delay`` seconds before ``at``."""
        frames = (tap.elastic.pull() for tap in self._taps.values())
        total: Stereo | None = None
        for frame in frames:
            if frame is not None:
                total = frame if total is None else total + frame
        return stereo_silence() if total is None else self._limiter.limit(total)

    def close(self) -> None:
        """Listen to nothing any more."""
        if self._following is not None:
            self._following.cancel()
            self._following = None
        for index in list(self._taps):
            self._taps.pop(index).close()

    # ---- Which streams there are -----------------------------------------------------

    async def _follow(self) -> None:
        """Tap what begins, let go of what ends."""
        watch = asyncio.get_running_loop().create_task(self._watch())
        try:
            while True:
                self._look.clear()
                streams = await self._streams()
                if streams is None:  # what is tapped goes on
                    asyncio.get_running_loop().call_later(AGAIN, self._look.set)
                else:
                    await self._tap(streams)
                await self._look.wait()
                await asyncio.sleep(SETTLING)
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        """Look again whenever the server says that streams have come or gone."""
        while True:
            process = await _run("pactl", "subscribe")
            try:
                while process is not None and process.stdout is not None:
                    line = await process.stdout.readline()
                    if not line:
                        break
                    if tells_of_streams(line.decode("utf-8", "replace")):
                        self._look.set()
            except ValueError as error:  # a line without an end
                log.warning("pactl subscribe: %s", error)
            finally:
                _kill(process)
            await asyncio.sleep(AGAIN)
            self._look.set()

    async def _streams(self) -> list[int] | None:
        """The streams of others that play now; None without an answer."""
        process = await _run("pactl", "list", "sink-inputs")
        if process is None:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                listing, _ = await process.communicate()
        except TimeoutError:
            return None
        finally:
            _kill(process)
        if process.returncode:
            return None
        return of_others(sink_inputs(listing.decode("utf-8", "replace")), self._own)

    async def _tap(self, wanted: list[int]) -> None:
        for index in self._taps.keys() - set(wanted):
            self._taps.pop(index).close()
        for index in wanted:
            if index not in self._taps and len(self._taps) < MOST_TAPS:
                tap = self._taps[index] = _Tap(partial(self._died, index))
                await tap.start(index)

    def _died(self, index: int) -> None:
        """A stream has ended, or went to another speaker: then it is there again."""
        tap = self._taps.pop(index, None)
        if tap is not None and self._following is not None:
            pause = SETTLING if tap.heard else AGAIN  # or it cannot be tapped at all
            asyncio.get_running_loop().call_later(pause, self._look.set)


async def _run(*command: str) -> asyncio.subprocess.Process | None:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(),
        )
    except OSError as error:
        log.warning("%s: %s", command[0], error)
        return None


def _kill(process: asyncio.subprocess.Process | None) -> None:
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _unavailable(message: str, advice: str) -> AudioUnavailable:
    why = f"what this machine plays is not shared: {message}"
    return AudioUnavailable(CODE, why, ADVICE[advice])
