"""Records: classes of values that nobody changes.

Two hundred of them are made when an engine starts, and thousands of their values each
second in a large room. A frozen dataclass writes code that watches every assignment:
half of the time that a class takes, and two thirds of that of a value. A record is
watched by the type checker alone, which sees all of our code (docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T], /) -> type[T]: ...


@overload
def record(*, slots: bool = False) -> Callable[[type[T]], type[T]]: ...


def record(
    cls: type[T] | None = None, /, *, slots: bool = False
) -> type[T] | Callable[[type[T]], type[T]]:
    """A dataclass with ``==`` and a hash, whose fields are set once."""
    made = dataclass(unsafe_hash=True, slots=slots)
    return made if cls is None else made(cls)
