"""The replay window: each counter once, late ones within reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.read import names, own
from vc_core.errors import LocalProtocolError
from vc_core.replay import MAX_AHEAD, WINDOW_SIZE, Window

CASES = own("replay")


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_answers_as_our_own_vectors_say(case: dict[str, Any]) -> None:
    window = Window()
    for ctr, new in case["steps"]:
        assert window.check(ctr) is new
        if new:
            window.advance(ctr)


def test_asking_changes_nothing() -> None:
    window = Window()
    assert window.check(5)
    assert window.check(900)
    assert window.highest == -1


def test_marking_what_was_not_new_is_our_own_fault() -> None:
    window = Window()
    window.advance(3)
    with pytest.raises(LocalProtocolError, match="counter 3"):
        window.advance(3)


@given(st.lists(st.integers(0, 3 * MAX_AHEAD) | st.integers(4000, 6000), max_size=200))
def test_agrees_with_a_window_that_remembers_everything(counters: list[int]) -> None:
    window, seen = Window(), set[int]()
    for ctr in counters:
        highest = max(seen, default=None)
        new = ctr not in seen and (
            highest is None or highest - WINDOW_SIZE < ctr <= highest + MAX_AHEAD
        )
        assert window.check(ctr) is new
        if new:
            window.advance(ctr)
            seen.add(ctr)


def test_the_farthest_jump_costs_no_memory() -> None:
    window = Window(WINDOW_SIZE, ahead=1 << 64)
    window.advance(1)
    window.advance((1 << 64) - 1)
    assert not window.check(1) and not window.check((1 << 64) - 1)
    assert window.check((1 << 64) - 2)


def test_a_jump_as_long_as_the_window_forgets_what_was_below() -> None:
    window = Window(4)
    for ctr in (1, 2, 6):
        window.advance(ctr)
    assert [window.check(ctr) for ctr in (2, 3, 6)] == [False, True, False]
