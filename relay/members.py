"""Who holds a slot, in which room, and what it wants copies of.

Rule: all tables of members change here, so that by address, by slot and by
customer they always say the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from vc_core.envelope import EVERYBODY

# Implementation
ROADS = 256
"""Roads that a member has at once: to 63 others, and some streams."""

Source = Any
"""Whatever a carrier calls an address; hashable."""


@dataclass(frozen=True, slots=True)
class Road:
    """Where a member's datagrams with the same first bytes go, all looked up."""

    targets: tuple[Source, ...] = ()
    copies: int = 0
    """How many targets there are."""
    parts: int = 0
    """How many parts each target has, if all are addresses of one family; else 0."""
    lead: int = 0
    """The first bytes of the packet once it is a copy (``relay.slots.read_lead``)."""
    start: int = 0
    """Where in the packet the copy begins."""
    shortest: int = 0
    """Bytes of the smallest datagram that may take it, and where in the packet the inner begins."""
    longest: int = 0
    """Bytes of the largest."""


class Room:
    """The members of one room."""

    __slots__ = ("busy", "name", "share", "slots")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.slots: dict[int, Member] = {}
        self.busy = 0.0
        """Until when the work done for it keeps it busy at its own rate."""
        self.share = 0.0
        """And at an equal share of everything."""

    def receivers(self, sender: Member, handle: int) -> tuple[Source, ...]:
        """The addresses that want one stream of ``sender``."""
        either = {want_key(sender.slot, handle), want_key(EVERYBODY, handle)}
        return tuple(
            one.source
            for one in self.slots.values()
            if one is not sender and not either.isdisjoint(one.wants)
        )

    def forget_roads(self) -> None:
        """Somebody came, went, moved, or wants something else."""
        for one in self.slots.values():
            one.roads.clear()


class Member:
    """One client that has proven its slot."""

    __slots__ = (
        "busy",
        "cookie",
        "customer",
        "ends",
        "heard",
        "is_alive",
        "left",
        "price",
        "roads",
        "room",
        "slot",
        "source",
        "wanted",
        "wants",
        "work",
    )

    def __init__(self, room: Room, slot: int, source: Source, customer: bytes) -> None:
        self.room = room
        self.slot = slot
        self.source = source
        self.customer = customer
        self.roads: dict[int, Road] = {}
        """By the first bytes of a datagram; forgotten whenever the room changes."""
        self.cookie = b""
        """Of its newest claim; a BYE shows it."""
        self.price = 0.0
        """Seconds that one byte takes at its rate."""
        self.busy = 0.0
        """Until when what it sent keeps it busy at its rate."""
        self.left = 0
        """Bytes that it may send before it pays again."""
        self.work = 0
        """Work that its room has paid for it."""
        self.is_alive = False
        """Whether anything came since the last tick."""
        self.heard = 0.0
        """The last tick at which it was alive."""
        self.ends = 0.0
        """When the slot is over without a new claim."""
        self.wanted = 0
        """Sequence of the newest WANT taken."""
        self.wants: frozenset[int] = frozenset()


def want_key(slot: int, handle: int) -> int:
    """One stream of one slot as a number."""
    return slot << 8 | handle


class Members:
    """Everybody who is attached."""

    def __init__(self) -> None:
        self.by_source: dict[Source, Member] = {}
        self.rooms: dict[bytes, Room] = {}
        self.of_customer: Counter[bytes] = Counter()

    def find(self, room: bytes, slot: int) -> Member | None:
        """Who holds a slot."""
        found = self.rooms.get(room)
        return found.slots.get(slot) if found else None

    def add(self, name: bytes, slot: int, source: Source, customer: bytes) -> Member:
        """Give a free slot to an address that holds none."""
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(name)
        member = Member(room, slot, source, customer)
        room.slots[slot] = self.by_source[source] = member
        room.forget_roads()
        self.of_customer[customer] += 1
        return member

    def move(self, member: Member, source: Source, customer: bytes) -> None:
        """A slot has a new address, which holds no other."""
        del self.by_source[member.source]
        self._leave(member.customer)
        member.source, member.customer = source, customer
        self.by_source[source] = member
        self.of_customer[customer] += 1
        member.room.forget_roads()

    def remove(self, member: Member) -> None:
        """A slot is free again; a room without slots is forgotten."""
        room = member.room
        del self.by_source[member.source], room.slots[member.slot]
        room.forget_roads()
        self._leave(member.customer)
        if not room.slots:
            del self.rooms[room.name]

    def _leave(self, customer: bytes) -> None:
        self.of_customer[customer] -= 1
        if not self.of_customer[customer]:
            del self.of_customer[customer]
