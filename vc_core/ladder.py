"""The ladder: which rung carries us to one peer, and why no other does.

    direct  ->  hosted  ->  relayed      (fast and private first)

Rule 1: everything that decides between rungs lives in this file.
Rule 2: this file opens nothing. It is told what each rung does and answers
        with the rung in use and a word for the reason.
Rule 3: a rung in use is left when it falls silent, and returned to when it
        answers again. (One rung exists in this version: direct.)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vc_core.machine import Table, step


class State(Enum):
    """What we know about reaching the peer."""

    RESTING = "nobody has asked yet"
    CLIMBING = "a road is being tried"
    CARRIED = "packets flow"
    STRANDED = "packets flowed and stopped"


@dataclass(frozen=True)
class Asked:
    """A link wants a road."""


@dataclass(frozen=True)
class RoadAnswered:
    """A verified packet came over a rung."""


@dataclass(frozen=True)
class RoadSilent:
    """The rung in use was silent for too long."""


@dataclass(frozen=True)
class RoadFailed:
    """A rung gave up."""


@dataclass(frozen=True)
class Replaced:
    """The link is new; its road has to answer first."""


@dataclass(frozen=True)
class Dropped:
    """Nobody needs the peer any more."""


MOVES: Table[State] = {
    State.RESTING: {Asked: State.CLIMBING, Replaced: State.RESTING, Dropped: State.RESTING},
    State.CLIMBING: {
        Asked: State.CLIMBING,
        Replaced: State.CLIMBING,
        RoadAnswered: State.CARRIED,
        RoadSilent: State.CLIMBING,
        RoadFailed: State.CLIMBING,
        Dropped: State.RESTING,
    },
    State.CARRIED: {
        Asked: State.CARRIED,
        Replaced: State.STRANDED,
        RoadAnswered: State.CARRIED,
        RoadSilent: State.STRANDED,
        RoadFailed: State.STRANDED,
        Dropped: State.RESTING,
    },
    State.STRANDED: {
        Asked: State.STRANDED,
        Replaced: State.STRANDED,
        RoadAnswered: State.CARRIED,
        RoadSilent: State.STRANDED,
        RoadFailed: State.STRANDED,
        Dropped: State.RESTING,
    },
}

Told = Asked | RoadAnswered | RoadSilent | RoadFailed | Replaced | Dropped

REASONS = {
    State.RESTING: "not-tried",
    State.CLIMBING: "trying",
    State.CARRIED: "answered",
    State.STRANDED: "silent",
}


class Ladder:
    """The rungs to one peer."""

    def __init__(self) -> None:
        self.state = State.RESTING
        self._failed = False

    @property
    def rung(self) -> str:
        """direct or none."""
        return "direct" if self.state is State.CARRIED else "none"

    @property
    def reason(self) -> str:
        """A word; ``client.words`` has the sentence."""
        if self._failed and self.state is not State.CARRIED:
            return "direct-failed"
        return REASONS[self.state]

    def tell(self, what: Told) -> bool:
        """Take a fact; True if the rung or its reason changed."""
        before = (self.rung, self.reason)
        self.state = step(MOVES, self.state, what)
        self._failed = isinstance(what, RoadFailed) or (
            self._failed and not isinstance(what, RoadAnswered | Asked)
        )
        return before != (self.rung, self.reason)
