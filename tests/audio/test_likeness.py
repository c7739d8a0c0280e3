"""The ear of the demo: what it calls alike, and how late it finds a voice."""

from __future__ import annotations

import numpy as np
import pytest
from pystoi import stoi

from audio.likeness import intelligibility, lateness, place_in, resemblance
from audio.pcm import RATE, Samples
from audio.synthetic import speech

CIRCLE = speech(2.0, seed=3)


def noisy(samples: Samples, level: float) -> Samples:
    noise = np.random.default_rng(5).standard_normal(len(samples)).astype(np.float32)
    return samples + noise * np.float32(level)


def heard_from(at: float, seconds: float) -> Samples:
    """What is heard from second ``at`` on of somebody who says the circle for ever."""
    return np.resize(np.roll(CIRCLE, -round(at * RATE)), int(seconds * RATE))


def test_a_voice_is_like_itself_and_not_like_another_or_noise() -> None:
    assert intelligibility(CIRCLE, CIRCLE) == pytest.approx(1.0)
    assert intelligibility(speech(2.0, seed=4), CIRCLE) < 0.5
    assert intelligibility(noisy(CIRCLE * np.float32(0), 0.1), CIRCLE) < 0.2
    assert intelligibility(CIRCLE * np.float32(0), CIRCLE) == 0.0


def test_too_little_sound_is_no_likeness() -> None:
    assert intelligibility(CIRCLE[:100], CIRCLE[:100]) == 0.0
    assert resemblance(CIRCLE[:0], CIRCLE, 4.0) == 0.0


@pytest.mark.parametrize("level", [0.0, 0.003, 0.02, 0.1])
def test_is_near_stoi(level: float) -> None:
    worse = noisy(CIRCLE, level)
    assert intelligibility(worse, CIRCLE) == pytest.approx(stoi(CIRCLE, worse, RATE), abs=0.15)


def test_finds_the_place_in_a_voice_that_repeats_while_another_talks() -> None:
    other = np.resize(speech(2.3, seed=8), 4 * RATE)
    assert place_in(heard_from(0.77, 4.0) + other, CIRCLE) == round(0.77 * RATE)


def test_finds_how_late_a_voice_is() -> None:
    heard = heard_from(1.5 - 0.043, 5.0)  # the ear opened 1.5 s after the mouth
    late = lateness(heard, CIRCLE, 1.5, 4.0)
    assert late == pytest.approx(0.043, abs=0.0005)


def test_a_silent_ear_has_no_lateness() -> None:
    assert lateness(np.zeros(5 * RATE, np.float32), CIRCLE, 0.0, 4.0) is None
    assert lateness(CIRCLE[:1000], CIRCLE, 0.0, 4.0) is None


def test_a_voice_that_moved_a_little_on_the_way_is_as_good_as_before() -> None:
    heard = heard_from(0.3, 4.0)
    moved = np.concatenate([heard[: 2 * RATE], heard[2 * RATE + 400 :], heard_from(0.3, 0.1)])
    assert resemblance(moved, CIRCLE, 4.0) > 0.95
    assert resemblance(heard * np.float32(0), CIRCLE, 4.0) == 0.0
    assert resemblance(np.resize(speech(2.1, seed=9), 4 * RATE), CIRCLE, 4.0) < 0.6
