"""What a story found: figures, each with the bound that it must keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from vc_core.record import record

TINY = 1e-6


@record
class Figure:
    """Some measurements of one thing."""

    what: str
    values: tuple[float, ...]
    unit: str
    bound: float | None
    share: float
    """The percentile that the bound holds for."""
    beside: tuple[float, ...] = ()
    """The same when nothing happens: what a busy machine does by itself."""

    @property
    def allowed(self) -> float | None:
        """The bound, or what a busy machine does by itself if that is more."""
        if self.bound is None or not self.beside:
            return self.bound
        return max(self.bound, float(np.percentile(self.beside, self.share)))

    def kept(self, slack: float = 1.0) -> bool:
        """Whether it is within its bound, or ``slack`` times that."""
        if self.allowed is None:
            return True
        return float(np.percentile(self.values, self.share)) <= slack * self.allowed + TINY

    def __str__(self) -> str:
        many = len(self.values) > 1
        p50, top = np.percentile(self.values, [50, self.share])
        words = f"{self.what}: " + (
            f"p50 {p50:.2f}, p{self.share:.0f} {top:.2f} {self.unit} (n={len(self.values)})"
            if many
            else f"{self.values[0]:.2f} {self.unit}"
        )
        if self.bound is not None:
            words += f" [{'kept' if self.kept() else 'NOT KEPT'}: at most {self.bound:g}"
            if self.beside:
                usual = np.percentile(self.beside, self.share)
                words += f", {usual:.2f} when nothing happens"
            words += "]"
        return words


@dataclass
class Findings:
    """Of one story."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(  # a figure's parts
        self,
        what: str,
        *values: float,
        bound: float | None = None,
        unit: str = "s",
        share: float = 100,
        beside: Sequence[float] = (),
    ) -> None:
        """One figure; ``bound`` is for the percentile ``share`` of the values."""
        self.figures.append(Figure(what, values, unit, bound, share, tuple(beside)))

    def shortfalls(self, slack: float = 1.0) -> list[str]:
        """What is not as promised, or ``slack`` times as bad as promised."""
        return [str(one) for one in self.figures if not one.kept(slack)]

    def lines(self) -> Iterator[str]:
        """For people."""
        yield from map(str, self.figures)
        yield from self.notes
