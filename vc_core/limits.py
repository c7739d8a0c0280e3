"""Limits of a server, as whoever runs it changes them.

NAME=NUMBER, or NAME=PER_SECOND/BURST for a rate; "-" in a name counts as "_"
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from vc_core.bucket import Rate

# Implementation
HIGHEST = 1e12  # of any number


def read_limits(defaults: Any, typed: Iterable[str]) -> dict[str, Any]:
    """New values for fields of a dataclass; ``ValueError`` says what is wrong with which."""
    known = [one.name for one in dataclasses.fields(defaults)]
    changes: dict[str, Any] = {}
    for one in typed:
        name, _, text = one.partition("=")
        name = name.replace("-", "_")
        if name not in known:
            raise ValueError(f"there is no limit {name!r}; there are {', '.join(known)}")
        try:
            changes[name] = _read(getattr(defaults, name), text)
        except ValueError:
            raise ValueError(f"{text!r} is no value for {name}") from None
    return changes


def _read(default: Rate | float, text: str) -> Rate | float:
    if isinstance(default, Rate):
        per_second, burst = (_read_number(part, float) for part in text.split("/"))
        return Rate(per_second, burst)
    return _read_number(text, type(default))


def _read_number(text: str, kind: type[float]) -> float:
    number = kind(text)
    if not 0 < number < HIGHEST:
        raise ValueError("out of range")
    return number
