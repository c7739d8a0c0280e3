"""Cutting and putting together: order, loss, doubles, hostile counts, bounded memory."""

from __future__ import annotations

import random
import time
from unittest import mock

import pytest

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.feedback import EVERY_PIECE, Wanted
from vc_core.packet import MAX_PAYLOAD
from video.fragment import (
    MAX_PIECES,
    PIECE_LAYOUT,
    PIECE_SIZE,
    Codec,
    Fragments,
    Picture,
    Piece,
    read_piece,
)
from video.parity import BLOCK, ROWS, restore
from video.reassembly import (
    MAX_BYTES,
    MAX_CLAIMED,
    MAX_FRAMES,
    MAX_UNSEEN,
    REORDER,
    TAIL,
    Reassembly,
)

CHANCE = random.Random(11)
RTT = 0.05


def picture(number: int, back: int = 1, size: int = 5000) -> Picture:
    return Picture(number, back, Codec.H264, 33 * number, 640, 360, CHANCE.randbytes(size))


def cut(one: Picture, rows: int = 0) -> list[bytes]:
    fragments = Fragments(one)
    data = [fragments.data(n) for n in range(fragments.count)]
    return data + [fragments.parity(n) for n in range(rows * fragments.blocks)]


class Table:
    """One stream as it arrives."""

    def __init__(self) -> None:
        self.reassembly = Reassembly()
        self.now = 0.0

    def take(self, one: Picture, payloads: list[bytes]) -> list[int]:
        for payload in payloads:
            self.now += 0.001
            self.reassembly.take(read_piece(payload), one.timestamp, 1, self.now)
        return [whole.picture.number for whole in self.reassembly.ready()]

    def wanted(self, later: float = 0.0) -> list[Wanted]:
        self.now += later
        return self.reassembly.wanted(self.now, RTT)


@pytest.fixture
def table() -> Table:
    table = Table()
    first = picture(0, 0)
    assert table.take(first, cut(first)) == [0]
    return table


@pytest.mark.parametrize("size", [1, PIECE_SIZE - 4, PIECE_SIZE - 3, 40_000, 120_000])
def test_a_frame_comes_out_as_it_went_in_whatever_the_order(size: int) -> None:
    one, table = picture(0, 0, size), Reassembly()
    payloads = cut(one, 2)
    assert max(map(len, payloads)) <= MAX_PAYLOAD
    CHANCE.shuffle(payloads)
    for payload in payloads:
        table.take(read_piece(payload), one.timestamp, 1, 0.0)
    (whole,) = table.ready()
    assert whole.picture == one


def test_frames_leave_in_the_order_in_which_they_decode(table: Table) -> None:
    first, second, third = picture(1), picture(2), picture(3)
    assert table.take(third, cut(third)) == []
    assert table.take(second, cut(second)) == []
    assert table.take(first, cut(first)) == [1, 2, 3]


def test_frames_of_another_encoding_between_them_are_not_missed(table: Table) -> None:
    other = picture(4, 4)
    assert table.take(other, cut(other)) == [4]
    assert table.wanted(1.0) == []


def test_a_key_frame_leaves_at_once_and_what_is_older_is_forgotten(table: Table) -> None:
    late, key = picture(1), picture(2, 0)
    assert table.take(late, cut(late)[:-1]) == []
    assert table.take(key, cut(key)) == [2]
    assert table.take(late, cut(late)[-1:]) == []
    assert table.reassembly.waiting == 0


def test_nothing_leaves_before_the_first_key_frame() -> None:
    table, one = Table(), picture(7)
    assert table.take(one, cut(one)) == []
    assert table.reassembly.stuck(table.now, RTT)
    assert table.wanted(1.0) == []


def test_doubles_change_nothing(table: Table) -> None:
    one = picture(1)
    payloads = cut(one, 1)
    assert table.take(one, payloads[:2] * 3) == []
    assert table.take(one, payloads[2:] * 2) == [1]
    assert table.take(one, payloads) == []
    assert table.reassembly.waiting == 0


@pytest.mark.parametrize("size", [5000, 60_000])
def test_lost_pieces_are_made_up_from_parity(table: Table, size: int) -> None:
    one = picture(1, size=size)
    payloads = cut(one, 2)
    assert table.take(one, payloads[2:]) == [1]


def test_missing_pieces_are_asked_for_when_later_ones_have_come(table: Table) -> None:
    one = picture(1)
    payloads = cut(one)
    table.take(one, payloads[:1] + payloads[2:])
    assert table.wanted() == []
    assert table.wanted(REORDER) == [Wanted(1, 1)]
    assert table.wanted(RTT) == []
    assert table.wanted(RTT) == [Wanted(1, 1)]
    assert table.take(one, payloads[1:2]) == [1]
    assert table.wanted(1.0) == []


