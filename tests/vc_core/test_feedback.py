"""Feedback: what is written is read once, by the other side of the link, and nothing else is."""

from __future__ import annotations

import pytest

from vc_core.errors import RemoteProtocolError
from vc_core.feedback import (
    EVERY_PIECE,
    FEEDBACK,
    MAX_ARRIVALS,
    MAX_WANTED,
    TICK,
    Feedback,
    Feedbacks,
    Wanted,
    fit,
)
from vc_core.packet import MAX_DATAGRAM

ONE, OTHER = b"1" * 32, b"2" * 32


def pair() -> tuple[Feedbacks, Feedbacks]:
    return Feedbacks(ONE, OTHER), Feedbacks(OTHER, ONE)


def some(count: int = 3, start: float = 10.0) -> Feedback:
    arrivals = tuple((7 + n, start + n * 0.001) for n in range(count))
    return Feedback(1, 4, arrivals, (Wanted(9, 2), Wanted(10, EVERY_PIECE)))


def test_what_is_written_is_read() -> None:
    viewer, sharer = pair()
    read = sharer.read(viewer.write(some()))
    assert (read.stream, read.generation, read.wanted) == (1, 4, some().wanted)
    assert [ctr for ctr, _ in read.arrivals] == [7, 8, 9]
    assert [at for _, at in read.arrivals] == pytest.approx([10.0, 10.001, 10.002], abs=TICK)


def test_the_largest_fits_into_a_datagram() -> None:
    viewer, sharer = pair()
    wanted = tuple(Wanted(n, n) for n in range(MAX_WANTED))
    whole = Feedback(1, 1, some(MAX_ARRIVALS).arrivals, wanted)
    datagram = viewer.write(whole)
    assert datagram[0] == FEEDBACK
    assert len(datagram) <= MAX_DATAGRAM
    assert len(sharer.read(datagram).arrivals) == MAX_ARRIVALS


def test_a_piece_that_is_wanted_forty_times_is_wanted_once() -> None:
    viewer, sharer = pair()
    same = Feedback(1, 1, (), (Wanted(9, EVERY_PIECE),) * (MAX_WANTED - 1) + (Wanted(9, 1),))
    assert sharer.read(viewer.write(same)).wanted == (Wanted(9, EVERY_PIECE), Wanted(9, 1))


def test_each_counts_once_and_a_few_may_overtake() -> None:
    viewer, sharer = pair()
    first, second = viewer.write(some()), viewer.write(some())
    sharer.read(second)
    sharer.read(first)
    for again in (first, second):
        with pytest.raises(RemoteProtocolError):
            sharer.read(again)


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_changed_byte_is_refused(at: int) -> None:
    viewer, sharer = pair()
    datagram = bytearray(viewer.write(some()))
    datagram[at] ^= 1
    with pytest.raises(RemoteProtocolError):
        sharer.read(bytes(datagram))


def test_ones_own_words_do_not_come_back() -> None:
    viewer, _ = pair()
    with pytest.raises(RemoteProtocolError):
        viewer.read(viewer.write(some()))


def test_times_go_on_beyond_thirty_two_bits() -> None:
    viewer, sharer = pair()
    late = (1 << 32) * TICK
    before = sharer.read(viewer.write(some(1, late - 1))).arrivals[0][1]
    after = sharer.read(viewer.write(some(1, late + 1))).arrivals[0][1]
    assert after - before == pytest.approx(2.0, abs=0.001)


def test_counters_and_times_far_apart_go_into_datagrams_of_their_own() -> None:
    arrivals = [(1, 0.0), (70_000, 0.1), (70_001, 5.0)]
    found = fit(1, 2, arrivals, [Wanted(1, 1)])
    assert [len(one.arrivals) for one in found] == [1, 1, 1]
    assert [bool(one.wanted) for one in found] == [False, False, True]
    viewer, sharer = pair()
    read = [one for each in found for one in sharer.read(viewer.write(each)).arrivals]
    assert [ctr for ctr, _ in read] == [1, 70_000, 70_001]
