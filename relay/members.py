"""Who holds a slot, in which room, what it wants copies of, and what it has paid for.

Rule 1: all tables of members change here, so that by address, by slot and by
        customer they always say the same.
Rule 2: what a member has paid for is in its purse or on one of its roads, in datagrams
        as large as its largest; what those did not use comes back to the purse.
"""

from __future__ import annotations

from collections import Counter

from relay.roads import HEADERS, LEAD, WORK, Road, Source, pave
from vc_core.envelope import EVERYBODY, PASS

# Implementation
ROADS = 2048
"""Roads that the members of one room have at once: 16 streams each, and 16 single receivers."""
FEW, MANY = 2, 64
"""Datagrams that a road may have at once: twice as many as passed since the last time, so that
what rests on roads is never much more than what they carry."""


Roads = dict[tuple[Source, int], Road]
"""By address of the sender, and lead."""


class Tally:
    """What went on since the start."""

    __slots__ = ("copies", "passed")

    def __init__(self) -> None:
        self.copies = self.passed = 0
        """Datagrams, and bytes of theirs."""

    def add(self, road: Road) -> None:
        """What a road brought since it was paid for."""
        self.copies += road.copies * (road.paid - road.left)
        self.passed += road.copies * road.passed


class Room:
    """The members of one room."""

    __slots__ = ("_roads", "busy", "name", "paved", "share", "slots", "tally")

    def __init__(self, name: bytes, roads: Roads, tally: Tally) -> None:
        self.name = name
        self.tally = tally
        self._roads = roads
        self.slots: dict[int, Member] = {}
        self.paved = 0
        """Roads that its members have."""
        self.busy = 0.0
        """Until when the work done for it keeps it busy at its own rate."""
        self.share = 0.0
        """And at an equal share of everything."""

    def find_road(self, sender: Member, packet: bytes, lead: int) -> Road:
        """The road of a PASS or SPREAD, and of all of ``sender`` with this lead."""
        road = self._roads.get((sender.source, lead))
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
            road = self._roads[sender.source, lead] = pave(packet, sender.slot, targets)
            sender.roads[lead] = road
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
            for lead in one.roads:
                del self._roads[one.source, lead]
            one.forget_roads()


class Member:
    """One client that has proven its slot."""

    __slots__ = (
        "_seen",
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
        """Its purse: bytes that it paid for and did not send."""
        self.work = 0
        """And work that was not done for it."""
        self.is_alive = False
        """Whether anything came since the last tick that was no packet of a road."""
        self._seen = 0
        """What was left on its roads then."""
        self.heard = 0.0
        """The last tick at which it was alive."""
        self.ends = 0.0
        """When the slot is over without a new claim."""
        self.wanted = 0
        """Sequence of the newest WANT taken."""
        self.wants: frozenset[int] = frozenset()

    def was_alive(self) -> bool:
        """Whether anything came since this was asked last."""
        left = sum(road.left for road in self.roads.values())
        was_alive = self.is_alive or left != self._seen
        self._seen, self.is_alive = left, False
        return was_alive

    def forget_roads(self) -> None:
        """Keep what it has on them."""
        self.is_alive = self.was_alive()
        for road in self.roads.values():
            self.settle(road)
        self.roads.clear()
        self._seen = 0

    def give(self, road: Road, count: int) -> None:
        """Give a settled road some datagrams out of the purse."""
        left, work = road.price()
        self.left -= count * left
        self.work -= count * work
        road.paid = road.left = count
        road.ways = None

    def settle(self, road: Road) -> None:
        """Take back what did not pass on a road."""
        spare = road.paid * road.fits - road.passed
        self.left += spare + road.left * HEADERS
        self.work += road.copies * (spare + road.left * WORK)
        self.room.tally.add(road)
        road.trust = min(MANY, max(FEW, 2 * (road.paid - road.left)))
        road.paid = road.left = road.passed = 0


def want_key(slot: int, handle: int) -> int:
    """One stream of one slot as a number."""
    return slot << 8 | handle


class Members:
    """Everybody who is attached."""

    def __init__(self) -> None:
        self.by_source: dict[Source, Member] = {}
        self.rooms: dict[bytes, Room] = {}
        self.of_customer: Counter[bytes] = Counter()
        self.roads: Roads = {}
        """Those of all members: one look-up for each packet."""
        self._tally = Tally()

    def tally(self) -> Tally:
        """What went on until now."""
        now = Tally()
        now.copies, now.passed = self._tally.copies, self._tally.passed
        for road in self.roads.values():
            now.add(road)
        return now

    def find(self, room: bytes, slot: int) -> Member | None:
        """Who holds a slot."""
        found = self.rooms.get(room)
        return found.slots.get(slot) if found else None

    def add(self, name: bytes, slot: int, source: Source, customer: bytes) -> Member:
        """Give a free slot to an address that holds none."""
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(name, self.roads, self._tally)
        member = Member(room, slot, source, customer)
        room.slots[slot] = self.by_source[source] = member
        room.forget_roads()
        self.of_customer[customer] += 1
        return member

    def move(self, member: Member, source: Source, customer: bytes) -> None:
        """A slot has a new address, which holds no other."""
        member.room.forget_roads()
        del self.by_source[member.source]
        self._leave(member.customer)
        member.source, member.customer = source, customer
        self.by_source[source] = member
        self.of_customer[customer] += 1

    def remove(self, member: Member) -> None:
        """A slot is free again; a room without slots is forgotten."""
        room = member.room
        room.forget_roads()
        del self.by_source[member.source], room.slots[member.slot]
        self._leave(member.customer)
        if not room.slots:
            del self.rooms[room.name]

    def _leave(self, customer: bytes) -> None:
        self.of_customer[customer] -= 1
        if not self.of_customer[customer]:
            del self.of_customer[customer]
