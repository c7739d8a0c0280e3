"""Whole streams over virtual links: how fast a rate settles, what is lost, who slows whom."""

from __future__ import annotations

from collections import deque

import pytest

from tests.video.links import STREAM, Seat, Stage, percentile
from vc_core.feedback import Feedback, Wanted
from vc_core.ids import Member
from video.history import rows_for
from video.sending import BACKLOG, LARGE_BACKLOG, MOST_AT_ONCE
from video.sharing import Encoded, Order, Outgoing


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


@pytest.mark.parametrize("seed", [0, 3])
def test_an_encoder_that_uses_little_hides_no_bottleneck_from_voice(seed: int) -> None:
    stage = Stage(seed, most=8e6)
    stage.encoders[0].uses = 0.7
    seat = stage.join(1, bandwidth=2e6, rtt=0.004, queue=50_000, jitter=0.001)
    stage.run(20)
    assert seat.playout(6, 20, 0.95) < 0.022
    assert seat.fps(5, 20) > 29
    assert all(target > 1.2e6 for at, target in stage.targets if at > 5)


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


def test_when_the_line_is_wide_again_the_slow_one_gets_what_others_get() -> None:
    stage = Stage(most=4e6)
    quick = [stage.join(n, bandwidth=20e6, rtt=0.03) for n in range(1, 5)]
    slow = stage.join(5, bandwidth=500e3, rtt=0.05)
    stage.run(12)
    slow.down.bandwidth = 20e6
    stage.run(14)
    assert not stage.encoders[1].on
    assert slow.bitrate(24, 26) > 3.5e6
    assert slow.freezes(12, 26) == 0
    assert all(seat.freezes(2, 26) == 0 for seat in quick)


def test_a_small_encoding_that_uses_little_hides_no_wide_line() -> None:
    stage = Stage(most=4e6)
    for number in range(1, 5):
        stage.join(number, bandwidth=20e6, rtt=0.03)
    slow = stage.join(5, bandwidth=500e3, rtt=0.05)
    stage.encoders[1].most = 200e3
    stage.run(12)
    assert slow.bitrate(10, 12) < 300e3
    slow.down.bandwidth = 20e6
    stage.run(30)
    assert slow.bitrate(40, 42) > 3.5e6


def test_exploring_a_narrow_line_makes_no_queue_that_voice_would_feel() -> None:
    stage = Stage(most=4e6)
    for number in range(1, 5):
        stage.join(number, bandwidth=20e6, rtt=0.03)
    slow = stage.join(5, bandwidth=800e3, rtt=0.05)
    stage.encoders[1].most = 200e3
    stage.run(25)
    assert stage.encoders[1].on
    assert slow.freezes(3, 25) == 0
    assert slow.voice_delay(5, 25, 0.95) < 0.025 + 0.03
    assert slow.down.bytes * 8 / 25 < 700e3, "parity is sent now and then, not always"


def test_a_newcomer_with_a_wide_line_slows_nobody_and_soon_gets_what_they_get() -> None:
    stage = Stage(most=4e6)
    quick = [stage.join(n, bandwidth=20e6, rtt=0.03) for n in range(1, 4)]
    stage.run(6)
    newcomer = stage.join(4, bandwidth=20e6, rtt=0.03)
    stage.run(6)
    assert newcomer.shown[0] - 6 < 0.5
    assert newcomer.freezes(6.5, 12) == 0
    assert newcomer.bitrate(10, 12) > 3.5e6
    for seat in quick:
        assert seat.fps(6, 12) > 29
        assert all(target > 3.5e6 for at, target in stage.targets if at > 6)


def test_a_newcomer_with_a_narrow_line_is_not_flooded() -> None:
    stage = Stage(most=4e6)
    for number in range(1, 4):
        stage.join(number, bandwidth=20e6, rtt=0.03)
    stage.run(6)
    slow = stage.join(4, bandwidth=500e3, rtt=0.02, queue=18_750)
    stage.run(5)
    assert slow.shown[0] - 6 < 0.5
    assert slow.freezes(6.5, 11) == 0
    assert slow.down.dropped == 0
    assert slow.voice_delay(6, 11, 1.0) < 0.25


def test_when_all_are_slow_the_first_encoding_shrinks_and_there_is_no_second() -> None:
    stage = Stage(most=4e6)
    seats = [stage.join(n, bandwidth=500e3, rtt=0.03) for n in range(1, 5)]
    stage.run(15)
    assert not stage.encoders[1].on
    assert stage.encoders[0].bitrate < 500e3
    assert all(seat.fps(5, 15) > 28 for seat in seats)


