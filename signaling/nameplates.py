"""The nameplates: which digits live, whose they are, and how the dead ones ended.

    unknown  --give-->  living  --end-->  ended  --ended_memory-->  unknown

Rule: digits are random, begin with no zero (a person who says "nought four one
seven" and one who types 417 must not mean two things), and are not given again
while their end is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from signaling.customers import Customer
from signaling.limits import Limits
from vc_core.ids import Rng
from vc_core.signals import Refusal

# Specification
MIN_DIGITS = 4
MAX_DIGITS = 9
_FORM = re.compile(rf"[1-9][0-9]{{{MIN_DIGITS - 1},{MAX_DIGITS - 1}}}", re.ASCII)

# Implementation
TRIES = 4
"""Draws before one digit more is used: with half of them taken, 6 in 100 grow longer."""
SLACK = 64
"""Outdated entries that the heap may carry besides as many as there are living ones."""


@dataclass(eq=False, slots=True)
class Nameplate:
    """Living digits."""

    digits: str
    token: bytes
    owner: Customer
    """Who allocated it, or took it over last."""
    host: int | None
    """The connection that speaks as host; None while it is away."""
    ends: float
    exchanges: set[int] = field(default_factory=set)


def is_nameplate(digits: str) -> bool:
    """Whether ``digits`` could be a nameplate."""
    return _FORM.fullmatch(digits) is not None


class Nameplates:
    """All nameplates that live, and those whose end is remembered."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._living: dict[str, Nameplate] = {}
        self._ended: dict[str, tuple[float, Refusal]] = {}
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._living)

    def __getitem__(self, digits: str) -> Nameplate:
        return self._living[digits]

    def living(self, digits: str) -> Nameplate | None:
        """The nameplate that lives under ``digits``."""
        return self._living.get(digits)

    def how_it_ended(self, digits: str, now: float) -> Refusal | None:
        """EXPIRED, USED, BURNED or WITHDRAWN if ``digits`` ended not long ago."""
        self._forget(now)
        return self._ended.get(digits, (now, None))[1]

    def next_end(self) -> float | None:
        """When the next life runs out."""
        while self._ends and not self._is_current(*self._ends[0]):
            heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def due(self, now: float) -> Iterator[Nameplate]:
        """Those whose life has run out; the caller ends each of them."""
        while (end := self.next_end()) is not None and end <= now:
            yield self._living[self._ends[0][1]]

    def pick(self, rng: Rng, now: float) -> str | None:
        """Random digits that are free; None if none were found."""
        self._forget(now)
        for count in range(MIN_DIGITS, MAX_DIGITS + 1):
            first = 10 ** (count - 1)
            for _ in range(TRIES):
                digits = str(first + int.from_bytes(rng(8), "big") % (9 * first))
                if digits not in self._living and digits not in self._ended:
                    return digits
        return None

    def give(self, nameplate: Nameplate) -> None:
        """Let a new nameplate live."""
        self._living[nameplate.digits] = nameplate
        heappush(self._ends, (nameplate.ends, nameplate.digits))
        if len(self._ends) > 2 * len(self._living) + SLACK:
            self._ends = [(one.ends, one.digits) for one in self._living.values()]
            heapify(self._ends)

    def end(self, nameplate: Nameplate, how: Refusal, now: float) -> None:
        """Take a nameplate out of the living and remember how it ended."""
        del self._living[nameplate.digits]
        self._ended[nameplate.digits] = (now + self._limits.ended_memory, how)
        while len(self._ended) > self._limits.ended_nameplates:
            del self._ended[next(iter(self._ended))]

    def counts(self) -> tuple[int, int]:
        """How many live, and how many ends are remembered."""
        return len(self._living), len(self._ended)

    def _is_current(self, ends: float, digits: str) -> bool:
        nameplate = self._living.get(digits)
        return nameplate is not None and nameplate.ends == ends

    def _forget(self, now: float) -> None:
        """The oldest end stands first, since all are remembered equally long."""
        while self._ended:
            digits, (until, _) = next(iter(self._ended.items()))
            if until > now:
                return
            del self._ended[digits]