def test_the_rest_of_a_frame_is_asked_for_after_silence(table: Table) -> None:
    one = picture(1)
    table.take(one, cut(one)[:3])
    assert table.wanted(TAIL / 2) == []
    assert table.wanted(TAIL) == [Wanted(1, 3), Wanted(1, 4)]


def test_a_frame_of_which_nothing_came_is_asked_for_whole(table: Table) -> None:
    two, three = picture(2), picture(3)
    table.take(two, cut(two))
    assert table.wanted(REORDER) == [Wanted(1, EVERY_PIECE)]
    table.take(three, cut(three))
    assert table.wanted(0.02) == []


def test_no_more_pieces_are_asked_for_than_parity_lacks(table: Table) -> None:
    one = picture(1)
    payloads = cut(one, 1)
    table.take(one, payloads[2:])
    assert len(table.wanted(TAIL)) == 1


def test_a_frame_that_keeps_others_waiting_is_given_up(table: Table) -> None:
    one, two = picture(1), picture(2)
    table.take(one, cut(one)[1:])
    assert table.take(two, cut(two)) == []
    patience = table.reassembly.patience(RTT)
    assert not table.reassembly.stuck(table.now + patience / 2, RTT)
    assert table.reassembly.stuck(table.now + patience, RTT)
    assert table.reassembly.waiting == 0
    key = picture(3, 0)
    assert table.take(key, cut(key)) == [3]


def test_memory_is_bounded_by_frames(table: Table) -> None:
    for number in range(2, 3 * MAX_FRAMES):
        one = picture(number)
        table.take(one, cut(one)[:1])
    assert len(table.reassembly._frames) <= MAX_FRAMES


def test_memory_is_bounded_by_bytes(table: Table) -> None:
    count = MAX_PIECES
    for number in range(2, 40):
        for index in range(0, count - 1, 2):
            piece = Piece(number, index, count, False, False, 1, 1, bytes(PIECE_SIZE))
            table.reassembly.take(piece, 0, 1, 0.0)
    assert table.reassembly.waiting <= MAX_BYTES


def test_parity_that_lies_is_tried_once_for_each_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried again with each piece, it would cost a quarter of a second for a datagram."""
    tried: list[int] = []

    def tells(count: int, present: dict[int, bytes], rows: dict[int, bytes]) -> dict[int, bytes]:
        tried.append(count)
        return restore(count, present, rows)

    monkeypatch.setattr("video.reassembly.restore", tells)
    reassembly, blocks = Reassembly(), MAX_PIECES // BLOCK
    for index in range(blocks * ROWS):
        lie = b"\xff" * (PIECE_SIZE + 2)
        reassembly.take(Piece(0, index, MAX_PIECES, True, True, 1, 0, lie), 0, 1, 0.0)
    for index in range(MAX_PIECES - 1):
        data = bytes(PIECE_SIZE)
        reassembly.take(Piece(0, index, MAX_PIECES, True, False, 1, 0, data), 0, 1, 0.0)
    assert len(tried) == blocks
    last = Piece(0, MAX_PIECES - 1, MAX_PIECES, True, False, 1, 0, bytes(PIECE_SIZE))
    reassembly.take(last, 0, 1, 0.0)
    (whole,) = reassembly.ready()
    assert not any(whole.picture.data)
    assert reassembly.waiting == 0


def test_pieces_that_frames_only_claim_to_have_are_bounded(table: Table) -> None:
    for number in range(1, 2 * MAX_FRAMES):
        one = Piece(number, 0, MAX_PIECES, True, False, 1, 0, bytes(PIECE_SIZE))
        table.reassembly.take(one, 0, 1, table.now)
        table.wanted(0.1)
        waiting = table.reassembly._frames.values()
        assert sum(frame.first.count for frame in waiting) <= MAX_CLAIMED


def test_what_was_asked_for_is_forgotten_with_its_frame(table: Table) -> None:
    for number in range(1, 2000):
        needs, alone = picture(4 * number, 2), picture(4 * number + 1, 1)
        table.take(needs, cut(needs)[:1])
        table.take(alone, cut(alone)[1:])
        table.wanted(0.1)
    reassembly = table.reassembly
    asked = sum(len(frame.asked) for frame in reassembly._frames.values())
    assert asked <= MAX_CLAIMED and len(reassembly._asked) <= MAX_UNSEEN


def test_pieces_that_contradict_their_frame_are_dropped(table: Table) -> None:
    one, other = picture(1), picture(1, size=9000)
    table.take(one, cut(one)[:2])
    assert table.take(other, cut(other)) == []
    assert table.take(one, cut(one)[2:]) == [1]


def test_a_key_frame_far_behind_begins_the_stream_anew() -> None:
    """Somebody may have sent a number that is far ahead, in another's name."""
    table, wild = Table(), picture(4_000_000_000, 0)
    assert table.take(wild, cut(wild)) == [4_000_000_000]
    near, key = picture(11), picture(10, 0)
    assert table.take(near, cut(near)) == []
    assert table.take(key, cut(key)) == [10]
    assert table.take(near, cut(near)) == [11]


