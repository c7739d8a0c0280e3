"""Sizes, rates, rhythm, marks: the part that touches no world."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video.pattern import Mark, Pattern, draw_mark, read_mark
from video.picture import Size, fit, rate, same, too_much_for, usual_bitrate
from video.rhythm import DOZE_AFTER, REFINE_FOR, REFRESH_EVERY, Budget, Rhythm, Stillness, Thinning

SIDES = st.integers(16, 8000)


@given(SIDES, SIDES, st.integers(0, 4000), st.integers(0, 4000))
def test_what_is_fitted_is_even_and_lies_in_the_box(
    width: int, height: int, most_wide: int, most_high: int
) -> None:
    size = fit(Size(width, height), Size(most_wide, most_high))
    if width < height and 0 < most_high < most_wide:  # which is stood up then
        most_wide, most_high = most_high, most_wide
    assert size.width % 2 == size.height % 2 == 0
    assert 16 <= size.width <= max(16, min(width, most_wide or width))
    assert 16 <= size.height <= max(16, min(height, most_high or height))


@pytest.mark.parametrize(
    ("source", "box", "fitted"),
    [
        ((1920, 1080), (1280, 720), (1280, 720)),
        ((2560, 1600), (1920, 1080), (1728, 1080)),
        ((1366, 768), (0, 0), (1366, 768)),
        ((1367, 767), (0, 0), (1366, 766)),
        ((640, 480), (1920, 1080), (640, 480)),
        ((1080, 1920), (0, 720), (404, 720)),
        ((1080, 1920), (1920, 1080), (1080, 1920)),
        ((1200, 1920), (1280, 720), (720, 1152)),
        ((1920, 1080), (720, 1280), (720, 404)),
        ((2160, 3840), (0, 0), (2160, 3840)),
        ((5120, 2160), (0, 0), (4096, 1728)),
        ((5120, 2880), (0, 0), (4096, 2304)),
        ((4096, 4096), (0, 0), (3072, 3072)),
    ],
)
def test_proportions_are_kept_and_nothing_is_enlarged(
    source: tuple[int, int], box: tuple[int, int], fitted: tuple[int, int]
) -> None:
    assert fit(Size(*source), Size(*box)) == Size(*fitted)


def test_a_rate_is_what_was_asked_for_and_what_there_is() -> None:
    assert rate(60) == 60
    assert rate(60, 30) == 30
    assert rate(15, 30) == 15
    assert rate(0, 25) == 25
    assert rate(0) == 30
    assert rate(float("nan")) == 30
    assert rate(1e9) == 120


def test_more_pixels_want_more_bits_but_twice_the_rate_not_twice_as_many() -> None:
    hd, full = Size(1280, 720), Size(1920, 1080)
    assert usual_bitrate(hd, 30) < usual_bitrate(full, 30) < usual_bitrate(full, 60)
    assert usual_bitrate(full, 60) < 2 * usual_bitrate(full, 30)


def test_software_does_1080p60_on_two_cores_and_not_on_one() -> None:
    assert not too_much_for(2, Size(1920, 1080), 60)
    assert too_much_for(1, Size(1920, 1080), 60)


@given(st.integers(1, 300_000), st.data())
def test_a_single_other_byte_is_seen(length: int, data: st.DataObject) -> None:
    one = np.zeros(length, np.uint8)
    other = one.copy()
    assert same(one, other)
    other[data.draw(st.integers(0, length - 1))] = 1
    assert not same(one, other)


def test_a_still_screen_is_looked_at_less_often_until_it_moves() -> None:
    rhythm, now, looks = Rhythm(60, 0.0), 0.0, []
    while now < 10:
        now = rhythm.due
        looks.append(now)
        rhythm.looked(now, changed=now < 1)
    assert len([at for at in looks if at < 1]) == pytest.approx(60, abs=2)
    assert len([at for at in looks if at > 1 + DOZE_AFTER]) == pytest.approx(83, abs=3)
    now = rhythm.due
    rhythm.looked(now, changed=True)
    assert rhythm.due == pytest.approx(now + 1 / 60)


def test_what_came_late_is_not_made_up_for() -> None:
    rhythm = Rhythm(50, 0.0)
    rhythm.looked(1.0, changed=True)
    assert rhythm.due == 1.0
    rhythm.looked(1.001, changed=True)
    assert rhythm.due == pytest.approx(1.02)


def test_a_still_picture_is_refined_until_it_is_sharp_then_sent_seldom() -> None:
    stillness, quantizer, now = Stillness(30), 40, 100.0
    stillness.sent(now, quantizer, changed=True)
    times = []
    while now < 120:
        now = stillness.due
        quantizer = max(16, quantizer - 2)
        stillness.sent(now, quantizer, changed=False)
        times.append(now)
    assert len([at for at in times if at < 101]) == 11
    assert np.diff(times[11:]).min() == pytest.approx(REFRESH_EVERY)


@pytest.mark.parametrize("seen", [False, True])
def test_who_comes_to_a_picture_that_has_long_been_still_gets_it_sharp(*, seen: bool) -> None:
    stillness = Stillness(30)
    if seen:
        stillness.sent(100.0, 16, changed=True)
    stillness.sent(200.0, 40, changed=False)
    assert stillness.due - 200.0 < 0.2
    stillness.sent(200.1, 42, changed=False)
    assert stillness.due - 200.1 < 0.2
    stillness.sent(200.2, 18, changed=False)
    assert stillness.due - 200.2 == pytest.approx(REFRESH_EVERY)


def test_a_picture_that_never_gets_sharp_is_not_refined_for_ever() -> None:
    stillness, now, times = Stillness(30), 100.0, []
    stillness.sent(now, 50, changed=True)
    while now < 120:
        now = stillness.due
        stillness.sent(now, 50, changed=False)
        times.append(now)
    assert len([at for at in times if at > 100.2 + REFINE_FOR]) <= 4


@pytest.mark.parametrize(("gap", "generosity"), [(1 / 60, 1), (1 / 20, 3), (1 / 30, 2), (5.0, 5)])
def test_rare_pictures_may_cost_more(gap: float, generosity: float) -> None:
    budget = Budget(60)
    for number in range(60):
        budget.comes(number * gap)
    assert budget.generosity == pytest.approx(generosity, abs=0.3)
    for number in range(6):
        budget.comes(60 * gap + number / 60)
    assert budget.generosity < 1.3


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**56 - 1),
    st.integers(48, 500),
    st.integers(72, 400),
)
def test_a_mark_is_read_as_it_was_drawn_at_any_size(
    number: int, clock: int, width: int, height: int
) -> None:
    picture = np.full((height, width), 128, np.uint8)
    draw_mark(picture, Mark(number, clock))
    assert read_mark(picture) == Mark(number, clock)


@given(st.integers(0, 95))
def test_a_mark_with_a_wrong_cell_is_no_mark(cell: int) -> None:
    picture = np.zeros((36, 24), np.uint8)
    draw_mark(picture, Mark(123_456, 987_654_321))
    row, column = divmod(cell, 24)
    height = 8
    rows = slice(row * height // 4, (row + 1) * height // 4)
    picture[rows, column] = 251 - picture[rows, column]
    assert read_mark(picture) != Mark(123_456, 987_654_321)
    assert read_mark(picture) is None


def test_a_page_without_a_mark_is_not_read_as_one() -> None:
    assert read_mark(np.full((720, 1280), 225, np.uint8)) is None
    assert read_mark(np.zeros((720, 1280), np.uint8)) is None
    assert read_mark(np.full((720, 1280), 60, np.uint8)) is None
    assert read_mark(np.zeros((4, 4), np.uint8)) is None


def test_the_pattern_moves_and_has_letters_and_colour() -> None:
    pattern = Pattern(640, 360)
    one, other = pattern.draw(Mark(1, 5)), pattern.draw(Mark(2, 6))
    assert one.shape == (540, 640)
    assert read_mark(one[:360]) == Mark(1, 5)
    assert (one[40:360] != other[40:360]).mean() > 0.02
    assert 0.02 < (one[40:360] < 100).mean() < 0.4
    assert (one[360:] != 128).any()


def test_a_slower_rate_takes_pictures_at_even_distances() -> None:
    for fps, every in ((15.0, 2), (10.0, 3)):
        thinning = Thinning(fps)
        taken = [n for n in range(60) if thinning.takes(n / 30 + 0.004 * (n % 3))]
        assert taken == list(range(0, 60, every))
    thinning = Thinning(20.0)
    taken = [n for n in range(60) if thinning.takes(n / 30)]
    assert len(taken) == pytest.approx(40, abs=1)


def test_after_a_pause_a_slower_rate_makes_up_for_nothing() -> None:
    thinning = Thinning(10.0)
    assert thinning.takes(0.0)
    assert not thinning.takes(0.05)
    assert 0.1 < thinning.latest < 0.15
    assert thinning.takes(5.0)
    assert [thinning.takes(5.0 + n / 30) for n in range(1, 4)] == [False, False, True]
