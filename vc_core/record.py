"""Records: classes of values that nobody changes.

Two hundred of them are made when an engine starts, and thousands of their values each
second in a large room. A frozen dataclass compiles six methods for each class, two of
which watch every assignment. A record compiles its ``__init__``; the others are the
same functions for all, and the type checker alone, which sees all of our code, watches
(docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

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

    def make(plain: type[T]) -> type[T]:
        own = {"__eq__", "__hash__", "__repr__"} & vars(plain).keys()
        made: Any = dataclass(eq=False, repr=False, slots=slots)(plain)
        of: list[Field[Any]] = list(fields(made))
        made._compared = staticmethod(_getter([one.name for one in of if one.compare]))
        for method in (__eq__, __hash__, __repr__):
            if method.__name__ not in own:
                setattr(made, method.__name__, method)
        return made  # type: ignore[no-any-return]

    return make if cls is None else make(cls)


def _getter(names: list[str]) -> Callable[[object], object]:
    return attrgetter(*names) if names else lambda _: ()


def __eq__(self: Any, other: Any) -> bool:
    if type(other) is not type(self):
        return NotImplemented
    return bool(self._compared(self) == self._compared(other))


def __hash__(self: Any) -> int:
    return hash(self._compared(self))


def __repr__(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"
