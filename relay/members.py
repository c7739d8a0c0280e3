"""Who holds a slot, in which room, and what it wants copies of.

Rule: all tables of members change here, so that by address, by slot and by
customer they always say the same.
"""

from __future__ import annotations

from collections import Counter

from relay.roads import LEAD, Road, Source, pave
from vc_core.envelope import EVERYBODY, PASS

# Implementation
ROADS = 2048
"""Roads that the members of one room have at once: 16 streams each, and 16 single receivers."""


class Room:
    """The members of one room."""

    __slots__ = ("busy", "name", "paved", "share", "slots")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.slots: dict[int, Member] = {}
        self.paved = 0
        """Roads that its members have."""
        self.busy = 0.0
        """Until when the work done for it keeps it busy at its own rate."""
        self.share = 0.0
        """And at an equal share of everything."""

    def find_road(self, sender: Member, packet: bytes, lead: int) -> Road:
        """The road of a PASS or SPREAD, and of all of ``sender`` with this lead."""
        road = sender.roads.get(lead)
        if road is None:
            _, kind, first, second = packet[:LEAD].ljust(LEAD, b"\0")
            if kind == PASS:
                other = self.slots.get(first << 8 | second)
                targets = (other.source,) if other is not None else ()
            else:
                targets = self._receivers(sender, first)
            if self.paved >= ROADS:
                self.forget_roads()
            self.paved += 1
            road = sender.roads[lead] = pave(packet, sender.slot, targets)
        return road

    def _receivers(self, sender: Member, handle: int) -> tuple[Source, ...]:
        """The addresses that want one stream of ``sender``."""
        either = {want_key(sender.slot, handle), want_key(EVERYBODY, handle)}
        return tuple(
            one.source
            for one in self.slots.values()
            if one is not sender and not either.isdisjoint(one.wants)
        )

    def forget_roads(self) -> None:
        """Somebody came, went, moved, or wants something else."""
        self.paved = 0
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
        """By lead; forgotten whenever anything in the room changes."""
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
