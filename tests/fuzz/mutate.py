"""Random changes of valid bytes: what parsers fear most is what is nearly right."""

from __future__ import annotations

import random
from collections.abc import Sequence

INTERESTING = (b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\xff", b"\x00\x00", b"\n", b'"')
LONGEST = 4096  # bytes of an input


def mutate(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with a few changes, or two of them crossed."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        _change(chance, data, seeds)
    return bytes(data[:LONGEST])


def _change(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    match chance.randrange(7):
        case 0 if data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        case 1:
            data[at : at + 1] = chance.choice(INTERESTING)
        case 2:
            del data[at : at + chance.choice((1, 2, 8, 64))]
        case 3:
            data[at:at] = chance.randbytes(chance.choice((1, 2, 8, 64)))
        case 4:
            data[at:at] = data[at : at + chance.choice((1, 4, 32))]
        case 5:
            other = chance.choice(seeds)
            data[at:] = other[chance.randrange(len(other) + 1) :]
        case _:
            data[at : at + 2] = chance.choice(INTERESTING)
