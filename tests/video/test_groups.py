"""Who gets which encoding, and when that changes: rates in, sets of viewers out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc_core.ids import Member
from video.demand import MEMORY, Demand
from video.exploring import PAUSE, Exploring
from video.groups import FIRST_STAY, LASTED, NEW, Groups, Path, size_for, split
from video.rate import RateControl

FREE = (math.inf, math.inf)
RATES = st.dictionaries(st.integers(1, 9).map(Member), st.floats(0, 1e8), max_size=9)


def rates(*values: float) -> dict[Member, float]:
    """In Mbit/s, of viewers 1, 2, 3, …"""
    return {Member(number): 1e6 * value for number, value in enumerate(values, 1)}


def run(
    groups: Groups, values: Mapping[Member, float], since: float, until: float
) -> frozenset[Member]:
    """The same for a while; who may rise at its end."""
    now = since
    while now <= until:
        decide(groups, values, now)
        now += 0.2
    return groups.rising


def decide(
    groups: Groups, values: Mapping[Member, float], now: float, needs: tuple[float, float] = FREE
) -> frozenset[Member]:
    """Paths that have proven all that may be sent."""
    return groups.decide({one: Path(rate, rate) for one, rate in values.items()}, needs, now)


def test_who_would_slow_the_others_by_much_is_apart() -> None:
    assert split(rates(9, 8, 0.5, 7), frozenset()) == {3}
    assert split(rates(2, 3), frozenset()) == frozenset()
    assert split(rates(2, 3, 3), frozenset()) == frozenset()
    assert split(rates(2, 3.2, 3.2, 3.2), frozenset({Member(1)})) == {1}, "once apart, sooner"
    assert split(rates(5), frozenset()) == split({}, frozenset()) == frozenset()


def test_of_all_splits_that_is_chosen_which_serves_all_best() -> None:
    assert split(rates(4.4, 4.4, 4.4, 3.3, 2.4), frozenset()) == {4, 5}, "no wide gap, yet slow"
    assert split(rates(10, 2, 2, 2, 2, 0.5), frozenset()) == {6}, "four are not slowed for one"
    assert split(rates(1.3, 1.3, 1.3, 0.6, 0.2), frozenset()) == {4, 5}
    assert split(rates(10, 2, 2, 2, 2), frozenset()) == frozenset(), "nor made small for one"


@given(RATES, st.frozensets(st.integers(1, 9).map(Member)))
def test_never_is_everybody_apart_and_nobody_slower_than_who_is(
    values: dict[Member, float], before: frozenset[Member]
) -> None:
    apart = split(values, before)
    rest = values.keys() - apart
    assert not values or rest
    assert all(values[one] <= values[other] for one in apart for other in rest)


def test_when_all_look_slow_at_once_nobody_falls() -> None:
    groups = Groups()
    run(groups, rates(3, 3, 3, 0.5, 0.4), 0, 5)
    assert groups.slow == {4, 5}
    assert decide(groups, rates(0.31, 0.32, 0.31, 0.5, 0.4), 5.2) == frozenset()
    assert groups.slow == {4, 5}


def test_a_fall_is_at_once_and_rising_takes_a_while_and_a_key_frame() -> None:
    groups = Groups()
    run(groups, rates(8, 8, 8), 0, 5)
    assert decide(groups, rates(8, 8, 0.5), 5.0) == {3}
    assert groups.slow == {3}
    assert run(groups, rates(8, 8, 0.5), 5.2, 8) == frozenset()
    assert run(groups, rates(8, 8, 8), 8, 8 + FIRST_STAY - 0.4) == frozenset()
    assert run(groups, rates(8, 8, 8), 8 + FIRST_STAY, 8 + FIRST_STAY + 0.4) == {3}
    assert groups.slow == {3}, "until the key frame is made"
    assert groups.rise(12.0) == {3}
    assert groups.slow == frozenset()


def test_a_dip_of_the_others_lifts_nobody() -> None:
    groups = Groups()
    run(groups, rates(4, 4, 1.5), 0, 10)
    assert groups.slow == {3}
    assert run(groups, rates(2, 2, 1.5), 10, 12) == frozenset()
    assert run(groups, rates(4, 4, 1.5), 12, 20) == frozenset()


def test_who_falls_again_and_again_rises_later_each_time() -> None:
    groups, now, stays = Groups(), 0.0, []
    decide(groups, rates(8, 8, 8), now)
    for _ in range(4):
        now += 1.0
        decide(groups, rates(8, 8, 0.5), now)
        fell = now
        while not groups.rising:
            now += 0.1
            decide(groups, rates(8, 8, 8), now)
        stays.append(now - fell)
        groups.rise(now)
    assert stays == pytest.approx([3, 6, 12, 24], abs=0.3)
    run(groups, rates(8, 8, 8), now, now + LASTED + 1)
    now += LASTED + 1
    decide(groups, rates(8, 8, 0.5), now)
    assert run(groups, rates(8, 8, 8), now, now + FIRST_STAY + 0.5) == {3}, "that one lasted"


def test_a_newcomer_rises_sooner() -> None:
    groups = Groups()
    run(groups, rates(8, 8), 0, 5)
    assert decide(groups, rates(8, 8, 0.3), 5.0) == {3}
    assert run(groups, rates(8, 8, 8), 5.0, 5.0 + NEW + 0.2) == {3}


def test_when_only_slow_ones_are_left_they_rise_at_once() -> None:
    groups = Groups()
    run(groups, rates(8, 0.5), 0, 1)
    assert groups.slow == {2}
    decide(groups, {Member(2): 0.5e6}, 1.2)
    assert groups.rising == {2}


def test_nobody_needs_more_than_an_encoding_takes() -> None:
    groups = Groups()
    decide(groups, rates(20, 1.5), 0.0, (2e6, math.inf))
    assert groups.slow == frozenset()


def test_who_cannot_follow_even_the_second_one_crawls_unless_nothing_is_known_of_it() -> None:
    groups = Groups()
    decide(groups, rates(20, 20, 2, 0.2), 0.0)
    assert groups.slow == {3, 4}
    assert groups.crawling == {4}
    groups = Groups()
    paths = {member: Path(rate, rate, member != 4) for member, rate in rates(20, 2, 2, 0.2).items()}
    groups.decide(paths, FREE, 0.0)
    assert 4 in groups.slow
    assert groups.crawling == frozenset()


@given(st.lists(RATES, min_size=1, max_size=20))
def test_whatever_the_rates_somebody_is_quick_or_about_to_be(
    steps: list[dict[Member, float]],
) -> None:
    groups = Groups()
    for at, values in enumerate(steps):
        decide(groups, values, at * 0.7)
        assert groups.slow <= values.keys()
        assert groups.rising <= groups.slow
        assert groups.crawling <= groups.slow - groups.rising
        assert not values or values.keys() - groups.slow or groups.rising
        if at % 3 == 0:
            groups.rise(at * 0.7)


def test_a_smaller_encoding_keeps_the_shape_and_is_half_at_most() -> None:
    assert size_for(1920, 1080, 60, 500e3) == (640, 360, 15)
    assert size_for(1920, 1200, 30, 1.5e6) == (960, 600, 30)
    assert size_for(1080, 1920, 60, 500e3) == (360, 640, 15)
    assert size_for(1280, 720, 30, 5e6) == (640, 360, 30)
    assert size_for(3840, 2160, 60, 5e6) == (1920, 1080, 30)
    assert size_for(1280, 720, 30, 1e5) == (426, 240, 15)
    assert size_for(400, 200, 30, 1e5) == (400, 200, 15)


def test_a_size_stays_while_the_bitrate_swings() -> None:
    before = size_for(1280, 720, 30, 300e3)
    assert before == (640, 360, 15)
    for bps in (260e3, 200e3, 160e3, 800e3, 900e3):
        assert size_for(1280, 720, 30, bps, before) == before
    assert size_for(1280, 720, 30, 140e3, before) == (426, 240, 15)
    assert size_for(1280, 720, 30, 1e6, before) == (640, 360, 30)
    assert size_for(640, 480, 30, 300e3, before) == (320, 240, 15), "the first one has shrunk"


def made(demand: Demand, bps: float, allowed: float, since: float, until: float) -> None:
    """Thirty frames a second."""
    now = since
    while now < until:
        demand.add(round(bps / 8 / 30), allowed, now)
        now += 1 / 30


def test_what_an_encoding_leaves_of_its_bitrate_nobody_needs() -> None:
    demand = Demand()
    assert demand.need(0.0) == math.inf
    made(demand, 1e6, 5e6, 0, 5)
    assert 1.1e6 < demand.need(5.0) < 1.5e6


def test_an_encoding_that_was_allowed_little_shows_nothing() -> None:
    demand = Demand()
    made(demand, 0.9e6, 1e6, 0, 5)
    assert demand.need(5.0) == math.inf
    made(demand, 1e6, 5e6, 5, 8)
    assert demand.need(8.0) < 1.5e6
    made(demand, 4.5e6, 5e6, 8, 11)
    assert demand.need(11.0) == math.inf


def test_a_page_that_rests_may_move_again() -> None:
    demand = Demand()
    made(demand, 3e6, 8e6, 0, 5)
    made(demand, 1e5, 8e6, 5, 15)
    assert demand.need(15.0) > 3e6
    made(demand, 1e5, 8e6, 15, 15 + MEMORY)
    assert demand.need(15.0 + MEMORY) < 2e5


def explorer(target: float, delivered: float, queue: float = 0.0) -> RateControl:
    """A path as it is known."""
    rate = RateControl(0.0, target)
    rate.delivered, rate.queue = delivered, queue
    return rate


def test_a_path_is_filled_by_a_little_more_than_has_arrived() -> None:
    exploring, member = Exploring(), Member(1)
    assert exploring.level(member, explorer(1e6, 3e5), 0.0) == pytest.approx(4.2e5)
    assert exploring.level(member, explorer(1e6, 9e5), 0.1) == pytest.approx(9e5)
    assert exploring.level(member, explorer(1e6, 9e5, queue=0.02), 0.2) == 0


def test_exploring_rests_after_each_congestion_and_longer_each_time() -> None:
    exploring, member, now, rests = Exploring(), Member(1), 0.0, []
    for _ in range(5):
        assert exploring.level(member, explorer(1e6, 9e5), now) > 0
        assert exploring.level(member, explorer(8e5, 8e5), now) == 0
        began = now
        while not exploring.level(member, explorer(8e5, 8e5), now):
            now += 0.5
        rests.append(now - began)
        now += 0.5
    assert rests == [PAUSE, 2 * PAUSE, 4 * PAUSE, 30, 30]
    exploring.forget(member)
    assert exploring.level(member, explorer(1e6, 9e5), now) > 0
