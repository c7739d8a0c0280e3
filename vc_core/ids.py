"""The small names of things: who, where, which.

A member is known by its *number* in the room (given by the host, never reused).
A *link* is one session between two members: its keys, its QUIC connection and
the road that carries both. A new link replaces an older one. A road goes one of
several *ways*: an ICE pair, or a forwarder.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, NewType

Member = NewType("Member", int)
"""Number of a member within its room: 0 is the founder; u16, never reused."""

LinkId = NewType("LinkId", int)
"""Local number of one session with one member; counts up from 1."""

ExchangeId = NewType("ExchangeId", int)
"""Number that the signaling server gave to one knock at one nameplate; u32."""

Rng = Callable[[int], bytes]
"""Chance as an argument: a function from a count to that many random bytes."""


class Rung(IntEnum):
    """How packets reach a member; the value is the order of preference."""

    DIRECT = 1
    HOSTED = 2
    RELAYED = 3

    @property
    def word(self) -> str:
        """The word of the JSON interface."""
        return self.name.lower()


class Way(NamedTuple):
    """One way to one member."""

    rung: Rung
    number: int
    """Of the attempt at a direct pair (u16, from 1), or of the forwarder (u32)."""

    @property
    def name(self) -> bytes:
        """Five bytes, the same at both ends."""
        return bytes([self.rung.value]) + self.number.to_bytes(4, "big")


FOUNDER = Member(0)
NOBODY = Member(0xFFFF)
"""Stands for a member whose number is not known yet; never given to anyone."""


def member_word(member: Member) -> str:
    """The id of a member in the JSON interface."""
    return f"m{member}"


def member_from_word(word: str) -> Member | None:
    """The member behind an id of the JSON interface, or None if it is no id."""
    digits = word.removeprefix("m")
    if not (word.startswith("m") and digits.isascii() and digits.isdigit() and len(digits) <= 5):
        return None
    return Member(int(digits))
