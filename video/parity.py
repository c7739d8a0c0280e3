"""Parity: pieces from which as many lost ones can be made up, whichever they are.

A Cauchy matrix over GF(2^8) with the polynomial 0x11D (Reed and Solomon 1960; the
Cauchy form: Bloemer et al. 1995): the coefficient of data piece j in parity row i is
1 / ((128 + i) XOR j), and every square part of such a matrix can be inverted. So
rows can be added at will: a receiver needs no word about how many there are.

Each data piece counts as u16 length | bytes | zeros, all equally long within a block.

Rule: what comes from the network is bounded before it gets here, and what does not
      fit together restores nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

# Specification
POLYNOMIAL = 0x11D
BLOCK = 32  # data pieces that one set of parity rows covers, at most
ROWS = 16  # parity pieces of one block, at most
FIRST_ROW = 128

Bytes8 = npt.NDArray[np.uint8]


def _tables() -> tuple[Bytes8, Bytes8]:
    """(products of all pairs, inverses)."""
    powers, logs = [0] * 510, [0] * 256
    value = 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = value
        logs[value] = exponent
        value = value << 1 ^ (POLYNOMIAL if value & 128 else 0)
    power, log = np.array(powers, dtype=np.uint8), np.array(logs)
    products = power[log[:, None] + log[None, :]]
    products[0, :] = products[:, 0] = 0
    inverses = np.array([0, *(powers[255 - logs[one]] for one in range(1, 256))], dtype=np.uint8)
    return products, inverses


@cache
def _field() -> tuple[Bytes8, Bytes8]:
    """The tables, made when first needed (1 ms)."""
    return _tables()


@cache
def _multiplying() -> tuple[bytes, ...]:
    """By a factor: what ``bytes.translate`` multiplies with, a row in 27 µs."""
    products, _ = _field()
    return tuple(row.tobytes() for row in products)


def blocks_of(count: int) -> int:
    """Into how many blocks a frame's data pieces are dealt; piece i belongs to i mod that."""
    return -(-count // BLOCK)


def coefficient(row: int, column: int) -> int:
    """Of a data piece in a parity row."""
    return int(_field()[1][(FIRST_ROW + row) ^ column])


def _sum(pieces: Sequence[bytes], columns: Sequence[int], row: int, size: int) -> Bytes8:
    """What data pieces, each in its column, give to a parity row."""
    _, inverses = _field()
    tables = _multiplying()
    factors = inverses[(FIRST_ROW + row) ^ np.array(columns)].tolist()
    scaled = b"".join(
        (len(piece).to_bytes(2, "big") + piece).translate(tables[factor]).ljust(size, b"\0")
        for piece, factor in zip(pieces, factors, strict=True)
    )
    symbols = np.frombuffer(scaled, dtype=np.uint8).reshape(len(pieces), size)
    total: Bytes8 = np.bitwise_xor.reduce(symbols, axis=0)
    return total


def parity(pieces: Sequence[bytes], row: int) -> bytes:
    """Parity row ``row`` of one block of at most ``BLOCK`` pieces."""
    size = 2 + max(map(len, pieces))
    return _sum(pieces, range(len(pieces)), row, size).tobytes()


def restore(
    count: int, present: Mapping[int, bytes], rows: Mapping[int, bytes]
) -> dict[int, bytes]:
    """The missing pieces of a block of ``count``; nothing unless enough rows fit together."""
    missing = [one for one in range(count) if one not in present]
    chosen = sorted(rows)[: len(missing)]
    sizes = {len(rows[row]) for row in chosen}
    if not missing or len(chosen) < len(missing) or len(sizes) != 1:
        return {}
    size = sizes.pop()
    if size < 2 or any(len(piece) + 2 > size for piece in present.values()):
        return {}
    products, inverses = _field()
    left = np.frombuffer(b"".join(rows[row] for row in chosen), dtype=np.uint8)
    left = left.reshape(len(chosen), size).copy()
    columns = sorted(present)
    if columns:
        pieces = [present[one] for one in columns]
        for at, row in enumerate(chosen):
            left[at] ^= _sum(pieces, columns, row, size)
    matrix = inverses[(FIRST_ROW + np.array(chosen))[:, None] ^ np.array(missing)[None, :]]
    return _read(missing, _solve(matrix, left, products, inverses))


def _solve(matrix: Bytes8, right: Bytes8, products: Bytes8, inverses: Bytes8) -> Bytes8:
    """Gauss and Jordan; a Cauchy matrix has no zero pivot after exchanges."""
    matrix = matrix.copy()
    for at in range(len(matrix)):
        pivot = at + int(np.argmax(matrix[at:, at] != 0))
        for rows in (matrix, right):
            rows[[at, pivot]] = rows[[pivot, at]]
        inverse = inverses[matrix[at, at]]
        matrix[at], right[at] = products[inverse, matrix[at]], products[inverse, right[at]]
        for other in range(len(matrix)):
            factor = matrix[other, at]
            if other != at and factor:
                matrix[other] ^= products[factor, matrix[at]]
                right[other] ^= products[factor, right[at]]
    return right


def _read(missing: Sequence[int], symbols: Any) -> dict[int, bytes]:
    """Pieces out of their symbols; a wrong length inside restores nothing."""
    found = {}
    for column, symbol in zip(missing, symbols, strict=True):
        whole = symbol.tobytes()
        length = int.from_bytes(whole[:2], "big")
        if length > len(whole) - 2:
            return {}
        found[column] = whole[2 : 2 + length]
    return found
