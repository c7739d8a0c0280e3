"""Gate, mixer, limiter, stretching, ring and frames."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.gate import HANGOVER, Gate, Verdict
from audio.level import SILENT, level, loudest_block, power
from audio.mixer import Limiter, Mixer, gain_of
from audio.pcm import FRAME, RATE, Framer, from_int16, silence, to_int16, to_mono
from audio.ring import Ring
from audio.stretch import LONGEST, SHORTEST, lengthen, period, shorten
from tests.audio.signal import frames, speech, unvoiced


def noise(decibels: float, seconds: float = 1.0) -> np.ndarray:
    samples = np.random.default_rng(1).standard_normal(int(seconds * RATE))
    return (samples * 10 ** (decibels / 20)).astype(np.float32)


def tone(hertz: float, amplitude: float = 0.5, seconds: float = 1.0) -> np.ndarray:
    at = np.arange(int(RATE * seconds)) / RATE
    return (amplitude * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def test_levels_are_in_decibels_of_full_scale() -> None:
    assert level(tone(1000, 1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level(silence()) == SILENT
    late = silence()
    late[-240:] = 0.1
    assert loudest_block(late) == pytest.approx(0.01)
    assert power(-20) == pytest.approx(0.01)


def test_the_gate_opens_with_the_very_frame_of_an_onset() -> None:
    gate = Gate()
    for frame in frames(noise(-75, 2)):
        assert gate.judge(frame) is Verdict.SILENT
    onset = noise(-75)[:FRAME].copy()
    onset[-240:] += noise(-45)[:240]  # only the last 5 ms are voice
    assert gate.judge(onset) is Verdict.TALKING


def test_the_gate_closes_400_ms_after_the_last_loud_frame_with_one_mark() -> None:
    gate = Gate()
    gate.judge(frames(noise(-30))[0])
    verdicts = [gate.judge(silence()) for _ in range(HANGOVER + 5)]
    assert verdicts == [
        *[Verdict.TALKING] * (HANGOVER - 1),
        Verdict.LAST,
        *[Verdict.SILENT] * 5,
    ]


def test_the_gate_gets_used_to_the_noise_of_a_room() -> None:
    gate = Gate()
    verdicts = [gate.judge(frame) for frame in frames(noise(-50, 8))]
    assert verdicts[0] is Verdict.TALKING
    assert set(verdicts[-50:]) == {Verdict.SILENT}


@pytest.mark.parametrize("amplitude", [0.25, 0.05])
def test_a_steady_tone_never_closes_the_gate(amplitude: float) -> None:
    gate = Gate()
    assert {gate.judge(frame) for frame in frames(tone(440, amplitude, 20))} == {Verdict.TALKING}


def test_closing_the_gate_says_whether_it_was_open() -> None:
    gate = Gate()
    gate.judge(frames(noise(-30))[0])
    assert (gate.close(), gate.close(), gate.open) == (True, False, False)


def test_a_sum_below_the_knee_passes_bit_by_bit() -> None:
    one, two = frames(tone(440, 0.3))[1], frames(tone(300, 0.4))[1]
    assert np.array_equal(Mixer().mix([(one, 1.0), (two, 1.0)]), one + two)


def test_mixing_changes_no_frame_that_came_in() -> None:
    loud = frames(tone(440, 0.9))[1]
    before = loud.copy()
    Mixer().mix([(loud, 1.0)] * 4)
    assert np.array_equal(loud, before)


def test_the_limit_is_smooth_and_comes_back() -> None:
    limiter = Limiter()
    loud = [limiter.limit(frame) for frame in frames(tone(200, 3.0))]
    joined = np.concatenate(loud[1:])
    steepest = 2 * np.pi * 200 / RATE  # of a full-scale sine of 200 Hz
    assert np.abs(joined).max() < 1.0
    assert np.abs(np.diff(joined)).max() < 1.5 * steepest
    quiet = frames(tone(200, 0.5, 4.0))
    assert any(limiter.limit(frame) is frame for frame in quiet)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20))
def test_nothing_reaches_full_scale(values: list[float]) -> None:
    limiter = Limiter()
    for value in values:
        hard = np.resize(np.array([value, -value, 0.95 * value, 0.2], np.float32), FRAME)
        assert np.abs(limiter.limit(hard)).max() < 1.0


def test_volumes_stay_between_nothing_and_fourfold() -> None:
    assert [gain_of(percent) for percent in (-5, 0, 50, 100, 9999)] == [0, 0, 0.5, 1, 4]


@pytest.mark.parametrize("change", [shorten, lengthen])
def test_stretching_a_vowel_moves_whole_periods_without_a_click(change: object) -> None:
    vowel = tone(150, 0.5, 0.1)[:FRAME]
    assert callable(change)
    out = change(vowel)
    assert abs(len(out) - FRAME) % (RATE // 150) in {0, 1, RATE // 150 - 1}
    assert len(out) != FRAME
    assert np.abs(np.diff(out)).max() < 1.3 * np.abs(np.diff(vowel)).max()


def test_a_hiss_is_not_stretched_and_silence_always_is() -> None:
    hiss = unvoiced(0.1, np.random.default_rng(2))[960 : 960 + FRAME]
    assert shorten(hiss) is hiss
    assert period(silence()) is not None


def test_int16_and_back_is_exact_to_one_step_and_clips() -> None:
    samples = speech(0.1)
    assert np.abs(from_int16(to_int16(samples)) - samples).max() <= 1 / 32_767
    assert to_int16(np.array([2, -2], np.float32)).tolist() == [32_767, -32_767]


def test_channels_become_their_mean() -> None:
    assert to_mono(np.array([[1, 0], [0.5, 0.5]], np.float32)).tolist() == [0.5, 0.5]


@given(st.lists(st.integers(0, 3000), max_size=20))
def test_chunks_of_any_size_become_the_same_frames(sizes: list[int]) -> None:
    samples = np.arange(sum(sizes), dtype=np.float32)
    framer, out, at = Framer(), [], 0
    for size in sizes:
        out += framer.push(samples[at : at + size])
        at += size
    assert all(frame.shape == (FRAME,) for frame in out)
    out += framer.flush()
    joined = np.concatenate(out) if out else silence(0)
    assert np.array_equal(joined[: len(samples)], samples)
    assert not joined[len(samples) :].any()


def test_a_full_ring_drops_and_an_empty_one_gives_less() -> None:
    ring = Ring(10)
    assert ring.write(np.arange(14, dtype=np.float32)) == 10
    assert ring.dropped == 4
    assert ring.read(4).tolist() == [0, 1, 2, 3]
    assert ring.write(np.arange(3, dtype=np.float32)) == 3
    assert ring.read().tolist() == [4, 5, 6, 7, 8, 9, 0, 1, 2]
    assert len(ring.read(5)) == 0


def test_a_ring_carries_every_sample_between_two_threads() -> None:
    ring, total = Ring(1000), 200_000
    samples = np.arange(total, dtype=np.float32)

    def write() -> None:
        at = 0
        while at < total:
            at += ring.write(samples[at : at + min(total - at, 1000 - len(ring), 333)])

    writer = threading.Thread(target=write)
    writer.start()
    read = [ring.read(257)]
    while (got := sum(len(one) for one in read)) < total and (writer.is_alive() or len(ring)):
        read.append(ring.read(min(257, total - got)))
    writer.join(10)
    assert np.array_equal(np.concatenate(read), samples)


def test_a_frame_loses_no_more_than_it_may() -> None:
    frame = speech(1.0)[4 * FRAME : 5 * FRAME]
    for most in (0, SHORTEST - 1, SHORTEST, 300, LONGEST, 5000):
        lost = FRAME - len(shorten(frame, most))
        assert 0 <= lost <= min(most, LONGEST)
