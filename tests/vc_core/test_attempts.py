"""Attempts at a direct pair: when the next one begins."""

from __future__ import annotations

from vc_core.attempts import COURTESY, FIRST_PAUSE, LONGEST_PAUSE, Attempts, State

NEVER = float("inf")


def test_the_first_attempt_is_due_at_once() -> None:
    attempts = Attempts(5.0)
    assert attempts.next_due(alive=False) == 5.0
    assert attempts.begin() == 1
    assert attempts.next_due(alive=True) == NEVER


def test_after_a_failure_the_next_one_waits_longer_and_longer() -> None:
    attempts, now, pauses = Attempts(0.0), 0.0, []
    for _ in range(8):
        attempts.failed(attempts.begin(), now, leading=True)
        pauses.append(attempts.due - now)
        now = attempts.due
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_the_side_that_does_not_lead_lets_the_other_go_first() -> None:
    attempts = Attempts(0.0)
    attempts.failed(attempts.begin(), 0.0, leading=False)
    assert attempts.due == FIRST_PAUSE * COURTESY


def test_success_makes_the_next_pause_short_again() -> None:
    attempts = Attempts(0.0)
    for _ in range(4):
        attempts.failed(attempts.begin(), 0.0, leading=True)
    attempts.stood(attempts.begin())
    attempts.lost(100.0, leading=True)
    assert attempts.due == 100.0 + FIRST_PAUSE


def test_new_addresses_are_tried_at_once_beside_what_stands() -> None:
    attempts = Attempts(0.0)
    attempts.stood(attempts.begin())
    attempts.hurry(7.0)
    assert attempts.next_due(alive=True) == 7.0
    assert attempts.next_due(alive=False) == NEVER
    assert attempts.begin() == 2
    assert attempts.state is State.TRYING


def test_what_an_older_attempt_does_changes_nothing() -> None:
    attempts = Attempts(0.0)
    attempts.begin()
    attempts.begin(5)
    attempts.stood(1)
    attempts.failed(1, 0.0, leading=True)
    assert (attempts.state, attempts.number) == (State.TRYING, 5)
