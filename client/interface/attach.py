"""A face's hold on its engine: start one, attach to one, read events, give commands.

    face ── {"do":"attach"} …  ──▶ ┐
                                   ├ private Unix socket ─ engine (its own process)
    face ◀── events, JSON lines ── ┘

The engine runs in a session of its own, so that the terminal's Ctrl-C reaches the
face alone: once it leaves politely, twice at once. A face that dies without a word
leaves a muted engine behind that goes 30 s later (``client.engine``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from client import words
from client.interface.control import newest_socket, runtime_folder
from client.refused import Refused
from vc_core.errors import Ending
from vc_core.record import record

# Specification
MAX_EVENT = 1 << 20  # bytes of one event

# Implementation
START_PATIENCE = 20.0  # s until the engine must listen
LEAVE_PATIENCE = 6.0  # s until a polite farewell must be over
PARTING = 1.0  # s between our word that we go and the end of the connection
EXIT_PATIENCE = 3.0  # s between the last event and the end of the process
CONNECT_INTERVAL = 0.01  # s between two looks for the socket
TAIL_LINES = 12
TAIL_BYTES = 8192

PROGRAM = (sys.executable, "-P", "-m", "client")
FOLDERS_OF_PACKAGES = ("site-packages", "dist-packages")


class EngineDiedError(Exception):
    """The engine ended before anybody could attach."""

    def __init__(self, exit_code: int, said: str) -> None:
        super().__init__(said)
        self.exit_code = exit_code
        self.said = said
        """Its last lines on stderr."""


@record
class Child:
    """An engine that this process started."""

    process: subprocess.Popen[bytes]
    socket: Path
    log: IO[bytes]
    """Its stderr: a file without a name, gone with the last who has it open."""

    def tail(self) -> str:
        """The last lines of its stderr."""
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - TAIL_BYTES))
        text = self.log.read().decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-TAIL_LINES:])

    def kill(self) -> None:
        """End it at once, and take its socket away."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.socket.unlink(missing_ok=True)


