"""Whole streams over virtual links: how fast a rate settles, what is lost, who slows whom."""

from __future__ import annotations

import pytest

from tests.video.links import STREAM, Seat, Stage, percentile
from vc_core.feedback import Feedback, Wanted
from vc_core.ids import Member
from video.groups import size_for, split
from video.history import rows_for
from video.sending import BACKLOG, LARGE_BACKLOG, MOST_AT_ONCE
from video.sharing import Encoded, Outgoing


def late(seat: Seat, since: float) -> list[float]:
    return [d for t, d in zip(seat.shown, seat.late, strict=True) if t >= since]


def test_a_good_path_carries_ten_megabits_within_seconds() -> None:
    stage = Stage(most=20e6)
    seat = stage.join(1, rtt=0.03)
    stage.run(4)
    assert seat.shown[0] < 0.5
    assert seat.bitrate(3, 4) > 10e6
    assert seat.voice_delay(0, 4, 1.0) < 0.025
    assert seat.watching.lost == 0


def test_a_bottleneck_is_found_within_five_seconds_and_voice_does_not_wait() -> None:
    stage = Stage(most=8e6)
    seat = stage.join(1, bandwidth=2e6, rtt=0.04)
    stage.run(15)
    assert seat.bitrate(5, 15) > 1.2e6
    assert seat.freezes(1, 15) == 0
    without = 0.02
    assert seat.voice_delay(0, 5, 0.95) < without + 0.04
    assert seat.voice_delay(5, 15, 0.95) < without + 0.025
    assert seat.voice_delay(5, 15, 0.5) < without + 0.012
    assert seat.down.dropped == 0


def test_the_rate_recovers_when_the_bottleneck_goes() -> None:
    stage = Stage(most=8e6)
    seat = stage.join(1, bandwidth=2e6, rtt=0.04)
    stage.run(12)
    seat.down.bandwidth = 100e6
    stage.run(15)
    assert seat.bitrate(26, 27) > 6e6


def test_a_path_that_becomes_narrow_at_once_is_followed() -> None:
    stage = Stage(most=8e6)
    seat = stage.join(1, rtt=0.04)
    stage.run(8)
    seat.down.bandwidth = 2e6
    stage.run(10)
    assert seat.fps(12, 18) > 28
    assert seat.bitrate(13, 18) > 1e6
    assert seat.voice_delay(12, 18, 0.95) < 0.07


@pytest.mark.parametrize(("rtt", "loss"), [(0.05, 0.02), (0.05, 0.10), (0.15, 0.02)])
def test_loss_freezes_nothing(rtt: float, loss: float) -> None:
    stage = Stage(most=4e6)
    seat = stage.join(1, bandwidth=20e6, rtt=rtt, loss=loss)
    stage.run(20)
    assert seat.freezes(3, 20) == 0
    assert seat.fps(5, 20) > 29
    assert seat.bitrate(8, 20) > 3e6


def test_much_loss_far_away_freezes_hardly_ever() -> None:
    stage = Stage(2, most=4e6)
    seat = stage.join(1, bandwidth=20e6, rtt=0.15, loss=0.10)
    stage.run(20)
    assert seat.freezes(3, 20) <= 1
    assert seat.fps(5, 20) > 28


@pytest.mark.parametrize("rtt", [0.05, 0.15])
@pytest.mark.parametrize("seed", range(3))
def test_loss_that_is_the_paths_own_does_not_slow_the_beginning(seed: int, rtt: float) -> None:
    stage = Stage(seed, most=4e6)
    seat = stage.join(1, bandwidth=100e6, rtt=rtt, loss=0.10)
    stage.run(8)
    assert seat.shown[0] < 0.9
    assert seat.bitrate(5, 8) > 2.3e6


@pytest.mark.parametrize("seed", range(4))
def test_loss_without_a_queue_is_a_bottleneck_where_sending_less_helps(seed: int) -> None:
    stage = Stage(seed, most=8e6)
    seat = stage.join(1, bandwidth=2e6, rtt=0.05, queue=2_500)
    stage.run(20)
    assert seat.bitrate(8, 20) > 1.2e6
    assert seat.down.bytes * 8 / 20 < 2e6
    assert seat.down.dropped < 600
    rate = stage.sharer.rate_of(Member(1))
    assert rate is not None and rate.target < 2.4e6


def test_jitter_is_no_congestion() -> None:
    stage = Stage(most=4e6)
    seat = stage.join(1, rtt=0.04, jitter=0.01)
    stage.run(8)
    assert seat.bitrate(6, 8) > 3e6


def test_one_slow_viewer_of_five_gets_a_smaller_encoding_and_slows_nobody() -> None:
    stage = Stage(most=4e6)
    quick = [stage.join(n, bandwidth=20e6, rtt=0.03) for n in range(1, 5)]
    slow = stage.join(5, bandwidth=500e3, rtt=0.05)
    stage.run(16)
    assert stage.encoders[1].on
    for seat in quick:
        assert seat.bitrate(8, 16) > 3.5e6
        assert seat.fps(8, 16) > 29
        assert seat.freezes(2, 16) == 0
    assert slow.fps(10, 16) > 12
    assert percentile(late(slow, 10), 0.95) < 0.2
    assert slow.voice_delay(10, 16, 0.95) < 0.025 + 0.04


def test_without_a_second_encoding_the_slow_one_gets_key_frames_when_it_can() -> None:
    stage = Stage(most=4e6, seconds=False)
    quick = [stage.join(n, bandwidth=20e6, rtt=0.03) for n in range(1, 5)]
    slow = stage.join(5, bandwidth=500e3, rtt=0.05)
    stage.run(20)
    assert all(seat.bitrate(8, 20) > 3.5e6 for seat in quick)
    assert sum(t >= 10 for t in slow.shown) >= 2


