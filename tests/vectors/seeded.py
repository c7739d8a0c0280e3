"""Chance for vectors: the same bytes each time."""

from __future__ import annotations

import hashlib

from vc_core.ids import Rng


def seeded(name: str) -> Rng:
    """A source of bytes that depends on ``name`` alone."""
    count = 0

    def rng(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"vchat vectors {name} {count}".encode()).digest(size)

    return rng


def flipped(data: bytes, at: int, bit: int = 1) -> bytes:
    """``data`` with one bit of the byte ``at`` changed."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
