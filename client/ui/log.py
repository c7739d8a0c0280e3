"""The log of a call: its lines, what kind each is, and the invitation shown in it.

Pure; ``client.ui.model`` writes it, each face draws it in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

# Implementation
MAX_LINES = 2000  # the oldest go


class Kind(Enum):
    """What a line is."""

    TEXT = "a member's text to all"
    PRIVATE = "a member's text to oneself alone"
    OWN = "one's own text"
    OWN_PRIVATE = "one's own text to one member"
    NOTE = "something happened"
    STATE = "something changed that a full screen shows elsewhere all the time"
    COPY = "something to be copied, alone on its line"
    ANSWER = "what was asked for"
    WARNING = "something that a person should know"
    ERROR = "something did not work"


@dataclass
class Line:
    """One entry of the log of the call."""

    number: int
    """Counts up from 0 and never changes."""
    kind: Kind
    clock: str
    text: str
    name: str = ""
    """Who wrote it, or to whom one's own private text went."""
    colour: int = 0
    """Number of the member, for its colour."""
    waiting: set[str] = field(default_factory=set)
    """Members that have not yet said that one's own text arrived."""


@dataclass
class Code:
    """The invitation that guests use."""

    code: str
    link: str
    guests_left: int
    until: str
    """Clock, or empty when it is not known."""
    ended: str = ""
    """Why it admits nobody any more."""

    def told(self) -> list[tuple[Kind, str]]:
        """The code and the link, each alone on its line."""
        until = f", until {self.until}" if self.until else ""
        guests = f"{self.guests_left} guest{'' if self.guests_left == 1 else 's'}"
        head = f"the code, for {guests}{until}:"
        link = [(Kind.ANSWER, "or the link:"), (Kind.COPY, self.link)]
        return [(Kind.ANSWER, head), (Kind.COPY, self.code), *link]


class Log:
    """The newest lines."""

    def __init__(self, *, states: bool) -> None:
        self.lines: list[Line] = []
        self._states = states
        self._next = 0

    def add(self, kind: Kind, text: str, clock: str) -> Line:
        """A new line at the end (STATE only where it is wanted)."""
        line = Line(self._next, kind, clock, text)
        if kind is not Kind.STATE or self._states:
            self._next += 1
            self.lines.append(line)
            del self.lines[:-MAX_LINES]
        return line


def joined(message: str, hint: str) -> str:
    """A sentence and what to do about it."""
    return f"{message} ({hint})" if hint else message


def add_seconds(clock: str, seconds: float) -> str:
    """The clock's reading (HH:MM) after some time; empty when there is none."""
    hours, _, minutes = clock.partition(":")
    if not (hours.isdigit() and minutes.isdigit()) or seconds <= 0:
        return ""
    total = int(hours) * 60 + int(minutes) + int(seconds) // 60
    return f"{total // 60 % 24:02}:{total % 60:02}"
