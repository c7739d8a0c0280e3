"""Asking the terminal, while keys come on the same line.

Answers are picked out before prompt_toolkit sees them (``video.answers``); it would
take them for keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application

from video import kitty
from video.answers import (
    ASK_ABILITIES,
    ASK_CELL,
    ASK_VERSION,
    MOST_PIXELS,
    Answers,
    Means,
    Terminal,
)

if TYPE_CHECKING:
    from video.cells import Depth

# Implementation
PATIENCE = 1.0  # s that a terminal has to answer; over SSH it may need some
TORN = 0.05  # s until the beginning of an answer is taken for keys
SILENT = ("dumb", "linux", "")
"""Of TERM: they answer nothing of this, and some print it."""
MULTIPLEXERS = ("tmux", "screen")
TRUE_COLOUR = ("kitty", "foot", "wezterm", "ghostty", "iterm2", "konsole", "vte", "tmux", "xterm")
"""Beginnings of the names of terminals with 24-bit colours."""


class Inquiry:
    """Stands between the terminal's input and prompt_toolkit."""

    def __init__(self, app: Application[Any], heard: Callable[[], None]) -> None:
        """``heard`` is called after each answer."""
        self._app = app
        self._heard = heard
        self._answers = Answers()
        self._parser: Any = getattr(app.input, "vt100_parser", None)
        self._keys: Callable[[str], None] | None = None
        self._torn: asyncio.TimerHandle | None = None

    @property
    def terminal(self) -> Terminal:
        """What is known."""
        return self._answers.terminal

    def listen(self) -> bool:
        """From now on; False where the input is none that can be listened to."""
        if self._parser is None or os.environ.get("TERM", "") in SILENT:
            return False
        if self._keys is None:
            self._keys = self._parser.feed
            self._parser.feed = self._feed
        return True

    async def ask(self) -> Means:
        """The best means that the terminal has."""
        if not self.listen():
            return Means.CELLS
        with tempfile.TemporaryDirectory(prefix="vchat-") as folder:
            probe = Path(folder) / f"{kitty.FILE_MARK}-probe"
            probe.write_bytes(bytes(3))
            await self._answered(self._questions(str(probe)))
        means = means_of(self.terminal)
        if means is Means.SIXEL:
            from video import sixel

            await self._answered(sixel.ASK_REGISTERS.decode() + ASK_ABILITIES)
        self.terminal.cell = self.terminal.cell or _cell_by_window()
        # Sixels are not scaled: without the size of a cell nobody knows how many fit.
        return Means.CELLS if means is Means.SIXEL and self.terminal.cell is None else means

    async def _answered(self, questions: str) -> None:
        """Ask, and wait for DA1, which is asked last, because every terminal answers it."""
        self.terminal.abilities, known = None, self.terminal.abilities
        self._write(questions)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self.terminal.abilities is None:
                    await asyncio.sleep(0.01)
        self.terminal.abilities = self.terminal.abilities or known

    def write(self, text: str) -> None:
        """Raw, at once."""
        self._write(text)

    def _write(self, text: str) -> None:
        self._app.output.write_raw(text)
        self._app.output.flush()

    def _questions(self, probe: str) -> str:
        """All at once."""
        inside = os.environ.get("TMUX") or os.environ["TERM"].startswith(MULTIPLEXERS)
        graphics = b"" if inside else kitty.ask_direct() + kitty.ask_file(probe)
        return graphics.decode() + ASK_VERSION + ASK_CELL + ASK_ABILITIES

    def _feed(self, text: str) -> None:
        assert self._keys is not None
        if self._torn is not None:
            self._torn.cancel()
        rest = self._answers.feed(text)
        if rest:
            self._keys(rest)
        self._torn = asyncio.get_running_loop().call_later(TORN, self._give_up)
        self._heard()

    def _give_up(self) -> None:
        """What looked like an answer were keys."""
        assert self._keys is not None
        self._torn = None
        if rest := self._answers.rest():
            self._keys(rest)


def _cell_by_window() -> tuple[int, int] | None:
    """From the window's size in pixels, where the terminal tells the system."""
    try:
        import fcntl
        import termios

        data = fcntl.ioctl(sys.stdout, termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError, ValueError):
        return None
    rows, columns, width, height = struct.unpack("HHHH", data)
    cell = (width // max(1, columns), height // max(1, rows))
    return cell if 0 < cell[0] <= MOST_PIXELS and 0 < cell[1] <= MOST_PIXELS else None


def means_of(terminal: Terminal) -> Means:
    """The best one."""
    if kitty.QUERY_FILE in terminal.graphics:
        return Means.KITTY_FILE
    if kitty.QUERY_DIRECT in terminal.graphics:
        return Means.KITTY
    return Means.SIXEL if terminal.sixel else Means.CELLS


def depth_of(environment: Mapping[str, str], terminal: Terminal) -> Depth:
    """Which colours half blocks can have."""
    from video.cells import Depth

    term = environment.get("TERM", "")
    if environment.get("NO_COLOR") or term == "dumb":
        return Depth.NONE
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return Depth.TRUE
    if environment.get("WT_SESSION") or terminal.version.lower().startswith(TRUE_COLOUR):
        return Depth.TRUE
    return Depth.FEW
