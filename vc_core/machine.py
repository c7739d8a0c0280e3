"""Machines as data: a table says which event moves which state where.

A state is a member of an Enum whose value is a sentence; an event is a frozen
dataclass. A machine keeps its state in one attribute and moves it with
``step``; what is not in its table cannot happen. The diagrams of
``docs/machines`` are written from the same tables by ``mermaid``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from vc_core.errors import LocalProtocolError

S = TypeVar("S", bound=Enum)

Table = Mapping[S, Mapping[type[Any], S]]
"""State → kind of event → next state; the first state is where it begins."""


def step(table: Table[S], state: S, event: object) -> S:
    """The next state; ``LocalProtocolError`` names both when there is no move."""
    following = table.get(state, {}).get(type(event))
    if following is None:
        raise LocalProtocolError(
            f"{type(event).__name__} cannot happen in {type(state).__name__}.{state.name}"
            f" ({state.value})"
        )
    return following


def states(table: Table[S]) -> list[S]:
    """All states of a table, each once, in the order in which they appear."""
    seen: dict[S, None] = {}
    for state, moves in table.items():
        seen.setdefault(state)
        for following in moves.values():
            seen.setdefault(following)
    return [*(s for s in table), *(s for s in seen if s not in table)]


def mermaid(table: Table[S]) -> str:
    """The table as a Mermaid state diagram: names, sentences, moves, ends."""
    every = states(table)
    lines = ["stateDiagram-v2"]
    lines += [f"    {state.name} : {state.name}<br/>{_plain(state.value)}" for state in every]
    lines += [f"    [*] --> {every[0].name}"] if every else []
    for state in every:
        lines += [
            f"    {state.name} --> {following.name} : {event.__name__}"
            for event, following in table.get(state, {}).items()
        ]
        lines += [] if table.get(state) else [f"    {state.name} --> [*]"]
    return "\n".join(lines) + "\n"


def _plain(sentence: object) -> str:
    """A sentence with the signs that mean something to Mermaid in its own notation."""
    return str(sentence).translate({ord(":"): "#58;", ord(";"): "#59;", ord("\n"): " "})
