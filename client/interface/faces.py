"""Faces: everybody who watches a call and gives orders, by JSON lines.

    stdin / stdout        a script (``--json``)
    private Unix socket   the terminal face, ``vchat ptt`` and ``vchat mute``

A face on the socket says ``{"do":"attach"}`` first and is shown what it missed;
connections that do not attach may give orders, and their end means nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from client.interface.control import socket_path
from client.interface.orders import MAX_LINE, BadCommand, Order, parse
from client.interface.report import Told, write
from client.loop import run_from_thread
from vc_core.errors import LocalProtocolError, reason

# Implementation
MAX_FACES = 16  # connections to the socket
PIECE = 65536  # bytes read from stdin at once
MAX_UNREAD = 1024 * 1024  # bytes that a face may leave unread
LAST_WORDS = 1.0  # s that a face has to read them


class Face:
    """One connection of the socket."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.attached = False
        self.detached = False
        """It said that it goes on purpose."""

    def tell(self, told: Told) -> None:
        """Write one event; a face that does not read is dropped."""
        if self.writer.is_closing():
            return
        self.writer.write(write(told))
        if self.writer.transport.get_write_buffer_size() > MAX_UNREAD:
            self.writer.transport.abort()


class Outlet:
    """A file that others read, written by a thread: who reads slowly holds up nobody."""

    def __init__(self, file: int, failed: Callable[[str | None], None]) -> None:
        """``failed`` hears, once, why it takes no more; None when nobody reads it any more."""
        self._file = file
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._given = self._written = 0
        self._over = False
        self._thread = Thread(target=self._pour, daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Write it soon; after a failure nothing is written."""
        if not self._over:
            self._given += len(line)
            self._lines.put(line)
            if self._given - self._written > MAX_UNREAD:
                self._fail("nobody reads them")

    def _pour(self) -> None:
        """On the thread."""
        try:
            while line := self._lines.get():
                self._written += len(line)
                while line:
                    line = line[os.write(self._file, line) :]
        except OSError as error:
            why = None if isinstance(error, BrokenPipeError) else reason(error)
            with contextlib.suppress(RuntimeError):  # the loop is over
                self._loop.call_soon_threadsafe(self._fail, why)

    def _fail(self, why: str | None) -> None:
        if not self._over:
            self._over = True
            self._failed(why)

    async def close(self) -> None:
        """Let it be read what was written, but not for ever."""
        self._lines.put(b"")
        await asyncio.to_thread(self._thread.join, LAST_WORDS)


class Faces:
    """All of them."""

    def __init__(
        self,
        *,
        stdio: bool,
        obey: Callable[[Order], None],
        refused: Callable[[str, str], Told],
        snapshot: Callable[[], list[Told]],
        watched: Callable[[bool], None],
        unread: Callable[[], None],
    ) -> None:
        """``obey`` raises ``BadCommand`` or ``LocalProtocolError`` for what cannot be;
        ``refused`` makes an event of a sentence and a hint.

        ``watched(False)`` is called when the last attached face has vanished,
        ``watched(True)`` when one attaches; ``unread`` when stdout is closed.
        """
        self._stdio = stdio
        self._stdout: Outlet | None = None
        self._obey = obey
        self._refused = refused
        self._snapshot = snapshot
        self._watched = watched
        self._unread = unread
        self._faces: set[Face] = set()
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._reading: asyncio.Task[None] | None = None
        self.unwritten: str | None = None
        """Why stdout takes no more, though somebody may read it."""

    async def open(self, path: Path | None) -> None:
        """Listen on the socket, and on stdin if that is ours."""
        self._path = path or socket_path(os.getpid())
        self._path.unlink(missing_ok=True)
        limit = MAX_LINE + 2
        self._server = await asyncio.start_unix_server(self._meet, self._path, limit=limit)
        self._path.chmod(0o600)
        if self._stdio:
            self._stdout = Outlet(sys.stdout.fileno(), self._silence)
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader(limit=limit)
            self._reading = asyncio.create_task(self._read(reader, None))
            Thread(target=self._pour_stdin, args=(reader, loop), daemon=True).start()

    def tell(self, told: Told) -> None:
        """One event to everybody."""
        if self._stdout is not None:
            self._stdout.put(write(told))
        for face in list(self._faces):
            face.tell(told)

    def _silence(self, why: str | None) -> None:
        """Stdout takes no more."""
        self.unwritten = why
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self._unread()

    async def close(self) -> None:
        """Let everybody read the last words, then hang up."""
        if self._reading is not None:
            self._reading.cancel()
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for face in list(self._faces):
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await face.writer.drain()
            face.writer.close()
        if self._stdout is not None:
            await self._stdout.close()

    # ---- The socket ----------------------------------------------------------------

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._faces) >= MAX_FACES:
            writer.close()
            return
        face = Face(writer)
        self._faces.add(face)
        try:
            await self._read(reader, face)
        except OSError:
            pass  # it went without a word; the same as a close
        finally:
            self._faces.discard(face)
            writer.close()
            lonely = not any(other.attached for other in self._faces)
            if face.attached and not face.detached and lonely:
                self._watched(False)

    def _attach(self, face: Face) -> None:
        face.attached = True
        for told in self._snapshot():
            face.tell(told)
        self._watched(True)

    # ---- Lines ---------------------------------------------------------------------

    def _pour_stdin(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        """On a thread of its own: pipes, terminals, files and nothing at all read alike."""
        gone = OSError, RuntimeError, CancelledError  # stdin or the loop is
        with contextlib.suppress(*gone):
            while data := os.read(0, PIECE):
                run_from_thread(partial(_pour, reader, data), loop)
            loop.call_soon_threadsafe(reader.feed_eof)

    async def _read(self, reader: asyncio.StreamReader, face: Face | None) -> None:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                self._take(error.partial, face)
                return
            except asyncio.LimitOverrunError as error:
                if not await _skip_line(reader, error.consumed):
                    return
                self._refuse("a line is longer than 256 KiB", face)
                continue
            self._take(line, face)

    def _take(self, line: bytes, face: Face | None) -> None:
        order = None
        try:
            order = parse(line)
            if order is None:
                return
            if order.do == "attach" and face is not None:
                self._attach(face)
            elif order.do == "detach" and face is not None:
                face.detached = True
                face.writer.close()  # it stays until we hang up, so that its word is heard
            elif order.do not in ("attach", "detach"):
                self._obey(order)
        except BadCommand as error:
            self._refuse(str(error), face, order)
        except LocalProtocolError as error:
            self._refuse(str(error), face, order, hint="")

    def _refuse(
        self,
        message: str,
        face: Face | None,
        order: Order | None = None,
        hint: str = "see docs/interface.md",
    ) -> None:
        told = self._refused(message, hint)
        if order is not None and order.fields.get("ref") is not None:
            told["ref"] = order.fields["ref"]
        if face is None:
            self.tell(told)
        else:
            face.tell(told)


async def _pour(reader: asyncio.StreamReader, data: bytes) -> None:
    """Feed and let the reader work, so that no more than a line waits."""
    reader.feed_data(data)
    for _ in range(3):
        await asyncio.sleep(0)


async def _skip_line(reader: asyncio.StreamReader, size: int) -> bool:
    """Drop a line of which ``size`` bytes are here; False if the stream ended."""
    try:
        while True:
            await reader.readexactly(size)
            try:
                await reader.readuntil(b"\n")
                return True
            except asyncio.LimitOverrunError as error:
                size = error.consumed
    except asyncio.IncompleteReadError:
        return False