def test_a_viewer_that_stalls_harms_nobody_and_costs_bounded_memory() -> None:
    stage = Stage(most=4e6)
    seat, dead = stage.join(1, bandwidth=20e6), stage.join(2, bandwidth=20e6)
    stage.run(4)
    dead.up.loss = 1.0
    dead.down.loss = 1.0
    stage.run(8)
    assert seat.bitrate(6, 12) > 3.5e6
    assert seat.freezes(1, 12) == 0
    for out in stage.sharer._streams[STREAM].outs.values():
        assert out.lane.backlog <= LARGE_BACKLOG + BACKLOG
    rate = stage.sharer.rate_of(Member(2))
    assert rate is not None and rate.target < 300e3


def test_who_comes_later_sees_its_first_picture_soon() -> None:
    stage = Stage(most=4e6)
    stage.join(1, bandwidth=20e6)
    stage.run(5)
    late_comer = stage.join(2, bandwidth=20e6)
    stage.run(2)
    assert late_comer.shown[0] - 5 < 1.0


def test_many_viewers_at_one_forwarder_get_one_copy() -> None:
    stage = Stage(most=4e6)

    def copy(outgoing: Outgoing) -> None:
        for seat in stage.seats.values():
            stage.send(seat, outgoing.datagram)

    stage.spread = copy
    seats = [stage.join(n, bandwidth=20e6, rtt=0.05, forwarder=77, loss=0.01) for n in range(1, 6)]
    stage.run(3)
    assert sorted(stage.carried) == [(n, 77) for n in range(1, 6)]
    before = stage.sharer.sent(STREAM)["data"], stage.sharer.sent(STREAM)["again"]
    stage.run(8)
    data, again = stage.sharer.sent(STREAM)["data"] - before[0], stage.sharer.sent(STREAM)["again"]
    pieces = sum(size // 1151 + 1 for size in seats[0].sizes if size) * 8 / 11
    assert data < 1.6 * pieces, "a copy each would be five times as many"
    assert again > before[1], "what is lost goes to whom it was lost by itself"
    for seat in seats:
        assert seat.fps(4, 11) > 29
        assert seat.freezes(4, 11) == 0


def test_getting_everything_twice_for_a_moment_is_no_loss() -> None:
    stage = Stage(most=4e6)

    def copy(outgoing: Outgoing) -> None:
        for seat in stage.seats.values():
            stage.send(seat, outgoing.datagram)

    stage.spread = copy
    for number in range(1, 6):
        stage.join(number, bandwidth=20e6, rtt=0.01, forwarder=77)
    stage.run(4)
    for number in range(1, 6):
        rate = stage.sharer.rate_of(Member(number))
        assert rate is not None and rate.loss < 0.02
        assert rate.target > 1.5e6


def test_what_was_never_sent_to_a_viewer_is_not_sent_again() -> None:
    stage = Stage(most=4e6)
    stage.join(1)
    stage.run(1)
    stage.join(2)
    sent = stage.sharer.sent(STREAM)["again"]
    asked = Feedback(STREAM, 1, (), tuple(Wanted(n, 0) for n in range(20)))
    stage.sharer.feedback(Member(2), asked, stage.clock.now)
    stage.sharer.feedback(Member(3), asked, stage.clock.now)
    stage.sharer.datagrams(stage.clock.now + 0.1)
    assert stage.sharer.sent(STREAM)["again"] == sent


def test_a_viewer_that_leaves_is_forgotten() -> None:
    stage = Stage()
    stage.join(1)
    stage.run(1)
    stage.sharer.watched(STREAM, Member(1), False, stage.clock.now)
    assert stage.sharer.next_time() == float("inf")
    assert stage.sharer.rate_of(Member(1)) is None


def test_viewers_are_split_at_the_widest_gap() -> None:
    rates = {Member(n): rate for n, rate in enumerate([10e6, 4e6, 0.5e6, 9e6])}
    assert split(rates, frozenset()) == {2}
    assert split({Member(1): 2e6, Member(2): 3e6}, frozenset()) == frozenset()
    assert split({Member(1): 2e6, Member(2): 3.5e6}, frozenset({Member(1)})) == {1}


def test_a_smaller_encoding_keeps_the_shape() -> None:
    assert size_for(1920, 1080, 60, 500e3) == (640, 360, 15)
    assert size_for(1920, 1200, 30, 1.5e6) == (1152, 720, 30)
    assert size_for(400, 200, 30, 1e5) == (400, 200, 15)


def test_parity_is_spent_where_asking_again_takes_too_long() -> None:
    assert rows_for(15, 0.02, 0.03) == 0
    assert rows_for(15, 0.0, 0.3) == 0
    assert 0 < rows_for(15, 0.02, 0.15) < rows_for(15, 0.10, 0.15)


def test_much_that_may_leave_leaves_bit_by_bit_so_that_voice_comes_between() -> None:
    stage = Stage(most=80e6)
    stage.join(1, rtt=0.01)
    sharer, now = stage.sharer, stage.clock.now
    control = sharer.rate_of(Member(1))
    assert control is not None
    control.target = 1e9
    sharer.push(STREAM, Encoded(now, True, 1, 1920, 1080, bytes(300_000)), now)
    now += 0.004
    found = sharer.datagrams(now)
    assert len(found) == MOST_AT_ONCE
    assert sharer.next_time() <= now
    counts = [len(found)]
    while counts[-1] == MOST_AT_ONCE:
        counts.append(len(sharer.datagrams(now)))
    assert sum(counts) > 260 and sharer.next_time() > now
