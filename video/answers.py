"""What a terminal answers when it is asked what it can do; all else is handed on.

    ESC _ G i=31;OK ESC \\           kitty graphics
    ESC [ ? 62;4;22 c                DA1; 4 is sixel; every terminal answers it
    ESC P > | name(version) ESC \\   XTVERSION
    ESC [ 6 ; height ; width t       pixels of a cell
    ESC [ ? 1 ; 0 ; count S          XTSMGRAPHICS: registers of sixel
    ESC [ 0 n                        all that was written has been drawn (DSR)

Pure. Keys come on the same line, in between and torn anywhere: ``feed`` gives back
what is no answer, in its order, and keeps the beginning of an answer until its end
comes (or ``rest`` is asked for). An answer that never ends is no answer after
``LONGEST`` letters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

# Specification
ASK_ABILITIES = "\x1b[c"
ASK_VERSION = "\x1b[>q"
ASK_CELL = "\x1b[16t"
ASK_DRAWN = "\x1b[5n"
SIXEL = 4  # among the numbers of DA1

# Implementation
LONGEST = 256  # letters of an answer
MOST_PIXELS = 200  # of a cell's side; more is no sensible answer

ANSWER = re.compile(
    r"\x1b_G(?P<graphics>[^\x1b\x07]{0,200})(?:\x1b\\|\x07)"
    r"|\x1bP>\|(?P<version>[^\x1b\x07]{0,200})(?:\x1b\\|\x07)"
    r"|\x1b\[\?(?P<abilities>[0-9;]{0,100})c"
    r"|\x1b\[6;(?P<height>[0-9]{1,4});(?P<width>[0-9]{1,4})t"
    r"|\x1b\[\?1;(?P<status>[0-9])(?P<registers>[0-9;]{0,20})S"
    r"|\x1b\[(?P<drawn>[03])n"
)
BEGINNING = re.compile(
    r"\x1b(?:_(?:G[^\x1b\x07]*(?:\x1b)?)?"
    r"|P(?:>(?:\|[^\x1b\x07]*(?:\x1b)?)?)?"
    r"|\[(?:\?[0-9;]*|6(?:;[0-9]*(?:;[0-9]*)?)?|[03])?)?$"
)


class Means(Enum):
    """How pictures can be drawn, the best first."""

    KITTY_FILE = "kitty graphics, and the terminal sees our files"
    KITTY = "kitty graphics, through the terminal's bytes"
    SIXEL = "sixel"
    CELLS = "half blocks"


@dataclass
class Terminal:
    """What has been answered so far."""

    graphics: set[int] = field(default_factory=set)
    """Numbers of the questions about kitty graphics that were answered OK."""
    abilities: frozenset[int] | None = None
    """DA1; None until it has come."""
    version: str = ""
    cell: tuple[int, int] | None = None
    """Width and height in pixels."""
    registers: int = 0
    """Colours of sixel; 0 when nothing was said."""
    drawn: int = 0
    """How often it said that all was drawn."""

    @property
    def sixel(self) -> bool:
        """Whether DA1 names it."""
        return self.abilities is not None and SIXEL in self.abilities


class Answers:
    """Picks answers out of what comes from a terminal."""

    def __init__(self) -> None:
        self.terminal = Terminal()
        self._kept = ""

    def feed(self, text: str) -> str:
        """What of ``text`` (and of what was kept before) is no answer."""
        text, self._kept = self._kept + text, ""
        text = ANSWER.sub(self._note, text)
        beginning = BEGINNING.search(text)
        if beginning is None or len(beginning[0]) > LONGEST or beginning[0] == "\x1b":
            return text  # a lone escape is a key
        self._kept = beginning[0]
        return text[: beginning.start()]

    def rest(self) -> str:
        """What was kept, since its end has not come."""
        kept, self._kept = self._kept, ""
        return kept

    def _note(self, answer: re.Match[str]) -> str:
        terminal, found = self.terminal, answer.groupdict()
        if found["graphics"] is not None:
            keys, _, verdict = found["graphics"].partition(";")
            number = re.search(r"(?:^|,)i=(\d{1,9})(?:,|$)", keys, re.ASCII)
            if number and verdict == "OK":
                terminal.graphics.add(int(number[1]))
        elif found["version"] is not None:
            terminal.version = "".join(c for c in found["version"] if c.isprintable())
        elif found["abilities"] is not None:
            terminal.abilities = _numbers(found["abilities"])
        elif found["height"] is not None:
            width, height = int(found["width"]), int(found["height"])
            if 0 < width <= MOST_PIXELS and 0 < height <= MOST_PIXELS:
                terminal.cell = (width, height)
        elif found["status"] is not None:
            count = found["registers"].removeprefix(";").partition(";")[0]
            terminal.registers = int(count[:6] or 0) if found["status"] == "0" else 0
        else:
            terminal.drawn += 1
        return ""


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(part[:6]) for part in text.split(";") if part)
