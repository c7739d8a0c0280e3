"""The forwarder: it copies sealed datagrams between those who have proven a slot.

    stranger  --HELLO-->   COOKIE     nothing is kept
              --CLAIM-->   ATTACHED   grant, proof and cookie hold: it has a slot
    member    --PASS-->    one slot of its room
              --SPREAD-->  each slot of its room that said WANT

docs/protocol/15-forwarders.md says what each envelope means.

Rule 1: pure. Datagrams come in with their address and go out with theirs; time is
        ``now``, chance is ``rng``. The same class serves strangers in a relay and
        guests in a host's client.
Rule 2: nothing goes to an address that holds no slot, except answers that are no
        longer than the question. No address is ever taken out of a datagram.
Rule 3: everything that grows has a cap (``relay.limits``), and what a datagram
        costs is paid by its sender, its room, and its room's share of the whole.
Rule 4: bytes from the network raise nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.cookies import Carrier, Where
from relay.doorman import Doorman
from relay.limits import Limits
from relay.members import Member, Members, want_key
from relay.roads import FRONT, NOWHERE, WORK, Road, Source, read_lead
from vc_core.envelope import (
    BYE,
    CLAIM,
    COOKIE_SIZE,
    HELLO,
    HELLO_SIZE,
    LAST,
    PASS,
    PING,
    SPREAD,
    WANT,
    Attached,
    Claim,
    Flags,
    Pong,
    Reason,
    read_bye,
    read_claim,
    read_ping,
    read_want,
    write_attached,
    write_pong,
    write_refused,
)
from vc_core.errors import RemoteProtocolError
from vc_core.grant import Claims
from vc_core.ids import Rng

# Specification
LONGEST = 24 * 3600.0
"""Seconds that a slot lives on without a new claim."""
NEVER = float("inf")
"""When a slot ends that was given without one."""

# Implementation
BURST = 0.5
"""Seconds by which a sender, a room or all may be ahead of their rates."""
AHEAD = 0.1
"""Seconds of a sender's rate that are paid at once, at most."""
AHEAD_WORK = 65_536
"""And work, if it is more than that of one datagram."""
TICK = 1.0
"""Seconds between two looks at who is silent and which rooms are busy."""
_COOKIE_LENGTH = 3 + COOKIE_SIZE

Output = tuple[Source, bytes]
"""Where to, and a datagram."""


