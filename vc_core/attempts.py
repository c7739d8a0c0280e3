"""Attempts at a direct pair: when the next ICE session of a link begins.

    first attempt ──► stands ──► silent for long ──► next attempt, beside the old one
              └────► failed ──► pause (2, 4 … 60 s) ──► next attempt
    addresses changed ──► next attempt at once

Either side may begin one: whoever hears of a higher attempt than its own joins
it. The pauses are the leading side's; the other waits a little longer.
"""

from __future__ import annotations

from enum import Enum

from vc_core.machine import Table, step
from vc_core.record import record

# Specification
MAX_ATTEMPT = 0xFFFF

# Implementation
FIRST_PAUSE = 2.0  # s after the first failure
LONGEST_PAUSE = 60.0  # s after many
COURTESY = 1.5  # the pause of the side that does not lead is longer by this factor


class State(Enum):
    """Where the newest attempt stands."""

    IDLE = "none was begun"
    TRYING = "pairs are being checked"
    STANDING = "a pair was found"
    PAUSED = "the last one failed; another follows"


@record
class Began:
    """A new attempt."""


@record
class Stood:
    """It found a pair."""


@record
class Failed:
    """It found none, or its pair is dead."""


MOVES: Table[State] = {
    State.IDLE: {Began: State.TRYING},
    State.TRYING: {Began: State.TRYING, Stood: State.STANDING, Failed: State.PAUSED},
    State.STANDING: {Began: State.TRYING, Stood: State.STANDING, Failed: State.PAUSED},
    State.PAUSED: {Began: State.TRYING, Failed: State.PAUSED, Stood: State.STANDING},
}
WAITS = (State.IDLE, State.PAUSED)


class Attempts:
    """Of one link."""

    def __init__(self, now: float) -> None:
        self.state = State.IDLE
        self.number = 0
        """The newest attempt; 0 before the first."""
        self.due = now
        """When the next one should begin, if none is under way."""
        self._failures = 0

    def begin(self, number: int | None = None) -> int:
        """Start the next attempt, or the one of this number that the other side began."""
        self.state = step(MOVES, self.state, Began())
        self.number = self.number + 1 if number is None else number
        return self.number

    def stood(self, number: int) -> None:
        """An attempt found a pair."""
        if number == self.number:
            self.state = step(MOVES, self.state, Stood())
            self._failures = 0

    def failed(self, number: int, now: float, *, leading: bool) -> None:
        """An attempt came to nothing, or its pair died."""
        if number == self.number and self.state is not State.IDLE:
            self.lost(now, leading=leading)

    def lost(self, now: float, *, leading: bool) -> None:
        """The pair of the newest attempt is dead, or there was none."""
        if self.state is State.PAUSED:
            return
        self.state = step(MOVES, self.state, Failed())
        pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        self._failures += 1
        self.due = now + pause * (1 if leading else COURTESY)

    def hurry(self, now: float) -> None:
        """Our addresses have changed: what failed before may work now."""
        self._failures = 0
        self.state = step(MOVES, self.state, Failed()) if self.number else self.state
        self.due = now

    def next_due(self, *, alive: bool) -> float:
        """When the next attempt should begin; infinity for never.

        ``alive``: any way carries. The first may be late, when a forwarder is lost;
        further ones need a living way.
        """
        waits = self.state in WAITS and self.number < MAX_ATTEMPT
        return self.due if waits and (alive or not self.number) else float("inf")
