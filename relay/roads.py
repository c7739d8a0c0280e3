"""Roads: what a forwarder looks up once for all datagrams of a member that begin alike.

    packet as it came        | 9 | PASS, slot of the receiver | inner …
    packet as it goes on     | 9 | PASS, slot of the sender   | inner …

    packet as it came        | 9 | SPREAD, handle | inner …
    packet as it goes on     | PASS, slot of the sender | inner …

A *packet* is a datagram behind one more byte, so that a copy is made where the
datagram is: its first four bytes, its *lead*, say which road it takes, and the road
says by which four they are replaced, and where the copy begins.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from vc_core.envelope import MAX_INNER, PASS, PASS_OVERHEAD, SPREAD

# Implementation
FRONT = bytes((PASS,))
"""The byte before a datagram; it stays what it is, whatever is written over a lead."""
_LEAD = struct.Struct("=I")
LEAD = _LEAD.size
"""Bytes of a lead, which is a number as the machine reads it."""
HEADERS = 48
"""Bytes that a datagram counts at its sender's rate besides its own: IPv6 and UDP."""
WORK = 500
"""What sending one counts besides its bytes: a core sends 100 000 small ones a second."""
ENDLESS = 1 << 16
"""Bytes that no datagram has."""
_OVERHEADS = {PASS: PASS_OVERHEAD, SPREAD: 2}

Source = Any
"""Whatever a carrier calls an address; hashable."""
Ways = tuple[tuple[Callable[[memoryview, int], object], Source], ...]
"""For each target what sends a copy with flags, or raises OSError; and the target."""


class Road:
    """Where packets with one lead go, and how many of them are paid for."""

    __slots__ = (
        *("copies", "lead", "longest", "shortest", "start", "targets"),
        *("fits", "left", "paid", "passed", "trust", "ways"),
    )

    def __init__(
        self,
        targets: tuple[Source, ...],
        lead: int,
        start: int,
        shortest: int,
        longest: int,
    ) -> None:
        self.targets = targets
        self.copies = len(targets)
        self.lead = lead
        """What a copy's packet begins with."""
        self.start = start
        """Where in the packet the copy begins."""
        self.shortest = shortest
        """Bytes of the smallest datagram; there in the packet the inner datagram begins."""
        self.longest = longest
        """Bytes of the largest."""
        self.paid = 0
        """Datagrams that were paid for, each as if it were as large as fits."""
        self.fits = 0
        """Bytes of the largest that those may be."""
        self.left = 0
        """How many of them have not come yet."""
        self.trust = 0
        """How many it may have at once."""
        self.passed = 0
        """Bytes of those that came."""
        self.ways: Ways | None = None
        """How its port sends to each target: the port's affair, and looked up again now and
        then."""

    def price(self) -> tuple[int, int]:
        """What one datagram takes, as large as fits: of its sender's rate, and work."""
        return self.fits + HEADERS, self.copies * (self.fits + WORK)

    def copy(self, packet: bytes) -> bytes:
        """What the targets get."""
        return (_LEAD.pack(self.lead) + packet[LEAD:])[self.start :]


def read_lead(packet: bytes) -> int:
    """The first bytes of a packet; of one that is too short, as if zeros came."""
    return int(_LEAD.unpack(packet[:LEAD].ljust(LEAD, b"\0"))[0])


def pave(packet: bytes, slot: int, targets: tuple[Source, ...]) -> Road:
    """The road of packets like this one, a PASS or SPREAD of ``slot``."""
    if not targets:
        return NOWHERE
    overhead = _OVERHEADS[packet[1]]
    start = overhead + 1 - PASS_OVERHEAD
    return Road(
        targets,
        lead=read_lead(packet[:start] + bytes((PASS, slot >> 8, slot & 0xFF)) + packet[3:]),
        start=start,
        shortest=overhead + 1,
        longest=overhead + MAX_INNER,
    )


NOWHERE = Road((), read_lead(FRONT), start=0, shortest=ENDLESS, longest=0)
"""For what nobody gets: nothing is long enough for it."""
