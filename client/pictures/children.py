"""Child processes of pictures: one captures and encodes, one decodes and shows.

    engine  ── orders, frames ──►  stdin    ``python -m video.share`` / ``video.view``
            ◄── frames, events ──  stdout   records of ``video.pipe``
    log     ◄── murmurs ─────────  stderr   bounded and cleaned (``client.pictures.murmur``)

They get no keys: a clean environment, closed descriptors, nothing of the call but
pictures, and their sound where they are recorded. What a child says is not trusted; what
does not parse ends it.

Rule 1: nothing here waits for a child. What it does not read stays bounded: a child
        that is ``stalled`` gets no more frames.
Rule 2: whatever way a child ends, ``on_gone`` is called once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import video
from client.fields import clean
from client.pictures.murmur import Murmur
from vc_core.errors import RemoteProtocolError
from video.confine import environment
from video.pipe import (
    FrameRecord,
    Reader,
    Record,
    SoundRecord,
    Words,
    frame_head,
    write_sound,
    write_words,
)

log = logging.getLogger(__name__)

# Implementation
MOST_WAITING = 1024 * 1024  # bytes for a child that does not read
MOST_ORDERS = 4 * MOST_WAITING  # bytes, frames and orders; then the child is ended
GRACE = 2.0  # s for a proper end
SOURCES = (
    *("DBUS_SESSION_BUS_ADDRESS", "XDG_STATE_HOME", "XDG_DATA_DIRS", "XDG_CURRENT_DESKTOP"),
    *("LD_PRELOAD", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR"),  # cameras behind a library
    *("GST_PLUGIN_PATH", "GST_PLUGIN_SYSTEM_PATH", "LIBVA_DRIVER_NAME", "CUDA_VISIBLE_DEVICES"),
)
"""Variables that capture and hardware encoders need besides."""


def surroundings(module: str, of: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: what a display and Python need."""
    kept = environment(of)
    if module != "video.view":
        kept |= {name: of[name] for name in SOURCES if name in of}
    # Its code is ours, wherever we were started; ``-P`` keeps other folders out.
    root = str(Path(video.__file__).resolve().parents[1])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH"))))
    return kept


class Child(asyncio.SubprocessProtocol):
    """One process. Orders may be given before it has started."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        on_record: Callable[[Record], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._module = module
        self._arguments = arguments
        self._on_record = on_record
        self._on_gone = on_gone
        self._reader = Reader()
        self._murmur = Murmur(time.monotonic())
        self._transport: asyncio.SubprocessTransport | None = None
        self._pipe: asyncio.WriteTransport | None = None
        self._early = bytearray()
        self._ending = False
        self._over = asyncio.Event()

    async def start(self) -> None:
        """Start it; if that fails, it is gone."""
        loop = asyncio.get_running_loop()
        try:
            await loop.subprocess_exec(
                lambda: self,
                *(sys.executable, "-P", "-m", self._module, *self._arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=surroundings(self._module, os.environ),
            )
        except OSError:
            self._gone()

    # ---- In --------------------------------------------------------------------------

    @property
    def stalled(self) -> bool:
        """Whether it does not keep up: frames are to be left out."""
        return len(self._early) + self.unread > MOST_WAITING

    @property
    def unread(self) -> int:
        """Bytes that wait until it reads, once it runs."""
        return self._pipe.get_write_buffer_size() if self._pipe is not None else 0

    def order(self, do: str, **words: object) -> None:
        """An order."""
        self._write(write_words({"do": do, **words}))

    def frame(self, record: FrameRecord) -> None:
        """A frame; ``LocalProtocolError`` if it is too large for the pipe."""
        self._write(frame_head(record, len(record.data)), record.data)

    def sound(self, record: SoundRecord) -> None:
        """20 ms of sound, unless it does not keep up; a gap is left then."""
        if not self.stalled:
            self._write(write_sound(record))

    def _write(self, *data: bytes) -> None:
        if self._ending or self._over.is_set():
            return
        if self._pipe is None:
            self._early += b"".join(data)
        elif not self._pipe.is_closing():
            self._pipe.writelines(data)
        if len(self._early) + self.unread > MOST_ORDERS:
            self.kill()

    # ---- Out: the transport calls --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._pipe = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        self._pipe.write(bytes(self._early))
        self._early.clear()
        if self._ending:
            self._pipe.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It said something."""
        if self._over.is_set():
            return
        if fd != 1:
            self._murmured(data)
            return
        try:
            for record in self._reader.feed(data):
                self._on_record(record)
        except RemoteProtocolError:
            self.kill()

    def _murmured(self, data: bytes) -> None:
        lines, pause = self._murmur.feed(data, time.monotonic())
        self._log(lines)
        if pause and self._stderr is not None:  # it waits now, whatever it has to say
            self._stderr.pause_reading()
            asyncio.get_running_loop().call_later(pause, self._resume)

    @property
    def _stderr(self) -> asyncio.ReadTransport | None:
        transport = self._transport
        pipe = transport.get_pipe_transport(2) if transport is not None else None
        return cast(asyncio.ReadTransport, pipe) if pipe is not None else None

    def _resume(self) -> None:
        if self._stderr is not None:
            self._stderr.resume_reading()

    def _log(self, lines: list[str]) -> None:
        for line in lines:
            log.info("%s: %s", self._module, line)

    def process_exited(self) -> None:
        """It has ended; what it said last may still be under way."""
        self._resume()
        asyncio.get_running_loop().call_later(GRACE, self._gone)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, and everything was read."""
        self._gone()

    def _gone(self) -> None:
        if not self._over.is_set():
            self._over.set()
            self._log(self._murmur.end(time.monotonic()))
            self._log_end()
            if self._transport is not None:
                self._transport.close()  # somebody it started may still hold its stderr
            self._on_gone()

    def _log_end(self) -> None:
        """An end that nobody wanted is told with the child's last words."""
        code = self._transport.get_returncode() if self._transport is not None else None
        if code != 0 and not self._ending:
            last = f": {self._murmur.last}" if self._murmur.last else ""
            log.warning("%s has ended with %s%s", self._module, code, last)

    # ---- End -------------------------------------------------------------------------

    def stop(self) -> None:
        """Tell it to end, and see to it."""
        if self._ending or self._over.is_set():
            return
        self.order("stop")
        self._ending = True
        if self._pipe is not None:
            self._pipe.close()
        asyncio.get_running_loop().call_later(GRACE, self.kill)

    def kill(self) -> None:
        """End it now."""
        if self._transport is not None and self._transport.get_returncode() is None:
            self._transport.kill()

    async def ended(self) -> None:
        """Until it is gone, however that looks."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * GRACE):
                await self._over.wait()


def trouble(words: Words) -> tuple[str, str, str]:
    """Code, message and hint of the event ``error``, fit for a terminal."""
    return clean(words, "code"), clean(words, "message"), clean(words, "hint")
