"""The jitter buffer on virtual lines: what it plays, and how long it waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.jitter import MOST_PACKETS, Jitter, Kind, Slot, Stretch
from audio.pcm import BLOCK, FRAME, FRAME_SECONDS, RATE

START = 0xFFFF_F000  # wraps after four packets


def stamp(number: int) -> int:
    return (START + number * FRAME) % 2**32


def name(number: int) -> bytes:
    return number.to_bytes(2, "big")


def put(jitter: Jitter, number: int, now: float, last: bool = False) -> None:
    jitter.put(stamp(number), name(number), last, now)


def steady(jitter: Jitter, numbers: list[int], upto: int, wait: float = 0.012) -> list[Slot]:
    """Packets on the beat (those of ``numbers``), pulled ``wait`` later."""
    slots = []
    for number in range(upto):
        now = number * FRAME_SECONDS
        if number in numbers:
            put(jitter, number, now)
        slots.append(jitter.get(now + wait, block=FRAME))
    return slots


def heard_before() -> Jitter:
    """A buffer that has played a talk spurt of one packet, number 0, at 12 ms."""
    jitter = Jitter()
    put(jitter, 0, 0.0, last=True)
    assert jitter.get(0.012).kind is Kind.PLAY
    return jitter


def test_plays_everything_in_order_over_the_wrap_when_nothing_is_wrong() -> None:
    slots = steady(Jitter(), list(range(200)), 200)
    assert [slot.payload for slot in slots] == [name(number) for number in range(200)]
    assert {slot.kind for slot in slots} == {Kind.PLAY}
    assert {slot.stretch for slot in slots} == {Stretch.NONE}


def test_waits_for_no_more_than_a_beat_and_the_first_margin() -> None:
    jitter = Jitter()
    slots = steady(jitter, list(range(50)), 50, wait=0.001)
    played = [slot for slot in slots if slot.kind is Kind.PLAY]
    assert max(slot.waited for slot in played) <= 0.03


def test_makes_a_lost_frame_up_and_keeps_the_delay() -> None:
    numbers = [number for number in range(100) if number != 40]
    slots = steady(Jitter(), numbers, 100)
    assert slots[40].kind is Kind.CONCEAL
    assert slots[41].payload == name(41)
    assert slots[99].payload == name(99)


def test_restores_a_lost_frame_when_the_next_packet_is_there() -> None:
    jitter = heard_before()
    for number in (1, 2, 4, 5):
        put(jitter, number, number * FRAME_SECONDS)
    slots = [jitter.get(0.12 + number * FRAME_SECONDS) for number in range(5)]
    kinds = [slot.kind for slot in slots]
    assert kinds == [Kind.PLAY, Kind.PLAY, Kind.RESTORE, Kind.PLAY, Kind.PLAY]
    assert slots[2].payload == slots[3].payload == name(4)


def test_plays_a_packet_that_was_only_late() -> None:
    jitter = Jitter()
    steady(jitter, list(range(20)), 21)
    put(jitter, 20, 20.9 * FRAME_SECONDS)
    put(jitter, 21, 21 * FRAME_SECONDS)
    slot = jitter.get(21 * FRAME_SECONDS + 0.012)
    assert (slot.kind, slot.payload) == (Kind.PLAY, name(20))


LONG = 600  # packets that make a voice well known


def from_then_on(late: Callable[[int], float]) -> list[Slot]:
    """What is played from packet LONG on, which is not there when it should be.

    It and those after it are ``late(0)``, ``late(1)``, ... seconds late; none overtakes another.
    """
    jitter, slots, held, coming = Jitter(), list[Slot](), 0, 0
    for beat in range(2 * LONG + 80):
        now = beat * BLOCK / RATE + 0.009
        while (at := coming * FRAME_SECONDS + late(coming - LONG)) <= now:
            put(jitter, coming, at)
            coming += 1
        while held < BLOCK:
            slot = jitter.get(now, held)
            slots.append(slot)
            held += slot.length if slot.kind is Kind.CONCEAL else FRAME - slot.skip
        held -= BLOCK
    assert {slot.kind for slot in slots[:LONG]} == {Kind.PLAY}
    return slots[LONG:]


def stall(seconds: float) -> list[Slot]:
    """The same when nothing comes for a while, and then all at once."""
    return from_then_on(lambda number: max(0.0, seconds - number * FRAME_SECONDS) * (number >= 0))


def test_a_packet_that_comes_a_little_late_is_played_from_where_it_should_be() -> None:
    made_up, late, on_time = stall(0.016)[:3]
    assert (made_up.kind, made_up.skip, made_up.length) == (Kind.CONCEAL, 0, BLOCK)
    assert (late.payload, late.skip) == (name(LONG), BLOCK)
    assert (on_time.payload, on_time.skip) == (name(LONG + 1), 0)
    assert (made_up.keep, late.back, on_time.back) == (True, True, False)


def test_a_short_stall_does_not_make_the_delay_longer() -> None:
    slots = stall(0.035)
    assert [slot.length for slot in slots if slot.kind is Kind.CONCEAL] == [BLOCK] * 3
    played = [(slot.payload, slot.skip) for slot in slots if slot.kind is Kind.PLAY]
    assert played[:3] == [(name(LONG), FRAME), (name(LONG + 1), BLOCK), (name(LONG + 2), 0)]


def test_after_a_longer_stall_everything_is_played() -> None:
    played = [slot for slot in stall(0.065) if slot.kind is Kind.PLAY]
    assert [slot.payload for slot in played[:3]] == [name(LONG + number) for number in range(3)]
    assert {slot.skip for slot in played} == {0}
    assert played[0].back


def test_packets_that_go_on_coming_late_make_the_delay_longer() -> None:
    slots = from_then_on(lambda number: 0.016 if number >= 0 else 0.0)
    left_out = [slot.skip for slot in slots if slot.kind is Kind.PLAY]
    assert 2 <= left_out.index(0) <= 6
    assert not any(left_out[left_out.index(0) :])


def test_takes_the_end_of_talking_for_silence_and_not_for_loss() -> None:
    jitter = Jitter()
    put(jitter, 0, 0.0)
    put(jitter, 1, 0.02, last=True)
    kinds = [jitter.get(0.012 + number * FRAME_SECONDS).kind for number in range(10)]
    assert kinds == [Kind.PLAY, Kind.PLAY, *[Kind.SILENCE] * 8]
    assert jitter.lost == 0


def test_rests_after_a_tenth_of_a_second_without_packets() -> None:
    jitter = Jitter()
    slots = steady(jitter, list(range(10)), 30)
    made_up = [slot for slot in slots if slot.kind is Kind.CONCEAL]
    assert len(made_up) == 5
    assert made_up[-1].last
    assert slots[-1].kind is Kind.SILENCE


def test_ignores_a_packet_older_than_what_was_played_even_in_silence() -> None:
    jitter = Jitter()
    put(jitter, 5, 0.1)
    put(jitter, 6, 0.12, last=True)
    for number in range(5):
        jitter.get(0.13 + number * FRAME_SECONDS)
    put(jitter, 4, 0.24)
    assert jitter.get(0.3).kind is Kind.SILENCE


def test_waits_longer_while_packets_get_lost_so_that_they_can_be_restored() -> None:
    jitter = Jitter()
    before = jitter.target
    numbers = [number for number in range(300) if number % 10]
    steady(jitter, numbers, 300)
    assert jitter.loss == pytest.approx(0.1, abs=0.04)
    assert jitter.target >= before + FRAME_SECONDS - 0.005


def test_learns_the_jitter_of_the_line() -> None:
    calm, shaken = Jitter(), Jitter()
    for number in range(500):
        put(calm, number, number * FRAME_SECONDS)
        put(shaken, number, number * FRAME_SECONDS + (number * 7 % 50) / 1000)
    assert calm.target < 0.012
    assert 0.045 < shaken.target < 0.06


def test_believes_a_clock_that_jumped_once_two_packets_agree() -> None:
    jitter = Jitter()
    steady(jitter, list(range(50)), 50)
    far = 10_000_000
    now = 1.02
    jitter.put((stamp(0) + far) % 2**32, b"far", False, now)
    assert len(jitter) == 0
    jitter.put((stamp(1) + far) % 2**32, b"far too", False, now + 0.02)
    assert jitter.get(now + 0.05).payload == b"far too"


def test_keeps_at_most_a_second_of_packets_and_the_newest_ones() -> None:
    jitter = heard_before()
    for number in range(1, MOST_PACKETS + 31):
        put(jitter, number, 0.5)
    assert len(jitter) == MOST_PACKETS
    assert jitter.get(2.0).payload == name(31)


def test_shrinks_a_delay_that_is_no_longer_needed() -> None:
    jitter = heard_before()
    stretches = []
    for number in range(1, 200):
        now = number * FRAME_SECONDS
        put(jitter, number, now)
        if number >= 10:  # the speaker stood still: 200 ms have piled up
            stretches.append(jitter.get(now + 0.005).stretch)
    assert Stretch.SHORTER in stretches
    assert Stretch.SHORTER not in stretches[:12]  # not before a calm quarter of a second


def test_plays_nothing_of_what_piled_up_before_a_talker_was_heard_at_all() -> None:
    jitter = Jitter()
    for number in range(20):
        put(jitter, number, 0.4)  # all at once: the keys came late
    first = jitter.get(0.41)
    assert (first.kind, first.payload) == (Kind.PLAY, name(19))
    assert jitter.lost == 0
    assert jitter.target < 0.012


def test_does_not_take_a_slow_beginning_for_jitter() -> None:
    jitter = Jitter()
    put(jitter, 0, 0.03)  # 30 ms late: a program that starts
    for number in range(1, 50):
        put(jitter, number, number * FRAME_SECONDS)
    assert jitter.target < 0.012


def test_forgets_within_seconds_that_a_call_began_badly() -> None:
    jitter = Jitter()
    for number in range(300):
        late = 0.06 if number in (3, 8, 13) else 0.0
        put(jitter, number, number * FRAME_SECONDS + late)
        if number == 20:
            assert jitter.target > 0.05
    assert jitter.target < 0.012


def test_takes_away_no_more_than_is_needless() -> None:
    jitter = heard_before()
    for number in range(1, 100):
        now = number * FRAME_SECONDS
        put(jitter, number, now)
        slot = jitter.get(now + 0.012, held=600)
        if slot.stretch is Stretch.SHORTER:
            assert slot.most == 600
            return
    raise AssertionError("the held samples stay")


operations = st.tuples(
    st.sampled_from(["put", "get"]),
    st.integers(0, 2**32 - 1) | st.integers(0, 60).map(lambda number: number * FRAME),
    st.binary(max_size=3),
    st.booleans(),
    st.floats(0, 0.5),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(operations, max_size=120))
def test_whatever_arrives_nothing_is_raised_and_memory_is_bounded(
    steps: list[tuple[str, int, bytes, bool, float]],
) -> None:
    jitter, now = Jitter(), 0.0
    for what, timestamp, payload, last, pause in steps:
        now += pause
        if what == "put":
            jitter.put(timestamp, payload, last, now)
        else:
            slot = jitter.get(now)
            assert bool(slot.payload) == (slot.kind in {Kind.PLAY, Kind.RESTORE})
        assert len(jitter) <= MOST_PACKETS
        assert 0.0 <= jitter.loss <= 1.0
        assert 0.0 < jitter.target < 1.0
