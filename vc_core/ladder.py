"""The ladder: which way carries us to one peer, and why no better one does.

    direct  ->  hosted  ->  relayed      (fast and private first)
    direct  ->  relayed ->  hosted       in a crowd, whose host would carry all of its pairs

Rule 1: everything that decides between ways lives in this file.
Rule 2: this file opens nothing. It is told what each way does and answers with
        the way to send on and a word for the reason.
Rule 3: packets keep flowing on the old way until a better one has answered; a
        way that fell silent is left at once if another lives.
Rule 4: a way that comes back must go on answering for a while before it is
        preferred again, longer each time that it fell; when nothing else lives it
        is taken at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from vc_core.ids import Rung, Way
from vc_core.machine import Table, step
from vc_core.record import record

# Specification
FIRST_PROOF = 1.0  # s that a way must go on answering after its first fall
LONGEST_PROOF = 16.0  # s after many
FORGIVEN = 30.0  # s of life after which earlier falls are forgotten


class State(Enum):
    """What we know of one way."""

    TRIED = "it is open and has not answered"
    ALIVE = "packets flow"
    SILENT = "packets flowed and stopped"
    PROVING = "it answers again, and must go on for a while"
    REFUSED = "packets flow, but the other side wants none there"


@record
class Answered:
    """A verified packet came."""


@record
class Proven:
    """It has gone on answering for long enough."""


@record
class Fell:
    """It was silent for too long."""


@record
class Refused:
    """The other side goes away there."""


MOVES: Table[State] = {
    State.TRIED: {Answered: State.ALIVE, Fell: State.TRIED, Refused: State.REFUSED},
    State.ALIVE: {
        Answered: State.ALIVE,
        Proven: State.ALIVE,
        Fell: State.SILENT,
        Refused: State.REFUSED,
    },
    State.SILENT: {Answered: State.PROVING, Fell: State.SILENT, Refused: State.REFUSED},
    State.PROVING: {
        Answered: State.PROVING,
        Proven: State.ALIVE,
        Fell: State.SILENT,
        Refused: State.REFUSED,
    },
    State.REFUSED: {Answered: State.ALIVE, Fell: State.REFUSED, Refused: State.REFUSED},
}
CARRIES = (State.ALIVE, State.PROVING)

WORDS = {
    State.TRIED: "trying",
    State.ALIVE: "answered",
    State.SILENT: "silent",
    State.PROVING: "proving",
    State.REFUSED: "refused",
}


AWAITED = "awaited"
"""For ``trying`` of a forwarder, where a way is open only when our own slot is held."""

REASONS = frozenset({*WORDS.values(), AWAITED, "not-tried", "none-known", "forbidden", "crowded"})
"""What this file says of a rung; carriers say why they failed in words of their own."""


class Step:
    """One way, as the ladder knows it."""

    def __init__(self, way: Way, now: float) -> None:
        self.way = way
        self.state = State.TRIED
        self._since = now
        self._falls = 0

    def answered(self, now: float) -> None:
        """A verified packet came."""
        before, self.state = self.state, step(MOVES, self.state, Answered())
        if before is not self.state:
            self._since = now
        elif self.state is State.PROVING and now - self._since >= self._proof:
            self.state, self._since = step(MOVES, self.state, Proven()), now

    @property
    def _proof(self) -> float:
        return float(min(FIRST_PROOF * 2 ** (self._falls - 1), LONGEST_PROOF))

    def refused(self, now: float) -> None:
        """The other side goes away there."""
        self.state, self._since = step(MOVES, self.state, Refused()), now

    def fell(self, now: float) -> None:
        """It was silent for too long."""
        if self.state is State.ALIVE and now - self._since >= FORGIVEN:
            self._falls = 0
        if self.state in CARRIES:
            self._falls += 1
        self.state, self._since = step(MOVES, self.state, Fell()), now


class Ladder:
    """The ways to one peer. All verbs answer whether anything that people see changed."""

    def __init__(self) -> None:
        self.used: Way | None = None
        """Where packets are sent; kept while nothing lives, in case it comes back."""
        self._steps: dict[Way, Step] = {}
        self._order: tuple[int, ...] = ()
        self._words: dict[Rung, str] = {}
        self._allowed = frozenset(Rung)
        self._crowded = False
        self._told = self._seen()

    # Getters

    @property
    def rung(self) -> str:
        """direct, hosted, relayed or none."""
        return self.used.rung.word if self.used is not None and self._carries() else "none"

    def _carries(self) -> bool:
        used = self._steps.get(self.used) if self.used is not None else None
        return used is not None and used.state in CARRIES

    def reason_of(self, rung: Rung) -> str:
        """A word for what a rung does or why it does not."""
        if rung not in self._allowed:
            return "forbidden"
        states = {step.state for way, step in self._steps.items() if way.rung is rung}
        for state in (State.ALIVE, State.PROVING, State.REFUSED, State.SILENT):
            if state in states:
                return WORDS[state]
        if State.TRIED in states:
            return WORDS[State.TRIED] if rung is Rung.DIRECT else AWAITED
        if rung in self._words:
            return self._words[rung]
        return "not-tried" if rung is Rung.DIRECT else "none-known"

    def reasons(self) -> dict[str, str]:
        """The same for all rungs, by their words."""
        return {rung.word: self.reason_of(rung) for rung in Rung}

    def state_of(self, way: Way) -> State | None:
        """What is known of one way; None if it is not open."""
        step = self._steps.get(way)
        return step.state if step is not None else None

    # World in

    def opened(self, way: Way, now: float) -> bool:
        """A way can be tried."""
        self._steps[way] = Step(way, now)
        self._words.pop(way.rung, None)
        return self._choose()

    def answered(self, way: Way, now: float) -> bool:
        """A verified packet came over a way."""
        step = self._steps.get(way)
        if step is None:
            return False
        before = step.state
        step.answered(now)
        return step.state is not before and self._choose()

    def refused(self, way: Way, now: float) -> bool:
        """The other side wants no packets on a way any more."""
        if way not in self._steps:
            return False
        self._steps[way].refused(now)
        return self._choose()

    def fell(self, way: Way, now: float) -> bool:
        """A way was silent for too long."""
        if way not in self._steps:
            return False
        self._steps[way].fell(now)
        return self._choose()

    def closed(self, way: Way, word: str = "") -> bool:
        """A way is no more; ``word`` says why its rung has none."""
        self._steps.pop(way, None)
        if word:
            self._words[way.rung] = word
        return self._choose()

    def begin(self, order: tuple[int, ...], words: Mapping[Rung, str], *, crowded: bool) -> None:
        """A link begins: the order of forwarders, why some cannot be tried, how large a room."""
        self._order, self._crowded = order, crowded
        self._words.update(words)
        self._choose()

    def explained(self, rung: Rung, word: str) -> bool:
        """Why a rung is not tried, or failed before it could be."""
        self._words[rung] = word
        return self._choose()

    def replaced(self) -> bool:
        """The link is new: its ways have to answer first."""
        self._steps.clear()
        return self._choose()

    # User in

    def allow(self, rungs: frozenset[Rung]) -> bool:
        """Which rungs may be used."""
        self._allowed = rungs
        return self._choose()

    def prefer(self, forwarders: tuple[int, ...]) -> bool:
        """Forwarders in order of preference."""
        self._order = forwarders
        return self._choose()

    def crowd(self, on: bool) -> bool:
        """Whether there are so many that the host's forwarder is used last."""
        self._crowded = on
        return self._choose()

    # Choice

    def _seen(self) -> tuple[Way | None, dict[str, str]]:
        return self.used if self._carries() else None, self.reasons()

    def _choose(self) -> bool:
        """Take the best way; whether people see a change since the last time."""
        usable = [step for step in self._steps.values() if self._usable(step)]
        if usable:
            self.used = min(usable, key=self._rank).way
        elif self.used not in self._steps or self.used.rung not in self._allowed:
            self.used = None
        before, self._told = self._told, self._seen()
        return before != self._told

    def _usable(self, step: Step) -> bool:
        """A pair that ICE has checked needs no answer to be sent on."""
        checked = step.state is State.TRIED and step.way.rung is Rung.DIRECT
        return step.way.rung in self._allowed and (step.state in CARRIES or checked)

    def _rank(self, step: Step) -> tuple[int, int, int]:
        way = step.way
        standing = (State.ALIVE, State.PROVING, State.TRIED).index(step.state)
        if way.rung is Rung.DIRECT:
            return standing, way.rung.value, -way.number
        order = self._order.index(way.number) if way.number in self._order else len(self._order)
        last = self._crowded and way.rung is Rung.HOSTED
        return standing, Rung.RELAYED.value + 1 if last else way.rung.value, order
