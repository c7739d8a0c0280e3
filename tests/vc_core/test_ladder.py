"""The ladder: which way is used, and why."""

from __future__ import annotations

import itertools

import pytest

from vc_core.ids import Rung, Way
from vc_core.ladder import FIRST_PROOF, FORGIVEN, LONGEST_PROOF, Ladder, State

DIRECT, NEWER = Way(Rung.DIRECT, 1), Way(Rung.DIRECT, 2)
HOSTED, RELAYED, OTHER = Way(Rung.HOSTED, 7), Way(Rung.RELAYED, 8), Way(Rung.RELAYED, 9)


def ladder(*alive: Way) -> Ladder:
    made = Ladder()
    for way in alive:
        made.opened(way, 0.0)
        made.answered(way, 0.0)
    return made


def why(made: Ladder) -> str:
    return made.reason_of(Rung.DIRECT)


def used(made: Ladder) -> tuple[Way | None, str]:
    return made.used, made.rung


def test_nothing_is_used_before_anything_is_open() -> None:
    made = Ladder()
    assert (*used(made), why(made)) == (None, "none", "not-tried")


def test_a_checked_pair_is_sent_on_before_it_answers_and_a_forwarder_is_not() -> None:
    made = Ladder()
    made.opened(RELAYED, 0.0)
    assert used(made) == (None, "none")
    made.opened(DIRECT, 0.0)
    assert (*used(made), why(made)) == (DIRECT, "none", "trying")
    made.answered(RELAYED, 0.1)
    assert used(made) == (RELAYED, "relayed")


@pytest.mark.parametrize("ways", list(itertools.permutations((DIRECT, HOSTED, RELAYED))))
def test_the_best_rung_that_lives_is_used_whatever_the_order(ways: tuple[Way, ...]) -> None:
    assert ladder(*ways).used == DIRECT


@pytest.mark.parametrize("ways", list(itertools.permutations((DIRECT, HOSTED, RELAYED))))
def test_in_a_crowd_the_host_carries_only_what_no_relay_does(ways: tuple[Way, ...]) -> None:
    made = ladder(*ways)
    made.crowd(True)
    found = []
    for _ in range(3):
        assert made.used is not None
        found.append(made.used)
        made.fell(made.used, 1.0)
    assert found == [DIRECT, RELAYED, HOSTED]
    made = ladder(HOSTED, RELAYED)
    assert [made.crowd(on) for on in (True, False)] == [True, True]
    assert made.used == HOSTED


def test_what_falls_silent_is_left_at_once_for_what_lives() -> None:
    made = ladder(DIRECT, HOSTED, RELAYED)
    assert made.fell(DIRECT, 1.0)
    assert (made.used, why(made)) == (HOSTED, "silent")
    assert made.fell(HOSTED, 1.0)
    assert (made.used, made.rung) == (RELAYED, "relayed")


def test_the_last_way_is_kept_while_nothing_lives() -> None:
    made = ladder(DIRECT)
    made.fell(DIRECT, 1.0)
    assert (made.used, made.rung, why(made)) == (DIRECT, "none", "silent")
    made.answered(DIRECT, 2.0)
    assert (made.used, made.rung) == (DIRECT, "direct")


def test_a_way_that_comes_back_proves_itself_while_another_lives() -> None:
    made = ladder(DIRECT, RELAYED)
    made.fell(DIRECT, 1.0)
    made.answered(DIRECT, 2.0)
    assert (made.used, why(made)) == (RELAYED, "proving")
    made.answered(DIRECT, 2.0 + FIRST_PROOF)
    assert made.used == DIRECT


def test_the_proof_is_longer_after_each_fall_and_short_again_after_a_good_time() -> None:
    made = ladder(DIRECT, RELAYED)
    now = 1.0
    for fall in range(8):
        made.fell(DIRECT, now)
        made.answered(DIRECT, now)
        proof = min(FIRST_PROOF * 2**fall, LONGEST_PROOF)
        made.answered(DIRECT, now + proof - 0.01)
        assert made.used == RELAYED
        made.answered(DIRECT, now + proof)
        assert made.used == DIRECT
        now += proof + 1
    now += FORGIVEN
    made.fell(DIRECT, now)
    made.answered(DIRECT, now)
    made.answered(DIRECT, now + FIRST_PROOF)
    assert made.used == DIRECT


def test_the_newer_of_two_pairs_and_the_first_of_two_forwarders_are_preferred() -> None:
    assert ladder(DIRECT, NEWER).used == NEWER
    made = ladder(RELAYED, OTHER)
    made.prefer((OTHER.number, RELAYED.number))
    assert made.used == OTHER


def test_a_forbidden_rung_is_never_used_and_says_so() -> None:
    made = ladder(DIRECT, RELAYED)
    assert made.allow(frozenset({Rung.RELAYED}))
    assert (made.used, why(made)) == (RELAYED, "forbidden")
    made.closed(RELAYED, "relay-silent")
    assert (made.used, made.rung) == (None, "none")
    assert made.allow(frozenset(Rung))
    assert made.used == DIRECT


def test_every_rung_that_is_not_used_has_a_reason() -> None:
    made = ladder(RELAYED)
    made.closed(DIRECT, "both-change-ports")
    assert made.reason_of(Rung.DIRECT) == "both-change-ports"
    assert made.reason_of(Rung.HOSTED) == "none-known"
    made.explained(Rung.HOSTED, "host-unreachable")
    assert made.reason_of(Rung.HOSTED) == "host-unreachable"


def test_a_forwarder_that_holds_our_slot_awaits_the_other_side() -> None:
    made = Ladder()
    assert made.explained(Rung.RELAYED, "trying")
    assert made.opened(RELAYED, 0.0)
    assert made.reason_of(Rung.RELAYED) == "awaited"
    assert made.answered(RELAYED, 0.1)
    made.explained(Rung.RELAYED, "relay-unreachable")  # another one
    assert made.reason_of(Rung.RELAYED) == "answered"


def test_a_change_of_any_rung_is_told() -> None:
    made = ladder(DIRECT, RELAYED)
    assert made.fell(RELAYED, 1.0)
    assert not made.fell(RELAYED, 2.0)
    assert made.closed(RELAYED, "relay-silent")


def test_a_change_is_told_once() -> None:
    made = Ladder()
    made.opened(DIRECT, 0.0)
    assert made.answered(DIRECT, 0.0)
    assert not made.answered(DIRECT, 0.1)
    assert made.replaced()
    assert not made.replaced()


def test_what_is_said_of_a_way_that_is_not_open_changes_nothing() -> None:
    made = ladder(DIRECT)
    for what in (made.answered, made.fell):
        assert not what(RELAYED, 1.0)
    assert made.state_of(RELAYED) is None
    assert made.state_of(DIRECT) is State.ALIVE


def test_a_way_that_the_other_side_refuses_is_left_at_once_and_told() -> None:
    made = ladder(DIRECT, HOSTED)
    assert made.refused(DIRECT, 1.0)
    assert (*used(made), why(made)) == (HOSTED, "hosted", "refused")
    made.fell(DIRECT, 3.0)
    assert why(made) == "refused"
    assert not made.refused(OTHER, 3.0)


def test_a_way_that_is_refused_no_more_is_used_without_a_proof() -> None:
    made = ladder(DIRECT, HOSTED)
    made.refused(DIRECT, 1.0)
    assert made.answered(DIRECT, 1.1)
    assert used(made) == (DIRECT, "direct")
