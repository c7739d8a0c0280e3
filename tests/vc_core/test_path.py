"""The path: alive or silent, how far, how much is lost."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.vectors.seeded import flipped
from vc_core.errors import RemoteProtocolError
from vc_core.path import (
    BEATS_MISSED,
    BUSY_BEAT,
    FIRST_TRIES,
    LOSS_WINDOW,
    PROBE_SIZE,
    SLOW_BEAT,
    SPARE_BEAT,
    USED_BEAT,
    WARM_BEAT,
    Flag,
    Path,
    State,
    next_beat,
)

A, B = bytes([1]) * 32, bytes([2]) * 32
Keep = Callable[[Path, int, float], bool]


class Pair:
    """Two ends of one path, a delay between them, and a hand that drops datagrams."""

    def __init__(self, delay: float = 0.01, keep: Keep = lambda sender, count, now: True) -> None:
        self.one, self.other = Path(A, B, 0.0, origin=0.0), Path(B, A, 0.0, origin=0.0)
        self.delay, self.keep, self.now = delay, keep, 0.0
        self.sent: dict[Path, list[float]] = {self.one: [], self.other: []}
        self.used(self.one, self.other)
        self._flying: list[tuple[float, Path, bytes]] = []

    def used(self, *paths: Path) -> None:
        """These ends send their packets here."""
        for path in (self.one, self.other):
            path.use(path in paths, self.now)

    def run(self, seconds: float, step: float = 0.005) -> Pair:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            for sender, receiver in ((self.one, self.other), (self.other, self.one)):
                for datagram in sender.handle_timer(self.now):
                    self.sent[sender].append(self.now)
                    if self.keep(sender, len(self.sent[sender]), self.now):
                        self._flying.append((self.now + self.delay, receiver, datagram))
            self.now += step
            for due in [item for item in self._flying if item[0] <= self.now]:
                self._flying.remove(due)
                due[1].receive(due[2], self.now)
        return self

    def beat(self, path: Path, seconds: float = 8.0) -> float:
        """Seconds between its probes, on average."""
        before = len(self.sent[path])
        self.run(seconds)
        return seconds / (len(self.sent[path]) - before)


def test_a_probe_has_one_size_and_brings_the_path_to_life() -> None:
    one, other = Path(A, B, 0.0), Path(B, A, 0.0)
    (probe,) = one.handle_timer(0.0)
    assert len(probe) == PROBE_SIZE
    other.receive(probe, 0.01)
    assert other.state is State.ALIVE


def test_the_round_trip_is_known_after_one_exchange() -> None:
    pair = Pair(delay=0.03).run(0.1)
    assert pair.one.rtt == pytest.approx(0.06, abs=0.011)
    assert pair.other.rtt is not None


def test_the_round_trip_is_measured_without_the_time_that_the_other_side_waited() -> None:
    pair = Pair(delay=0.03).run(3.0)
    assert pair.one.rtt == pytest.approx(0.06, abs=0.011)
    assert pair.other.rtt == pytest.approx(0.06, abs=0.011)


def test_the_offset_of_the_other_clock_is_measured_from_the_birth_of_the_link() -> None:
    pair = Pair(delay=0.02)
    pair.other._origin = -5.0  # its link was born five seconds earlier
    pair.run(3.0)
    assert pair.one.clock_offset == pytest.approx(5.0, abs=0.01)


def test_a_probe_tells_nothing_of_the_machines_own_clock() -> None:
    early, late = (Path(A, B, now, origin=now).handle_timer(now)[0] for now in (10.0, 987_654.0))
    assert early == late


def test_loss_is_what_the_other_side_did_not_hear() -> None:
    pair = Pair()
    pair.keep = lambda sender, count, now: sender is pair.other or count % 2 == 0
    pair.run(30.0)
    assert pair.one.loss_out == pytest.approx(0.5, abs=0.1)
    assert pair.other.loss_out == 0.0


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.15])
def test_what_is_under_way_or_was_sent_before_anybody_listened_is_not_lost(delay: float) -> None:
    pair = Pair(delay, lambda sender, count, now: now >= 0.7)
    for _ in range(600):
        pair.run(0.1)
        assert pair.one.loss_out == pair.other.loss_out == 0.0


def test_one_lost_probe_counts_for_one_window() -> None:
    pair = Pair(keep=lambda sender, count, now: sender is pair.other or count != 60)
    seen = {pair.run(0.1).one.loss_out for _ in range(400)}
    assert sorted(seen) == pytest.approx([0.0, 1 / LOSS_WINDOW], rel=0.1)
    assert pair.one.loss_out == 0.0


def test_the_beat_follows_what_a_way_is_for() -> None:
    pair = Pair().run(2.0)
    assert pair.beat(pair.one) == pytest.approx(USED_BEAT, rel=0.1)
    pair.used(pair.one)
    assert pair.beat(pair.other) == pytest.approx(USED_BEAT, rel=0.1)
    pair.used()
    pair.run(2.0)
    assert pair.beat(pair.one) == pytest.approx(WARM_BEAT, rel=0.15)


def test_where_media_is_heard_both_ends_beat_fastest() -> None:
    pair = Pair().run(2.0)
    before = {path: len(pair.sent[path]) for path in (pair.one, pair.other)}
    for _ in range(400):
        pair.one.media(pair.now)
        pair.run(0.02)
    for path in (pair.one, pair.other):
        assert 8.0 / (len(pair.sent[path]) - before[path]) == pytest.approx(BUSY_BEAT, rel=0.1)


def test_an_untried_way_is_tried_quickly_and_then_seldom() -> None:
    pair = Pair(keep=lambda sender, count, now: False)
    pair.run(FIRST_TRIES * USED_BEAT + 0.1)
    assert pair.beat(pair.one) == pytest.approx(WARM_BEAT, rel=0.15)


@pytest.mark.parametrize("used", [True, False])
def test_silence_is_noticed_after_three_beats(used: bool) -> None:
    pair = Pair().run(3.0)
    if not used:
        pair.used()
        pair.run(3.0)
    beat = USED_BEAT if used else WARM_BEAT
    cut = pair.now
    pair.keep = lambda sender, count, now: False
    while pair.one.state is State.ALIVE:
        pair.run(0.01)
    assert pair.now - cut <= BEATS_MISSED * beat + 0.05
    assert not used or pair.now - cut < 1.0


def test_a_warm_way_that_may_be_needed_answers_soon_or_is_silent() -> None:
    pair = Pair().run(3.0)
    pair.used()
    pair.run(3.0)
    pair.one.hurry(pair.now)
    states = [pair.run(1.0).one.state]
    pair.keep = lambda sender, count, now: False
    pair.one.hurry(pair.now)
    states.append(pair.run(0.7).one.state)
    assert states == [State.ALIVE, State.SILENT]


def test_media_alone_is_life_but_not_if_nobody_hears_us() -> None:
    pair = Pair().run(3.0)
    pair.keep = lambda sender, count, now: sender is pair.other
    cut = pair.now
    while pair.one.state is State.ALIVE:
        pair.one.media(pair.now)
        pair.run(0.02)
        assert pair.now - cut < 2.0
    assert pair.other.state is State.SILENT


def test_a_few_lost_probes_are_no_silence() -> None:
    pair = Pair().run(3.0)
    lost = {2, 3}
    begun = len(pair.sent[pair.other])
    pair.keep = lambda sender, count, now: sender is pair.one or count - begun not in lost
    for _ in range(300):
        pair.run(0.01)
        assert pair.one.state is State.ALIVE


@pytest.mark.parametrize("talking", [True, False])
def test_a_fifth_of_all_packets_lost_at_random_is_no_silence(talking: bool) -> None:
    chance = random.Random(2)
    pair = Pair(0.05, keep=lambda sender, count, now: chance.random() >= 0.2).run(3.0)
    for _ in range(15_000):
        for path in (pair.one, pair.other):
            if talking and chance.random() >= 0.2:
                path.media(pair.now)
        pair.run(0.02, step=0.01)
        assert pair.one.state is pair.other.state is State.ALIVE


def test_a_silent_path_comes_back_when_packets_pass_both_ways_again() -> None:
    pair = Pair().run(3.0)
    pair.keep = lambda sender, count, now: False
    pair.run(5.0)
    assert (pair.one.state, pair.other.state) == (State.SILENT, State.SILENT)
    pair.keep = lambda sender, count, now: True
    pair.run(0.6)
    assert (pair.one.state, pair.other.state) == (State.ALIVE, State.ALIVE)


def test_a_question_is_answered_at_once() -> None:
    pair = Pair().run(3.0)
    pair.used()
    pair.run(3.0)
    at = len(pair.sent[pair.other])
    pair.one._reached = pair.now - 6  # in doubt, not yet silent
    pair.one._plan()
    pair.run(0.05)
    assert len(pair.sent[pair.other]) > at


def crowded() -> Pair:
    pair = Pair()
    for path in (pair.one, pair.other):
        path.crowd(True, pair.now)
    return pair.run(1.0)


def test_a_crowd_beats_slowly_whatever_happens() -> None:
    pair = crowded()
    assert pair.beat(pair.one) == pytest.approx(SLOW_BEAT, rel=0.15)
    pair.one.media(pair.now)
    assert pair.beat(pair.one) == pytest.approx(SLOW_BEAT, rel=0.15)
    pair.used()
    pair.run(2.0)
    assert pair.beat(pair.one) == pytest.approx(WARM_BEAT, rel=0.3)
    assert pair.one.state is pair.other.state is State.ALIVE


def test_a_spare_path_of_a_crowd_beats_seldom_until_it_is_used_or_falls() -> None:
    pair = crowded()
    pair.used()
    pair.one.spare = pair.other.spare = True
    pair.run(20.0)
    assert pair.beat(pair.one, 33.0) == pytest.approx(SPARE_BEAT, rel=0.3)
    assert (pair.one.state, pair.other.state) == (State.ALIVE, State.ALIVE)
    pair.one.use(True, pair.now)
    assert pair.run(0.1).beat(pair.other) == pytest.approx(SLOW_BEAT, rel=0.15)
    pair.one.use(False, pair.now)
    pair.run(20.0)
    pair.keep = lambda sender, count, now: False
    pair.run(20.0)
    pair.one.hurry(pair.now)
    pair.run(1.0)
    assert pair.one.state is State.SILENT
    assert pair.beat(pair.one) == pytest.approx(WARM_BEAT, rel=0.3)


def test_when_the_crowd_is_over_a_path_in_use_beats_quickly_again() -> None:
    pair = crowded()
    for path in (pair.one, pair.other):
        path.crowd(False, pair.now)
    assert pair.run(1.0).beat(pair.one) == pytest.approx(USED_BEAT, rel=0.1)


def test_a_probe_counts_once_and_never_after_a_newer_one() -> None:
    one, other = Path(A, B, 0.0), Path(B, A, 0.0)
    (first,) = one.handle_timer(0.0)
    (second,) = one.handle_timer(USED_BEAT)
    other.receive(second, 0.3)
    for old in (first, second):
        with pytest.raises(RemoteProtocolError):
            other.receive(old, 0.4)


@pytest.mark.parametrize("at", [0, 1, 2, 10, 22, -1])
def test_a_changed_probe_is_no_sign_of_life(at: int) -> None:
    one, other = Path(A, B, 0.0), Path(B, A, 0.0)
    (probe,) = one.handle_timer(0.0)
    with pytest.raises(RemoteProtocolError):
        other.receive(flipped(probe, at), 0.1)
    assert other.state is State.UNTRIED


def test_ones_own_probe_that_comes_back_is_no_sign_of_life() -> None:
    one = Path(A, B, 0.0)
    (probe,) = one.handle_timer(0.0)
    with pytest.raises(RemoteProtocolError):
        one.receive(probe, 0.1)


def test_all_paths_share_one_beat() -> None:
    times = set()
    for begin in (0.03, 0.11, 0.2):
        path = Path(A, B, begin)
        path.handle_timer(begin)
        times.add(path.due)
    assert times == {USED_BEAT}


@pytest.mark.parametrize("interval", [0.1, 0.2, 0.25, 0.3, 0.7, 1.0])
def test_the_next_beat_is_always_later(interval: float) -> None:
    now = 0.0
    for _ in range(10_000):
        later = next_beat(now, interval)
        assert now < later <= now + interval * 1.01
        now = later


def test_flags_fit_in_their_byte() -> None:
    assert sum(Flag) < 256


def test_who_leaves_says_so_at_once_and_may_stay_after_all() -> None:
    pair = Pair().run(2.0)
    said = len(pair.sent[pair.one])
    pair.one.leave(True, pair.now)
    pair.run(0.05)
    assert len(pair.sent[pair.one]) == said + 1
    assert pair.other.refused and not pair.one.refused
    assert pair.other.state is State.ALIVE
    pair.one.leave(False, pair.now)
    pair.run(0.05)
    assert not pair.other.refused


def test_who_leaves_a_warm_path_repeats_it_in_quick_succession() -> None:
    pair = Pair()
    pair.used()
    pair.run(5.0)
    pair.one.leave(True, pair.now)
    assert pair.beat(pair.one, 2.0) < 1.5 * BUSY_BEAT
