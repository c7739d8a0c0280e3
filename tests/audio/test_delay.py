"""The histogram of lateness against the one of the textbook."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.delay import (
    BINS,
    EAGER,
    FIRST_LATENESS,
    FIRST_WEIGHT,
    FORGET,
    HEAVY,
    IN_TIME,
    Lateness,
)


class Textbook:
    """Every share lighter at each packet, the quantile from the sum of all."""

    def __init__(self) -> None:
        self.share: NDArray[np.float64] = np.zeros(BINS)
        self.share[FIRST_LATENESS] = 1.0
        self.memory = float(FIRST_WEIGHT)

    def learn(self, late: int) -> None:
        self.memory += 1 / EAGER
        forget = min(FORGET, 1.0 - 1.0 / self.memory)
        self.share *= forget
        self.share[late] += 1.0 - forget

    def move(self, shift: int) -> None:
        bins = np.clip(np.arange(BINS) - shift, 0, BINS - 1)
        self.share = np.bincount(bins, self.share, BINS).astype(np.float64)

    def reaches(self, reached: int) -> bool:
        """Whether ``reached`` is the quantile, give or take a rounding."""
        sums = np.cumsum(self.share)
        below = sums[reached - 1] if reached else 0.0
        return bool(sums[reached] >= IN_TIME - 1e-9 and below <= IN_TIME + 1e-9)


STEPS = st.one_of(
    st.tuples(st.just("learn"), st.integers(0, BINS - 1)),
    st.tuples(st.just("learn"), st.integers(0, 20)),
    st.tuples(st.just("move"), st.integers(-2 * BINS, 2 * BINS)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=300))
def test_walks_to_where_the_sum_of_all_bins_would_look(steps: list[tuple[str, int]]) -> None:
    walking, textbook = Lateness(), Textbook()
    for verb, value in steps:
        getattr(walking, verb)(value)
        getattr(textbook, verb)(value)
        assert textbook.reaches(walking.reached)


def test_goes_on_for_hours_without_growing_heavy() -> None:
    walking, textbook = Lateness(), Textbook()
    rng = np.random.default_rng(1)
    for late in np.minimum(BINS - 1, rng.exponential(6.0, 30_000)).astype(int).tolist():
        walking.learn(late)
        textbook.learn(late)
    assert FORGET**-30_000 > HEAVY  # it was made lighter on the way
    assert textbook.reaches(walking.reached)
    assert walking.reached == pytest.approx(27, abs=6)  # the quantile of that distribution