@pytest.mark.parametrize(
    "head",
    [
        (1, 0, 0, 0, 1, 1),
        (1, 5, 5, 0, 1, 1),
        (1, 0, MAX_PIECES + 1, 0, 1, 1),
        (1, 0, 5, 4, 1, 1),
        (1, 0, 5, 0, 9, 1),
        (1, 0, 5, 1, 1, 1),
        (1, 0, 5, 0, 1, 0),
        (1, 0, 5, 0, 1, 2),
        (1, 16, 5, 2, 1, 1),
    ],
)
def test_pieces_that_cannot_be_are_refused(head: tuple[int, ...]) -> None:
    with pytest.raises(RemoteProtocolError):
        read_piece(PIECE_LAYOUT.pack(*head) + bytes(PIECE_SIZE))


def test_a_piece_of_a_wrong_size_is_refused() -> None:
    for size in (0, PIECE_SIZE - 1, PIECE_SIZE + 1):
        with pytest.raises(RemoteProtocolError):
            read_piece(PIECE_LAYOUT.pack(1, 0, 5, 0, 1, 1) + bytes(size))


def test_a_frame_that_is_too_large_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        Fragments(picture(1, 0, PIECE_SIZE * MAX_PIECES))


def test_pieces_of_frames_that_never_become_whole_cost_little_work_and_little_memory() -> None:
    reassembly, now, worst = Reassembly(), 0.0, 0.0
    for number in range(3000):
        head = PIECE_LAYOUT.pack(number // 3, number % 900, MAX_PIECES, 3, 1, 0)
        began = time.thread_time()
        reassembly.take(read_piece(head + bytes(1000)), number, 1, now)
        assert reassembly.ready() == []
        if number % 50 == 0:
            reassembly.wanted(now, 0.01)
        worst = max(worst, time.thread_time() - began)
        assert reassembly.waiting <= MAX_BYTES
        now += 0.0001
    assert worst < 0.02, "s of the loop on which voice runs; 0.1 ms when nothing disturbs"


def test_a_block_that_parity_cannot_restore_is_tried_once() -> None:
    fragments, frame = Fragments(picture(3, 0, PIECE_SIZE * 3)), Reassembly()
    tries: list[tuple[object, ...]] = []

    def count(*arguments: object) -> dict[int, bytes]:
        tries.append(arguments)
        return {}

    with mock.patch("video.reassembly.restore", count):
        for payload in (fragments.data(0), fragments.data(1), *map(fragments.parity, range(5))):
            frame.take(read_piece(payload), 99, 1, 0.0)
    assert len(tries) == 1
    assert frame.wanted(1.0, 0.05) == [Wanted(3, 2), Wanted(3, 3)]


def test_pieces_in_order_are_looked_at_when_they_fall_silent_and_a_gap_at_once(
    table: Table,
) -> None:
    one = picture(1)
    pieces = cut(one)
    assert table.reassembly.next_timer(table.now) == float("inf")
    table.take(one, pieces[:2])
    assert not table.reassembly.troubled
    assert table.reassembly.next_timer(table.now) == table.now + TAIL
    table.take(one, pieces[3:4])
    assert table.reassembly.troubled
    assert table.reassembly.next_timer(table.now) == table.now + REORDER
    assert table.take(one, pieces[2:3] + pieces[4:]) == [1]
    assert table.reassembly.next_timer(table.now) == float("inf")


@pytest.mark.parametrize("back", [1, 2])
def test_a_frame_whose_need_is_missing_is_looked_at_soon(table: Table, back: int) -> None:
    one = picture(2, back)
    table.take(one, cut(one)[:1])
    assert table.reassembly.troubled is (back == 1)


def test_a_frame_before_which_another_is_not_whole_is_looked_at_soon(table: Table) -> None:
    one, two = picture(1), picture(2)
    table.take(one, cut(one)[:-1])
    assert not table.reassembly.troubled
    table.take(two, cut(two)[:1])
    assert table.reassembly.troubled
    assert table.reassembly.next_timer(table.now) == table.now + REORDER
