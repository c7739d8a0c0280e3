"""A part of the grid, and the shortest stories; ``make lab`` runs all of it."""

from __future__ import annotations

import pytest

from tests.lab import grid, stories
from tests.lab.meeting import scene

pytestmark = pytest.mark.usefixtures("lab")

SLACK = 3.0  # a machine that runs all tests at once is slower than the promise is


def test_everybody_talks_on_the_best_rung_that_the_networks_allow() -> None:
    found = grid.short()
    print("\n".join(found.lines()))
    assert found.failures == []


def test_a_cut_of_the_direct_road_is_bridged_and_nothing_is_lost() -> None:
    with scene() as made:
        found = stories.the_direct_road_is_cut_and_restored(made, cuts=1)
    print("\n".join(found.lines()))
    assert found.shortfalls(SLACK) == []


def test_a_second_relay_takes_over_from_a_dead_one() -> None:
    with scene() as made:
        found = stories.the_relay_in_use_is_killed_with_another_known(made, kills=1)
    print("\n".join(found.lines()))
    assert found.shortfalls(SLACK) == []
