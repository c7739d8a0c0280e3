"""The plain face: a call line by line, for pipes, screen readers and dumb terminals.

    * ann joined (never met before)
    ann: hello
    (private) ann: only for you
    ! nothing is heard from the host …

Lines typed or piped in are texts or slash commands. Ctrl-C leaves politely, twice at
once. The end of the input leaves when a person typed it (Ctrl-D); the end of a pipe
does not: ``echo hi | vchat join CODE --plain`` says hi as soon as somebody is there,
and stays until the room ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any

from client.interface.attach import Engine, attach, follow, start_engine
from client.loop import run_from_thread
from client.ui.log import Kind, Line
from client.ui.model import Model
from client.ui.slash import Send, parse
from client.ui.typed import GOES_ON, Typed
from vc_core.errors import Ending
from video.window import has_display

# Implementation
MAX_LINE = 64 * 1024  # bytes; a longer one is taken in pieces, and refused as too long
MAX_WAITING = 64  # piped lines that wait here; the rest waits in the pipe
MAX_UNCONFIRMED = 32  # piped texts on their way at once

FORMS = {
    Kind.TEXT: "{name}: {text}",
    Kind.PRIVATE: "(private) {name}: {text}",
    Kind.NOTE: "* {text}",
    Kind.STATE: "* {text}",
    Kind.COPY: "{text}",
    Kind.ANSWER: "* {text}",
    Kind.WARNING: "! {text}",
}
"""One's own texts are not here: who typed them has seen them."""


def run(argv: Sequence[str]) -> int:
    """Start the engine for ``argv`` (``["host", …]``) and show its call; the exit code."""
    return follow(start_engine(argv), _face)


def run_attached(path: Path) -> int:
    """Show the call behind a socket; the exit code."""
    return follow(attach(path), _face)


async def _face(engine: Engine) -> int:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # replaced by something simpler
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    return await Plain(engine).run()


def show(line: Line) -> str | None:
    """A line of the log as text; None for what is not printed."""
    form = FORMS.get(line.kind)
    return None if form is None else form.format(name=line.name, text=line.text)


class Plain:
    """One call, printed."""

    def __init__(self, engine: Engine, stdin: int = 0) -> None:
        self._engine = engine
        self._stdin = stdin
        self._model = Model()
        self._typed = Typed(self._model, engine, self, _clock)
        self._printed = 0
        self._piped = not _by_hand(stdin)
        self._input: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING)
        self._changed = asyncio.Event()

    async def run(self) -> int:
        """To the end of the call; the exit code."""
        reading = asyncio.create_task(self._read())
        _start_reader(self._stdin, self._input)
        try:
            async for event in self._engine.events():
                self._model.receive(event, _clock())
                self._print()
                self._changed.set()
        finally:
            reading.cancel()
        return await self._close()

    async def _close(self) -> int:
        code = await self._engine.close()
        if self._model.ended is None:
            if code == 0:
                self._write("* " + GOES_ON if self._engine.detached else "* the call is over")
            elif code != Ending.INTERRUPTED.exit_code:
                said = self._engine.last_words() or "vchat: error: the call broke off"
                print(said, file=sys.stderr)
        return code

    # ---- Out -------------------------------------------------------------------------

    def _print(self) -> None:
        for line in self._model.lines:
            if line.number >= self._printed:
                self._printed = line.number + 1
                text = show(line)
                if text is not None:
                    self._write(text)
                elif line.kind is Kind.ERROR:
                    self._complain()

    def _complain(self) -> None:
        message, hint = self._model.troubles[-1]
        print(f"vchat: error: {message}", file=sys.stderr)
        if hint:
            print(f"vchat: hint: {hint}", file=sys.stderr)

    def _write(self, text: str) -> None:
        try:
            print(text, flush=True)
        except OSError:  # nobody reads any more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._engine.leave()

    # ---- In --------------------------------------------------------------------------

    async def _read(self) -> None:
        """Lines in their order, each when its time has come."""
        while (line := await self._input.get()) is not None:
            while self._too_early(line):
                self._changed.clear()
                await self._changed.wait()
            self._typed.line(line)
            self._print()
        if not self._piped:
            self._engine.leave()

    def _too_early(self, line: str) -> bool:
        """Whether a piped text must wait: for the room, for readers, for its turn."""
        model = self._model
        if not self._piped:
            return False
        meaning = parse(line, model.others)
        if not isinstance(meaning, Send):
            return False
        if meaning.command["do"] != "chat":
            return not model.opened
        return not model.opened or not model.others or model.unconfirmed >= MAX_UNCONFIRMED

    # ---- What Typed asks of a face -----------------------------------------------------

    def show_help(self) -> None:
        """In lines."""
        self._model.show_help(_clock())

    def copy(self, text: str) -> bool:
        """There is no clipboard in a pipe."""
        return False

    def watch(self, command: Mapping[str, Any]) -> str:
        """Into a window; lines and pictures in one terminal do not go together."""
        to = command["to"] or "window"
        if to == "terminal" or (to == "window" and not has_display(os.environ, sys.platform)):
            return "pictures need a display here; without --plain the terminal can show them"
        self._engine.send({**command, "to": to})
        return ""


def _clock() -> str:
    return time.strftime("%H:%M")


def _by_hand(stdin: int) -> bool:
    try:
        return os.isatty(stdin)
    except OSError:
        return False


def _start_reader(stdin: int, lines: asyncio.Queue[str | None]) -> None:
    """Read stdin in a thread of its own: it may be a file, a pipe, a terminal or closed."""
    loop = asyncio.get_running_loop()

    def put(line: str | None) -> None:
        if loop.is_closed():
            raise CancelledError
        run_from_thread(lambda: lines.put(line), loop)

    def work() -> None:
        with suppress(RuntimeError, CancelledError):  # the call has ended before the input
            _split(stdin, put)
            put(None)

    threading.Thread(target=work, name="stdin", daemon=True).start()


def _split(stdin: int, put: Callable[[str], None]) -> None:
    """Every line of stdin. Not through ``sys.stdin``: its lock would stop our exit."""
    waiting = b""
    while piece := _read_piece(stdin):
        *lines, waiting = (waiting + piece).split(b"\n")
        if len(waiting) > MAX_LINE:
            lines, waiting = [*lines, waiting], b""
        for line in lines:
            put(line.decode("utf-8", "replace"))
    if waiting:
        put(waiting.decode("utf-8", "replace"))


def _read_piece(stdin: int) -> bytes:
    try:
        return os.read(stdin, 65536)
    except OSError:
        return b""
