"""How well pictures come: how many a second, and how old they are."""

from __future__ import annotations

from typing import Any

# Implementation
PERIOD = 1.0  # s between two reports
MOST_AGES = 1000  # in one period; a stream has 60 a second


class Tally:
    """Counts of one period."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._decoded: list[float] = []
        self._shown: list[float] = []

    def decoded(self, age: float) -> None:
        """A picture came out of the decoder, ``age`` seconds after it was taken."""
        if len(self._decoded) < MOST_AGES:
            self._decoded.append(age)

    def shown(self, age: float) -> None:
        """A picture was given to the screen, or to whatever stands for it."""
        if len(self._shown) < MOST_AGES:
            self._shown.append(age)

    @property
    def due(self) -> float:
        """When the next report is due."""
        return self._began + PERIOD

    def report(self, now: float) -> dict[str, Any]:
        """The event ``shown`` of the period that ends now; the next one begins."""
        lasted = max(1e-3, now - self._began)
        event = {
            "event": "shown",
            "fps": round(len(self._shown) / lasted, 1),
            "decoded": round(len(self._decoded) / lasted, 1),
            "latency_ms": {
                "decoded": _percentiles(self._decoded),
                "shown": _percentiles(self._shown),
            },
        }
        self._began, self._decoded, self._shown = now, [], []
        return event


def _percentiles(ages: list[float]) -> dict[str, float] | None:
    """p50 and p95 in ms; None when there was nothing."""
    if not ages:
        return None
    ages = sorted(ages)
    return {f"p{p}": round(1000 * ages[(len(ages) - 1) * p // 100], 1) for p in (50, 95)}
