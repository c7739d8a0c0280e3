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
from typing import Any

from vc_core.envelope import MAX_INNER, PASS, PASS_OVERHEAD, SPREAD
from vc_core.record import record

# Implementation
FRONT = bytes((PASS,))
"""The byte before a datagram; it stays what it is, whatever is written over a lead."""
_LEAD = struct.Struct("=I")
LEAD = _LEAD.size
"""Bytes of a lead, which is a number as the machine reads it."""
_OVERHEADS = {PASS: PASS_OVERHEAD, SPREAD: 2}

Source = Any
"""Whatever a carrier calls an address; hashable."""


@record(slots=True)
class Road:
    """Where packets with one lead go."""

    targets: tuple[Source, ...]
    copies: int
    """How many targets there are."""
    parts: int
    """How many parts each target has, if all are addresses of one family; else 0."""
    lead: int
    """What a copy's packet begins with."""
    start: int
    """Where in the packet the copy begins."""
    shortest: int
    """Bytes of the smallest datagram; there in the packet the inner datagram begins."""
    longest: int
    """Bytes of the largest."""

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
    parts = {len(one) if type(one) is tuple else 0 for one in targets}
    return Road(
        targets,
        copies=len(targets),
        parts=parts.pop() if len(parts) == 1 else 0,
        lead=read_lead(packet[:start] + bytes((PASS, slot >> 8, slot & 0xFF)) + packet[3:]),
        start=start,
        shortest=overhead + 1,
        longest=overhead + MAX_INNER,
    )


NOWHERE = Road((), copies=0, parts=0, lead=read_lead(FRONT), start=0, shortest=0, longest=0)