def test_when_the_quick_ones_leave_the_slow_one_gets_the_first_encoding_as_it_can() -> None:
    stage = Stage(most=4e6)
    for number in (1, 2):
        stage.join(number, bandwidth=20e6, rtt=0.03)
    slow = stage.join(3, bandwidth=500e3, rtt=0.05)
    stage.run(10)
    assert stage.encoders[1].on
    for number in (1, 2):
        stage.sharer.watched(STREAM, Member(number), False, stage.clock.now)
    stage.run(8)
    assert not stage.encoders[1].on
    assert stage.encoders[0].bitrate < 500e3
    assert slow.fps(12, 18) > 28
    assert slow.freezes(8, 18) == 0


def test_lines_of_all_widths_are_split_once_and_stay_so() -> None:
    stage = Stage(most=4e6)
    seats = [
        stage.join(number, bandwidth=width * 1e6, rtt=0.03)
        for number, width in enumerate((8, 6, 5, 3.3, 2.4), 1)
    ]
    stage.run(25)
    assert stage.encoders[1].on
    assert all(seat.bitrate(8, 25) > 3e6 for seat in seats[:3])
    assert all(seat.bitrate(8, 25) > 1.3e6 for seat in seats[3:])
    assert all(seat.freezes(2, 25) == 0 for seat in seats)
    assert sum(encoder.keys for encoder in stage.encoders) < 12


def test_a_dead_line_does_not_keep_another_slow_one_from_its_pictures() -> None:
    stage = Stage(most=4e6)
    for number in (1, 2, 3):
        stage.join(number, bandwidth=20e6, rtt=0.03)
    slow = stage.join(4, bandwidth=1.5e6, rtt=0.05)
    dead = stage.join(5, bandwidth=1.5e6, rtt=0.05)
    stage.run(8)
    dead.down.loss = dead.up.loss = 1.0
    stage.run(10)
    assert slow.bitrate(12, 18) > 0.8e6
    assert slow.freezes(3, 18) == 0


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


