"""The path: alive or silent, how far, how much is lost."""

from __future__ import annotations

import pytest

from tests.vectors.seeded import flipped
from vc_core.errors import RemoteProtocolError
from vc_core.path import INTERVAL, PROBE_SIZE, SILENCE, Path, State, next_beat

A, B = bytes([1]) * 32, bytes([2]) * 32


def pair(now: float = 0.0) -> tuple[Path, Path]:
    one, other = Path(A, B, now), Path(B, A, now)
    one.opened(now)
    other.opened(now)
    return one, other


def run(one: Path, other: Path, begin: float, seconds: float, delay: float, keep: int = 1) -> float:
    """Probes both ways; of those from ``one`` each ``keep``-th arrives."""
    now, count = begin, 0
    under_way: list[tuple[float, Path, bytes]] = []
    while now < begin + seconds:
        for sender, receiver in ((one, other), (other, one)):
            for datagram in sender.handle_timer(now):
                count += sender is one
                if sender is other or count % keep == 0:
                    under_way.append((now + delay, receiver, datagram))
        now += 0.005
        for due in [item for item in under_way if item[0] <= now]:
            under_way.remove(due)
            due[1].receive(due[2], now)
    return now


def test_nothing_is_sent_before_the_carrier_can() -> None:
    path = Path(A, B, 0.0)
    assert path.next_timer() is None
    assert path.handle_timer(10.0) == []


def test_a_probe_has_one_size_and_brings_the_path_to_life() -> None:
    one, other = pair()
    (probe,) = one.handle_timer(0.0)
    assert len(probe) == PROBE_SIZE
    other.receive(probe, 0.01)
    assert other.state is State.ALIVE


def test_the_round_trip_is_measured_without_the_time_that_the_other_side_waited() -> None:
    one, other = pair()
    run(one, other, 0.0, 3.0, delay=0.03)
    assert one.rtt == pytest.approx(0.06, abs=0.011)
    assert other.rtt == pytest.approx(0.06, abs=0.011)


def test_the_offset_of_the_other_clock_is_measured() -> None:
    one, other = pair()
    run(one, other, 0.0, 3.0, delay=0.02)
    assert one.clock_offset == pytest.approx(0.0, abs=0.01)


def test_loss_is_what_the_other_side_did_not_hear() -> None:
    one, other = pair()
    run(one, other, 0.0, 25.0, delay=0.01, keep=2)
    assert one.loss_out == pytest.approx(0.5, abs=0.06)
    assert other.loss_out == pytest.approx(0.0, abs=0.06)


def test_silence_is_noticed_within_a_second() -> None:
    one, other = pair()
    end = run(one, other, 0.0, 2.0, delay=0.01)
    one.handle_timer(end + SILENCE + 0.01)
    assert one.state is State.SILENT
    assert SILENCE < 1.0


def test_a_probe_counts_once_and_never_after_a_newer_one() -> None:
    one, other = pair()
    (first,) = one.handle_timer(0.0)
    (second,) = one.handle_timer(INTERVAL)
    other.receive(second, 0.3)
    for old in (first, second):
        with pytest.raises(RemoteProtocolError):
            other.receive(old, 0.4)


@pytest.mark.parametrize("at", [0, 1, 10, 22, -1])
def test_a_changed_probe_is_no_sign_of_life(at: int) -> None:
    one, other = pair()
    (probe,) = one.handle_timer(0.0)
    with pytest.raises(RemoteProtocolError):
        other.receive(flipped(probe, at), 0.1)
    assert other.state is State.UNTRIED


def test_ones_own_probe_that_comes_back_is_no_sign_of_life() -> None:
    one, _ = pair()
    (probe,) = one.handle_timer(0.0)
    with pytest.raises(RemoteProtocolError):
        one.receive(probe, 0.1)


def test_all_paths_share_one_beat() -> None:
    times = set()
    for begin in (0.03, 0.11, 0.2):
        path = Path(A, B, begin)
        path.opened(begin)
        path.handle_timer(begin)
        times.add(path.next_timer())
    assert times == {0.25}
    assert next_beat(0.25, 0.25) == 0.5
