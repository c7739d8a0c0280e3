"""The rate of one viewer's path against what that viewer may say of it."""

from __future__ import annotations

from video.rate import MOST_MEASURED, RATE_WINDOW, RateControl


def test_times_that_never_pass_keep_nothing_for_ever() -> None:
    rate, now = RateControl(0.0), 0.0
    for number in range(3 * MOST_MEASURED):
        now += 0.001
        rate.sent((1, number, 0), 1200, now)
        at = 1000.0 if not number else 1000.0 + RATE_WINDOW / 2
        rate.receive([((1, number, 0), at)], now)
    assert len(rate._arrived) <= MOST_MEASURED
    assert 0 < rate.target < 1e9
