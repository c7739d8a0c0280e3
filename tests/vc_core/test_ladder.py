"""The ladder: the rung in use, and why."""

from __future__ import annotations

import itertools

import pytest

from vc_core.ladder import (
    MOVES,
    Asked,
    Dropped,
    Ladder,
    Replaced,
    RoadAnswered,
    RoadFailed,
    RoadSilent,
    State,
    Told,
)


def after(*facts: Told) -> tuple[str, str]:
    ladder = Ladder()
    for fact in facts:
        ladder.tell(fact)
    return ladder.rung, ladder.reason


CASES = [
    ((), ("none", "not-tried")),
    ((Asked(),), ("none", "trying")),
    ((Asked(), RoadAnswered()), ("direct", "answered")),
    ((Asked(), RoadAnswered(), RoadSilent()), ("none", "silent")),
    ((Asked(), RoadAnswered(), RoadSilent(), RoadAnswered()), ("direct", "answered")),
    ((Asked(), RoadFailed()), ("none", "direct-failed")),
    ((Asked(), RoadFailed(), Asked()), ("none", "trying")),
    ((Asked(), RoadAnswered(), Replaced()), ("none", "silent")),
    ((Asked(), RoadAnswered(), Dropped()), ("none", "not-tried")),
]


@pytest.mark.parametrize(("facts", "expected"), CASES)
def test_the_rung_and_its_reason_follow_from_the_facts(
    facts: tuple[Told, ...], expected: tuple[str, str]
) -> None:
    assert after(*facts) == expected


def test_a_change_is_told_once() -> None:
    ladder = Ladder()
    ladder.tell(Asked())
    assert ladder.tell(RoadAnswered())
    assert not ladder.tell(RoadAnswered())


def test_every_fact_may_come_in_every_state_in_which_a_road_is_open() -> None:
    facts = (Asked, RoadSilent, RoadFailed, RoadAnswered, Replaced, Dropped)
    for state, fact in itertools.product((State.CLIMBING, State.CARRIED, State.STRANDED), facts):
        assert fact in MOVES[state]
