"""One figure beside its goal and beside a peer's."""

from __future__ import annotations

from vc_core.record import record

HEAD = ("what", "vchat", "goal", "", "aiortc")


@record
class Row:
    """A figure; less is better unless ``more`` says otherwise."""

    what: str
    value: float
    goal: float | None
    unit: str
    more: bool = False
    peer: str = ""

    @property
    def verdict(self) -> str:
        """Whether the goal is reached."""
        if self.goal is None:
            return ""
        reached = self.value >= self.goal if self.more else self.value <= self.goal
        return "ok" if reached else "MISSED"

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        sign = "≥" if self.more else "≤"
        goal = "" if self.goal is None else f"{sign} {self.goal:g} {self.unit}"
        return (self.what, f"{number(self.value)} {self.unit}", goal, self.verdict, self.peer)


def number(value: float) -> str:
    """Three digits or so."""
    return (
        f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    )


def lines(rows: list[Row]) -> list[str]:
    """The table."""
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    drawn = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    return [drawn[0], "  ".join("─" * width for width in widths), *drawn[1:]]