class Slots:
    """Everything that a forwarder knows."""

    def __init__(
        self,
        secret: bytes | None,
        limits: Limits,
        locate: Callable[[Source], Where],
        rng: Rng,
        now: float,
        unix: float,
    ) -> None:
        """``secret`` None: open. ``locate`` tells the address behind a source; ``unix``
        is the time of day at ``now``."""
        self._limits = limits
        self._locate = locate
        self._doorman = Doorman(secret, limits, rng, unix - now)
        self._members = Members()
        self._by_source = self._members.by_source
        self._roads = self._members.roads
        self._is_draining = False
        self._busy = now
        self._room_price = 1 / limits.room_work
        self._price = 1 / limits.total_work
        self._share_price = self._price
        self._next_tick: float | None = None
        self._happened = self._doorman.happened

    # Getters

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        return self._next_tick

    @property
    def is_empty(self) -> bool:
        """Whether nobody is attached."""
        return not self._by_source

    @property
    def is_draining(self) -> bool:
        """Whether it takes nobody new."""
        return self._is_draining

    @property
    def is_open(self) -> bool:
        """Whether it takes everybody."""
        return self._doorman.is_open

    def holds(self, source: Source) -> bool:
        """Whether an address holds a slot."""
        return source in self._by_source

    def counts(self) -> dict[str, int]:
        """What there is now, and what there was since the start; no names, no addresses."""
        tally = self._members.tally()
        return {
            "slots": len(self._by_source),
            "rooms": len(self._members.rooms),
            "customers": len(self._members.of_customer),
            "forwarded": tally.copies,
            "forwarded_bytes": tally.passed,
            **self._happened,
        }

    # The world comes in

    def receive_datagram(self, data: bytes, source: Source, now: float) -> list[Output]:
        """What a datagram from ``source`` causes; raises nothing."""
        member = self._by_source.get(source)
        if member is None or not data:
            return self._receive_from_stranger(data, source, now)
        member.is_alive = True
        if data[0] not in (PASS, SPREAD):
            return self._receive_from_member(member, data, source, now)
        packet, size = FRONT + data, len(data)
        lead = read_lead(packet)
        member.room.find_road(member, packet, lead)
        road = self.forward(packet, lead, size, source) or self.pay(packet, lead, size, source, now)
        if road is None or road is NOWHERE:
            return []
        copy = road.copy(packet)
        return [(target, copy) for target in road.targets]

    def forward(
        self, packet: bytes | bytearray, lead: int, size: int, source: Source
    ) -> Road | None:
        """Which road a packet takes, with ``size`` bytes of datagram; None: ask ``pay``.

        This is what a relay does nearly always. Where packets are rare the caches are
        cold, and whatever is touched costs: so it reads a road that is there already,
        and counts down what ``_pay`` gave it. Threads may call it while another changes
        something: it looks up single entries, and a count that is lost between two of
        them does no harm.
        """
        road = self._roads.get((source, lead))
        if road is None:
            return None
        shortest = road.shortest
        if size < shortest or packet[shortest] <= LAST:
            return NOWHERE
        left = road.left - 1
        if left < 0 or size > road.fits:
            return None
        road.left = left
        road.passed += size
        return road

    def pay(
        self, packet: bytes | bytearray, lead: int, size: int, source: Source, now: float
    ) -> Road | None:
        """The road of a packet for which ``forward`` found none, if it is there and only had
        to be paid for; None: ``receive_datagram``."""
        member, road = self._by_source.get(source), self._roads.get((source, lead))
        if member is None or road is None:
            return None
        member.is_alive = True
        if size > road.longest or not self._pay(member, road, size, now):
            return NOWHERE
        return self.forward(packet, lead, size, source)

    def disconnected(self, source: Source) -> None:
        """A connection is gone, and with it whatever slot it held."""
        member = self._by_source.get(source)
        if member is not None:
            self._members.remove(member)

    def handle_timer(self, now: float, unix: float) -> None:
        """Take back what is silent or too old; ``unix`` is the time of day."""
        self._doorman.clock = unix - now
        idle = now - self._limits.idle
        for member in tuple(self._by_source.values()):
            if member.was_alive():
                member.heard = now
            if member.ends < now or (member.heard < idle and member.ends < NEVER):
                self._members.remove(member)
                self._happened["silent"] += 1
        rooms = self._members.rooms.values()
        busy = sum(room.busy > now - TICK for room in rooms)
        self._share_price = self._price * max(1, busy)
        self._next_tick = now + TICK if self._by_source else None

    # The operator, or the client around it

    def seat(self, room: bytes, slot: int, source: Source, now: float) -> None:
        """Give a slot without a grant, and for as long as it is not evicted: to the
        host's own client."""
        member = self._attach(room, slot, source, self._limits.rate, now)
        member.ends = NEVER

    def evict(self, room: bytes, slot: int, now: float) -> None:
        """Take a slot back; grants for it that are out hold no longer."""
        self._doorman.ban(room, slot, now)
        member = self._members.find(room, slot)
        if member is not None:
            self._members.remove(member)

    def close_room(self, room: bytes, now: float) -> None:
        """Take all slots of a room back, for good."""
        self._doorman.ban(room, None, now)
        found = self._members.rooms.get(room)
        for member in tuple(found.slots.values()) if found else ():
            self._members.remove(member)

    def change_secret(self, secret: bytes | None, now: float) -> None:
        """Take grants of a new secret; those of the former hold for another ten minutes."""
        self._doorman.change_secret(secret, now)

    def drain(self) -> None:
        """Take nobody new; who is here is told with the next PONG."""
        self._is_draining = True

    # Members

    def _pay(self, member: Member, road: Road, size: int, now: float) -> bool:
        """Pay for this packet and some more like it; False: too fast."""
        member.settle(road)
        road.fits = max(size, road.fits)
        left, work = road.price()
        count = max(1, min(road.trust, int(AHEAD / member.price) // left, AHEAD_WORK // work))
        if not self._charge(member, count * left - member.left, count * work - member.work, now):
            return False
        member.give(road, count)
        return True

    def _charge(self, member: Member, left: int, work: int, now: float) -> bool:
        """Fill a member's purse with what it lacks; False: too fast."""
        room = member.room
        soon = now + BURST
        if left > 0 and member.busy > soon:
            self._happened["client_too_fast"] += 1
            return False
        if work > 0:
            if room.busy > soon or (self._busy > soon and room.share > soon):
                self._happened["room_too_fast"] += 1
                return False
            member.work += work
            room.busy = max(room.busy, now) + work * self._room_price
            room.share = max(room.share, now) + work * self._share_price
            self._busy = max(self._busy, now) + work * self._price
        if left > 0:
            member.left += left
            member.busy = max(member.busy, now) + left * member.price
        return True

    def _receive_from_member(
        self, member: Member, data: bytes, source: Source, now: float
    ) -> list[Output]:
        """Everything but what is forwarded."""
        kind = data[0]
        if kind in (HELLO, CLAIM):
            return self._receive_from_stranger(data, source, now)
        if member.busy > now + BURST:
            return []
        member.busy = max(member.busy, now) + (len(data) + WORK) * member.price
        try:
            if kind == PING:
                pong = Pong(read_ping(data), member.wanted, self._flags() & Flags.DRAINING)
                return [(source, write_pong(pong))]
            if kind == WANT:
                _want(member, *read_want(data))
            elif kind == BYE and read_bye(data) == member.cookie:
                self._members.remove(member)
        except RemoteProtocolError:
            self._happened["malformed"] += 1
        return []

    def _flags(self) -> int:
        draining = Flags.DRAINING if self._is_draining else 0
        return (Flags.OPEN if self._doorman.is_open else 0) | draining

    # Strangers

    def _receive_from_stranger(self, data: bytes, source: Source, now: float) -> list[Output]:
        kind, size = data[0] if data else 0, len(data)
        if size < _COOKIE_LENGTH or (kind == HELLO and size != HELLO_SIZE):
            return []
        if kind != CLAIM and not self._doorman.may_answer(hello=kind == HELLO, now=now):
            return []
        where = self._locate(source)
        if kind == HELLO:
            answer = self._doorman.answer_hello(where, self._flags(), now)
        elif kind == CLAIM and (claim := _claim_in(data)) is not None:
            answer = self._answer_claim(claim, where, source, now)
        else:
            answer = self._doorman.answer_stranger(where, self._flags(), now)
        return [] if answer is None else [(source, answer)]

    def _answer_claim(self, claim: Claim, where: Where, source: Source, now: float) -> bytes | None:
        if not self._doorman.knows(claim.cookie, where, now):
            return self._doorman.answer_stranger(where, self._flags(), now)
        claims = Claims.parse(claim.claims)
        refusal = self._doorman.judge(claim, claims, where, now)
        refusal = refusal or self._whether_full(claims, source, where)
        if refusal is not None:
            self._happened[f"refused_{refusal.name.lower()}"] += 1
            return write_refused(refusal)
        member = self._attach(claims.room, claims.slot, source, claims.rate, now)
        member.cookie = claim.cookie
        member.wanted = 0  # a client that started anew counts from one; what it wants stays
        self._happened["attached"] += 1
        told = (b"", 0) if where.carrier is Carrier.LINK else (where.host, where.port)
        return write_attached(Attached(claims.slot, self._limits.idle, *told))

    def _whether_full(self, claims: Claims, source: Source, where: Where) -> Reason | None:
        """Whether a new slot fits; one that moves is counted already."""
        members, limits, who = self._members, self._limits, where.customer
        if members.find(claims.room, claims.slot) is not None:
            return None
        if self._is_draining:
            return Reason.DRAINING
        room = members.rooms.get(claims.room)
        fits = (
            len(room.slots) < limits.slots_per_room if room else len(members.rooms) < limits.rooms
        )
        if source not in self._by_source:  # who holds another slot gives it back
            fits &= len(self._by_source) < limits.slots
            fits &= members.of_customer[who] < limits.slots_per_customer
        return None if fits else Reason.FULL

    def _attach(self, room: bytes, slot: int, source: Source, rate: int, now: float) -> Member:
        """An address has one slot, a slot has one address."""
        members, customer = self._members, self._locate(source).customer
        before = self._by_source.get(source)
        member = members.find(room, slot)
        if before is not None and before is not member:
            members.remove(before)
        if member is None:
            member = members.add(room, slot, source, customer)
        elif member.source != source:
            members.move(member, source, customer)
        member.price = 1 / max(1, min(rate, self._limits.rate))
        member.left = member.work = 0
        member.heard = now
        member.ends = now + LONGEST
        if self._next_tick is None:
            self._next_tick = now + TICK
        return member


def _claim_in(data: bytes) -> Claim | None:
    try:
        return read_claim(data)
    except RemoteProtocolError:
        return None


def _want(member: Member, sequence: int, wants: tuple[tuple[int, int], ...]) -> None:
    """Take a list of subscriptions, unless a newer one is here."""
    if sequence <= member.wanted:
        return
    member.wanted = sequence
    keys = frozenset(want_key(slot, handle) for slot, handle in wants)
    if keys != member.wants:
        member.wants = keys
        member.room.forget_roads()
