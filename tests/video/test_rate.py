"""The rate of one viewer's path against what that viewer may say of it."""

from __future__ import annotations

import pytest

from tests.video.links import Stage
from vc_core.ids import Member
from video.bunch import MOST, Bunches
from video.rate import MOST_MEASURED, RATE_WINDOW, RateControl
from video.trains import PIECES, Trains


def test_times_that_never_pass_keep_nothing_for_ever() -> None:
    rate, now = RateControl(0.0), 0.0
    for number in range(3 * MOST_MEASURED):
        now += 0.001
        rate.sent((1, number, 0), 1200, now)
        at = 1000.0 if not number else 1000.0 + RATE_WINDOW / 2
        rate.receive([((1, number, 0), at)], now)
    assert len(rate._arrived) <= MOST_MEASURED
    assert 0 < rate.target < 1e9


@pytest.mark.parametrize("still", [0.07, 0.2])
@pytest.mark.parametrize("most", [60e3, 1e6, 8e6])
@pytest.mark.parametrize("who", ["viewer", "sharer"])
def test_a_process_that_stood_still_is_no_queue(who: str, most: float, still: float) -> None:
    stage = Stage(1, most=most)
    seat = stage.join(1, rtt=0.03, jitter=0.001)
    stage.run(4)
    rate = stage.sharer.rate_of(Member(1))
    assert rate is not None
    before = rate.target
    if who == "viewer":
        seat.still_until = stage.clock.now + still
    else:
        stage.still_until = stage.clock.now + still
    stage.run(still + 0.5)
    assert rate.target >= before
    assert rate.queue < 0.005


def test_a_queue_that_comes_at_once_is_seen_soon() -> None:
    stage = Stage(1, most=8e6)
    seat = stage.join(1, rtt=0.03, jitter=0.001)
    stage.run(6)
    rate = stage.sharer.rate_of(Member(1))
    assert rate is not None
    before = rate.target
    for _ in range(50):  # somebody else's bytes, and more of them for as long as we look
        seat.down.send(1200, lambda: None)
    seat.down.bandwidth = 4e6
    stage.run(0.3)
    assert rate.target < before / 2


def test_a_bunch_is_as_late_as_its_last_packet_in_whatever_pieces_it_is_told() -> None:
    bunches, told = Bunches(), []
    bunches.add(1.0, 0.001)
    for number, late in enumerate((0.080, 0.075, 0.076, 0.040, 0.003, 0.001)):
        bunches.add(1.1 + number / 10_000, late)
        told += bunches.take()
    assert told[0] == 0.001
    assert max(told) <= 0.003 and len(told) == 7


def test_a_queue_is_no_bunch() -> None:
    bunches = Bunches()
    lates = [0.005, 0.010, 0.015, 0.020, 0.019, 0.021]
    for number, late in enumerate(lates):
        bunches.add(number * 0.005, late)
    assert bunches.take() == lates
    lates = [0.022, 0.020, 0.021, 0.020]
    for number, late in enumerate(lates):
        bunches.add(1.0 + number * 0.001, late)
    assert bunches.take() == [0.020, 0.020, 0.020, 0.020]


def test_a_leap_that_stays_is_a_queue() -> None:
    bunches = Bunches()
    bunches.add(0.9, 0.0)
    assert bunches.take() == [0.0]
    told = []
    for number in range(80):
        bunches.add(1.0 + number * 0.001, 0.060)
        told += bunches.take()
    assert told and set(told) == {0.060}


def test_a_bunch_that_never_ends_is_told_in_parts() -> None:
    bunches, told = Bunches(), 0
    bunches.add(0.9, 0.0)
    for _ in range(3 * MOST):
        bunches.add(1.0, 1e6)
        told += len(bunches.take())
        assert len(bunches._late) < MOST
    assert told > MOST


def test_a_train_shows_the_width_of_a_path_that_is_narrower_than_its_pace() -> None:
    trains = Trains()
    for number in range(2 * PIECES):
        trains.add(number * 0.004, 1.0 + number * 0.005, 1250, 2e6)
    assert trains.width(0.005) == pytest.approx(2e6)
    trains.add(1.0, 2.0, 1250, 2e6)
    assert trains.width(0.005) == 0, "a new one"


def test_a_train_that_is_as_late_at_its_end_shows_nothing() -> None:
    trains = Trains()
    for number in range(2 * PIECES):
        trains.add(number * 0.004, 1.0 + number * 0.004, 1250, 2e6)
    assert trains.width(0.005) == 0