def test_one_slow_viewer_behind_a_forwarder_gets_the_small_one_by_itself() -> None:
    stage = Stage(most=4e6)
    narrow = Member(5)

    def copy(outgoing: Outgoing) -> None:
        for member, seat in stage.seats.items():
            if (member, 77) in stage.carried[-8:] and (member, 0) not in stage.carried:
                stage.send(seat, outgoing.datagram)

    stage.spread = copy
    quick = [stage.join(n, bandwidth=20e6, rtt=0.03, forwarder=77) for n in range(1, 5)]
    stage.run(6)
    slow = stage.join(5, bandwidth=500e3, rtt=0.03, forwarder=77)
    before = stage.sharer.sent(STREAM)["data"]
    stage.run(10)
    assert (narrow, 77) not in stage.carried
    assert slow.fps(8, 16) > 13
    assert slow.freezes(7, 16) == 0
    assert all(seat.fps(6, 16) > 29 and seat.bitrate(6, 16) > 3.5e6 for seat in quick)
    pieces = sum(-(-size // 1151) for size in quick[0].sizes[-300:])
    small = sum(-(-size // 1151) for size in slow.sizes)
    assert stage.sharer.sent(STREAM)["data"] - before < 1.25 * (pieces + small)


def test_a_viewer_of_copies_that_becomes_slow_gets_the_small_one_soon() -> None:
    stage = Stage(most=4e6)

    def copy(outgoing: Outgoing) -> None:
        for member, seat in stage.seats.items():
            told = [forwarder for one, forwarder in stage.carried if one == member]
            if told and told[-1] == 77:
                stage.send(seat, outgoing.datagram)

    stage.spread = copy
    seats = [stage.join(n, bandwidth=20e6, rtt=0.03, forwarder=77) for n in range(1, 6)]
    stage.run(6)
    assert (5, 77) in stage.carried
    seats[4].down.bandwidth = 500e3
    stage.run(12)
    assert stage.carried[-1] == (5, 0)
    assert seats[4].freezes(6, 18, 1.5) == 0
    assert seats[4].fps(9, 18) > 13
    for seat in seats[:4]:
        assert seat.fps(6, 18) > 29
        assert seat.freezes(6, 18) == 0
        assert seat.bitrate(9, 18) > 3.5e6


def test_who_is_moved_is_sent_no_pieces_of_the_other_encoding_again() -> None:
    stage = Stage(most=4e6)
    for number in (1, 2, 3):
        stage.join(number, bandwidth=20e6, rtt=0.03)
    slow = stage.join(4, bandwidth=500e3, rtt=0.03)
    stage.run(8)
    streaming = stage.sharer._streams[STREAM]
    assert streaming.slow == {4}
    frame = streaming.history.find(streaming.first.last or 0)
    assert frame is not None and not frame.second
    frame.sent[slow.member, 0] = 0.0
    asked = Feedback(STREAM, 1, (), (Wanted(frame.picture.number, 0),))
    stage.sharer.feedback(slow.member, asked, stage.clock.now)
    assert streaming.outs[STREAM, slow.member, 0].lane._again == deque()


def test_a_child_that_can_make_no_second_encoding_leaves_key_frames_to_the_slow_one() -> None:
    stage = Stage(most=4e6)
    for number in (1, 2, 3):
        stage.join(number, bandwidth=20e6, rtt=0.03)
    slow = stage.join(4, bandwidth=500e3, rtt=0.03)
    stage.run(6)
    stage.encoders[1].on = False
    stage.sharer.no_second(STREAM)
    stage.run(20)
    assert not stage.encoders[1].on
    assert sum(t > 8 for t in slow.shown) >= 2


def test_another_size_of_the_first_encoding_is_one_of_the_second_too() -> None:
    stage = Stage(most=4e6)
    for number in (1, 2, 3):
        stage.join(number, bandwidth=20e6, rtt=0.03)
    stage.join(4, bandwidth=1.2e6, rtt=0.03)

    def size() -> tuple[int, int]:
        shape = stage.sharer._streams[STREAM].shape
        assert shape is not None
        return shape[:2]

    stage.run(8)
    assert size() == (960, 540)
    stage.sharer.begin(STREAM, 1280, 800, 30, 4e6, seconds=True)
    stage.run(1)
    assert size() == (640, 400)


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


def test_who_watches_and_leaves_all_the_time_forces_few_key_frames() -> None:
    stage = Stage(most=4e6)
    seat = stage.join(1, bandwidth=20e6)
    rude = stage.join(2, bandwidth=20e6)
    stage.run(2)
    before = sum(encoder.keys for encoder in stage.encoders)
    for number in range(120):
        stage.sharer.watched(STREAM, rude.member, bool(number % 2), stage.clock.now)
        stage.run(0.25)
    assert sum(encoder.keys for encoder in stage.encoders) - before <= 2 * (10 + 30 * 0.2)
    assert seat.freezes(2, 32) == 0
    stage.sharer.watched(STREAM, rude.member, True, stage.clock.now)
    stage.run(9)
    assert rude.fps(39, 41) > 29, "it is let in later, and then sees all"


@pytest.mark.parametrize(
    ("bandwidth", "loss", "pictures"), [(20e6, 0.0, 200), (20e6, 0.02, 150), (600e3, 0.0, 4)]
)
def test_key_frames_that_cannot_be_small_get_through(
    bandwidth: float, loss: float, pictures: int
) -> None:
    stage = Stage(most=4e6, seconds=False)
    stage.encoders[0].least_key = 170_000  # VP9, a page at 1080p
    seat = stage.join(1, bandwidth=bandwidth, rtt=0.05, loss=loss)
    stage.run(20)
    assert seat.fps(0, 20) * 20 >= pictures


def test_who_watches_alone_again_and_again_never_waits() -> None:
    stage = Stage(most=4e6)
    seat = stage.join(1, bandwidth=20e6)
    stage.run(2)
    for _ in range(15):
        stage.sharer.watched(STREAM, seat.member, False, stage.clock.now)
        stage.run(0.2)
        stage.sharer.watched(STREAM, seat.member, True, stage.clock.now)
        stage.run(1)
        assert seat.fps(stage.clock.now - 0.5, stage.clock.now) > 20


def test_who_wants_key_frames_all_the_time_gets_few() -> None:
    stage = Stage(most=4e6)
    seat = stage.join(1, bandwidth=20e6)
    stage.join(2, bandwidth=20e6)
    stage.run(2)
    before = stage.encoders[0].keys
    for _ in range(300):
        stage.sharer.key_wanted(STREAM, Member(2), stage.clock.now)
        stage.run(0.1)
    assert stage.encoders[0].keys - before <= 10 + 30 * 0.2 + 30 / 3
    assert seat.freezes(2, 32) == 0


def test_a_key_frame_that_takes_its_time_is_ordered_once() -> None:
    stage = Stage(most=4e6)
    stage.encoders[0].next_at = 1.3
    orders, given = stage.sharer.orders, []

    def overhear() -> list[Order]:
        given.extend(found := orders())
        return found

    stage.sharer.orders = overhear  # type: ignore[method-assign]
    seat = stage.join(1, bandwidth=20e6, rtt=0.05)
    for _ in range(12):
        stage.run(0.1)
        stage.sharer.key_wanted(STREAM, seat.member, stage.clock.now)
    stage.run(1)
    assert [one.words["do"] for one in given].count("key") == 1
    assert len(seat.shown) > 15


def test_a_viewer_that_leaves_is_forgotten() -> None:
    stage = Stage()
    stage.join(1)
    stage.run(1)
    stage.sharer.watched(STREAM, Member(1), False, stage.clock.now)
    assert stage.sharer.next_time() == float("inf")
    assert stage.sharer.rate_of(Member(1)) is None


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