class Engine:
    """One attached connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        child: Child | None = None,
    ) -> None:
        self.child = child
        self.exit_code: int | None = None
        """Of the face, once that is certain."""
        self._reader = reader
        self._writer = writer
        self._leaving: asyncio.TimerHandle | None = None
        self._parting: asyncio.TimerHandle | None = None
        self._patience = EXIT_PATIENCE
        self.detached = False
        """Whether the call was left running on purpose."""

    def send(self, command: Mapping[str, Any]) -> None:
        """Give one command; after the end nobody reads it."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(command, separators=(",", ":")).encode() + b"\n")

    def leave(self) -> None:
        """Leave the room politely; an engine that takes too long is ended."""
        if self._leaving is None:
            self.send({"do": "leave"})
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(LEAVE_PATIENCE, self._abort, Ending.FAILED)

    def interrupt(self) -> None:
        """Ctrl-C: the first time politely, the second time at once."""
        if self._leaving is None:
            self.leave()
        else:
            self._abort(Ending.INTERRUPTED)

    def detach(self) -> None:
        """Go, and let the call run; the engine hangs up when it has heard it."""
        self.send({"do": "detach"})
        self.detached = True
        self.exit_code = 0
        self._parting = asyncio.get_running_loop().call_later(PARTING, self._writer.close)

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Every event up to ``ended``, or until the connection breaks."""
        while True:
            try:
                line = await self._reader.readline()
            except (OSError, ValueError):  # broken, or longer than any event is
                line = b""
            if not line.endswith(b"\n"):
                return
            event = _object(line)
            if event is None:
                continue
            if event.get("event") == "ended":
                code = event.get("exit")
                self._settle(code if isinstance(code, int) else Ending.FAILED.exit_code)
                yield event
                return
            yield event

    async def close(self) -> int:
        """Hang up; the exit code. Reaps an engine of ours that has ended."""
        for timer in (self._leaving, self._parting):
            if timer is not None:
                timer.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        if self.child is not None and not self.detached:
            code = await _exit_of(self.child.process, self._patience)
            if code is not None:
                self._settle(code if code >= 0 else Ending.FAILED.exit_code)
        self._settle(Ending.FAILED.exit_code)
        assert self.exit_code is not None
        return self.exit_code

    def last_words(self) -> str:
        """What the engine said on stderr, if it was ours."""
        return self.child.tail() if self.child is not None else ""

    def _settle(self, exit_code: int) -> None:
        if self.exit_code is None:
            self.exit_code = exit_code

    def _abort(self, ending: Ending) -> None:
        """Wait for nothing more; an engine that has said its last word goes by itself."""
        if self.exit_code is None and self.child is not None:
            self.child.kill()
        self._settle(ending.exit_code)
        self._patience = 0.0
        self._writer.transport.abort()


# ---- Starting and finding ---------------------------------------------------------------


def launch(argv: Sequence[str]) -> Child:
    """Start the engine for ``argv`` (``["host", …]``) and do not wait for it."""
    folder = runtime_folder()
    socket = folder / f"call-{os.getpid()}-{secrets.token_hex(4)}.sock"
    log = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the child writes on)
    command, *options = argv
    # The engine's own options come first: behind a "--" they would be arguments.
    process = subprocess.Popen(
        [*PROGRAM, command, "--detached", "--socket", os.fspath(socket), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        env=_environment(),
        start_new_session=True,
    )
    return Child(process, socket, log)


async def start_engine(argv: Sequence[str]) -> Engine:
    """Start an engine and attach; ``EngineDiedError`` if it does not come up."""
    return await attach_child(launch(argv))


async def attach_child(child: Child) -> Engine:
    """Attach to an engine that was launched; ``EngineDiedError`` if it does not come up."""
    try:
        async with asyncio.timeout(START_PATIENCE):
            return await _connect(child)
    except BaseException as error:  # an interrupt as well: no engine stays without a face
        child.kill()
        if not isinstance(error, TimeoutError):
            raise
    said = "vchat: error: the engine did not start\n" + child.tail()
    raise EngineDiedError(Ending.FAILED.exit_code, said.strip())


async def _connect(child: Child) -> Engine:
    while True:
        with contextlib.suppress(OSError):
            return await attach(child.socket, child)
        code = child.process.poll()
        if code is not None:
            exit_code = code if code >= 0 else Ending.FAILED.exit_code
            raise EngineDiedError(exit_code, child.tail() or _sentence(exit_code))
        await asyncio.sleep(CONNECT_INTERVAL)


async def attach(path: Path, child: Child | None = None) -> Engine:
    """Attach to the engine that listens at ``path``; ``OSError`` if none does."""
    reader, writer = await asyncio.open_unix_connection(path, limit=MAX_EVENT)
    engine = Engine(reader, writer, child)
    engine.send({"do": "attach"})
    return engine


def running_call() -> Path:
    """The socket of the newest call on this machine; ``Refused`` when there is none."""
    path = newest_socket()
    if path is None:
        raise Refused("no-call", "no call is running on this machine", "vchat host starts one")
    return path


def run(argv: Sequence[str]) -> int:
    """``vchat attach``: the face that fits this terminal, on a call that runs already."""
    wants = argparse.ArgumentParser(prog="vchat attach", add_help=False)
    wants.add_argument("--plain", action="store_true")
    wants.add_argument("--socket", type=Path)
    given, _ = wants.parse_known_args(list(argv)[1:])
    face = "client.plain" if given.plain or not _has_screen() else "client.ui.app"
    code: int = importlib.import_module(face).run_attached(given.socket or running_call())
    return code


def follow(coming: Coroutine[None, None, Engine], face: Callable[[Engine], Awaitable[int]]) -> int:
    """Show the call of an engine that is coming, to its end; the exit code."""

    async def _follow() -> int:
        engine = await coming
        _interruptible(engine)
        return await face(engine)

    try:
        return asyncio.run(_follow())
    except EngineDiedError as died:
        print(died.said, file=sys.stderr)
        return died.exit_code
    except OSError as error:
        raise Refused("no-call", "the call cannot be reached", "is it ending?") from error


def _interruptible(engine: Engine) -> None:
    """Ctrl-C and the end of the session leave the room; the same again, at once."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, ValueError):  # Windows; no main thread
            loop.add_signal_handler(number, engine.interrupt)


def _has_screen() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _environment() -> dict[str, str]:
    """Ours, with the way to these packages when they are not installed.

    The engine is started with -P: a folder named client that happens to lie where
    somebody calls us is not run.
    """
    environment = dict(os.environ)
    root = Path(__file__).resolve().parents[2]
    if root.name not in FOLDERS_OF_PACKAGES:
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(root), *([before] if before else [])])
    return environment


async def _exit_of(process: subprocess.Popen[bytes], patience: float) -> int | None:
    """The exit code, or None when it lives on for longer than ``patience`` seconds."""
    until = time.monotonic() + patience
    while (code := process.poll()) is None and time.monotonic() < until:
        await asyncio.sleep(CONNECT_INTERVAL)
    return code


def _sentence(exit_code: int) -> str:
    """What can be said of an engine that said nothing."""
    endings = [ending for ending in Ending if ending.exit_code == exit_code]
    message, hint = words.of_ending(endings[0] if len(endings) == 1 else Ending.FAILED)
    return f"vchat: error: {message}" + (f"\nvchat: hint: {hint}" if hint else "")


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
