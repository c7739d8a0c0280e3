"""Fields of events, read so that what is missing or of another type never raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vc_core.clean import clean_text

# Implementation
MOST = 1e9  # in size; no number of ours is greater


def clean(event: Mapping[str, Any], key: str) -> str:
    """A text without anything that a terminal would obey; empty when there is none."""
    return clean_text(str(event.get(key) or ""))


def texts(event: Mapping[str, Any], key: str) -> dict[str, str]:
    """Clean texts by their names; none when there are none."""
    value = event.get(key)
    return {str(name): clean(value, name) for name in value} if isinstance(value, Mapping) else {}


def number(event: Mapping[str, Any], key: str) -> float:
    """A number; 0 when there is none."""
    return optional(event, key) or 0.0


def optional(event: Mapping[str, Any], key: str) -> float | None:
    """A number, or None."""
    value = event.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < MOST else None
