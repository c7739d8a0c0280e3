"""Parity: any pieces can be made up from as many rows, and nonsense restores nothing."""

from __future__ import annotations

import random

import pytest

from video.parity import BLOCK, ROWS, coefficient, parity, restore

CHANCE = random.Random(5)


def pieces(count: int, size: int = 300) -> list[bytes]:
    return [CHANCE.randbytes(size) for _ in range(count - 1)] + [CHANCE.randbytes(size // 3 or 1)]


@pytest.mark.parametrize("count", [1, 2, 7, BLOCK])
@pytest.mark.parametrize("lost", [1, 2, 5])
def test_any_lost_pieces_are_restored_from_any_rows(count: int, lost: int) -> None:
    whole, lost = pieces(count), min(lost, count)
    gone = CHANCE.sample(range(count), lost)
    rows = {row: parity(whole, row) for row in CHANCE.sample(range(ROWS), lost)}
    present = {n: piece for n, piece in enumerate(whole) if n not in gone}
    assert restore(count, present, rows) == {n: whole[n] for n in gone}


def test_a_block_of_which_nothing_came_is_restored() -> None:
    whole = pieces(6)
    assert restore(6, {}, {row: parity(whole, row) for row in range(6)}) == dict(enumerate(whole))


def test_too_few_rows_restore_nothing() -> None:
    whole = pieces(5)
    assert restore(5, {0: whole[0]}, {0: parity(whole, 0)}) == {}


def test_rows_that_do_not_fit_together_restore_nothing() -> None:
    whole = pieces(4)
    rows = {0: parity(whole, 0), 1: parity(whole, 1)[:-1]}
    assert restore(4, dict(enumerate(whole[2:], 2)), rows) == {}
    assert restore(4, {n: bytes(999) for n in range(3)}, {0: parity(whole, 0)}) == {}
    assert restore(2, {0: b""}, {0: b"\xff"}) == {}


def test_a_length_that_cannot_be_restores_nothing() -> None:
    assert restore(1, {}, {0: b"\xff" * 40}) == {}


def test_the_field_is_the_one_of_the_specification() -> None:
    """Row 0, column 0: the inverse of 128 under 0x11D, by hand."""
    one, other = coefficient(0, 0), 128
    product = 0
    for bit in range(8):
        if other >> bit & 1:
            product ^= one << bit
    for bit in range(15, 7, -1):
        if product >> bit & 1:
            product ^= 0x11D << (bit - 8)
    assert product == 1
