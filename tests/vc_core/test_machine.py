"""Tables: listed moves happen, others are loud, diagrams say the same."""

from __future__ import annotations

from enum import Enum

import pytest

from vc_core.errors import LocalProtocolError
from vc_core.machine import Table, mermaid, states, step
from vc_core.record import record


class Door(Enum):
    """A door."""

    CLOSED = "nobody comes in"
    OPEN = "come in: it is warm"
    GONE = "there is no door any more"


@record
class Pushed:
    """Somebody pushed."""


@record
class Burned:
    """The house burned."""


MOVES: Table[Door] = {
    Door.CLOSED: {Pushed: Door.OPEN, Burned: Door.GONE},
    Door.OPEN: {Pushed: Door.CLOSED, Burned: Door.GONE},
}


def test_a_listed_event_moves() -> None:
    assert step(MOVES, Door.CLOSED, Pushed()) is Door.OPEN
    assert step(MOVES, Door.OPEN, Burned()) is Door.GONE


def test_an_unlisted_event_names_itself_and_the_state() -> None:
    with pytest.raises(LocalProtocolError, match=r"Pushed cannot happen in Door\.GONE \(there is"):
        step(MOVES, Door.GONE, Pushed())
    with pytest.raises(LocalProtocolError, match="str cannot happen"):
        step(MOVES, Door.OPEN, "push")


def test_states_that_are_only_reached_are_states_too() -> None:
    assert states(MOVES) == [Door.CLOSED, Door.OPEN, Door.GONE]


def test_the_diagram_shows_sentences_moves_beginning_and_end() -> None:
    assert mermaid(MOVES).splitlines() == [
        "stateDiagram-v2",
        "    CLOSED : CLOSED<br/>nobody comes in",
        "    OPEN : OPEN<br/>come in#58; it is warm",
        "    GONE : GONE<br/>there is no door any more",
        "    [*] --> CLOSED",
        "    CLOSED --> OPEN : Pushed",
        "    CLOSED --> GONE : Burned",
        "    OPEN --> CLOSED : Pushed",
        "    OPEN --> GONE : Burned",
        "    GONE --> [*]",
    ]
