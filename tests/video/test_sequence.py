"""Which frames are decoded, and when a key frame is asked for."""

from __future__ import annotations

import pytest

from vc_core.errors import RemoteProtocolError
from video.sequence import MOST_FAILURES, PATIENCE, WRAP, Sequence
from video.tally import Tally


def test_frames_that_follow_are_admitted() -> None:
    sequence = Sequence()
    assert sequence.admits(7, key=True)
    assert sequence.admits(8, key=False)
    assert not sequence.wants_key(0.0)


def test_numbers_begin_again_at_their_end() -> None:
    sequence = Sequence()
    assert sequence.admits(WRAP - 1, key=True)
    assert sequence.admits(0, key=False)


def test_from_a_gap_on_only_a_key_frame_helps() -> None:
    sequence = Sequence()
    sequence.admits(7, key=True)
    assert not sequence.admits(9, key=False)
    assert not sequence.admits(10, key=False)
    assert sequence.wants_key(0.0)
    assert sequence.admits(11, key=True)
    assert not sequence.wants_key(9.0)


def test_nothing_is_asked_for_before_anything_came() -> None:
    assert not Sequence().wants_key(0.0)


def test_a_key_frame_is_not_asked_for_all_the_time() -> None:
    sequence = Sequence()
    sequence.admits(7, key=False)
    asked = [now for now in range(100) if sequence.wants_key(now / 50)]
    assert len(asked) == int(2 / PATIENCE)


def test_a_stream_that_only_fails_has_an_end() -> None:
    sequence = Sequence()
    with pytest.raises(RemoteProtocolError):
        for number in range(MOST_FAILURES):
            sequence.admits(number, key=True)
            sequence.failed()
    assert sequence.failures == MOST_FAILURES


def test_one_picture_makes_failures_forgotten() -> None:
    sequence = Sequence()
    for number in range(3 * MOST_FAILURES):
        sequence.admits(number, key=True)
        if number % 2:
            sequence.decoded()
        else:
            sequence.failed()
    assert sequence.failures <= 1


def test_a_report_tells_rates_and_ages_of_its_second_only() -> None:
    tally = Tally(10.0)
    for age in range(1, 21):
        tally.decoded(age / 1000)
    tally.shown(0.03)
    report = tally.report(12.0)
    assert (report["decoded"], report["fps"]) == (10.0, 0.5)
    assert report["latency_ms"] == {
        "decoded": {"p50": 10.0, "p95": 19.0},
        "shown": {"p50": 30.0, "p95": 30.0},
    }
    assert tally.report(13.0)["latency_ms"] == {"decoded": None, "shown": None}
