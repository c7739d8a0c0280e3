"""Forwarding: the host names forwarders, everybody is attached to them.

    host     relays that it knows and its own forwarder  ->  ``Forwarders`` to each
             member, with grants for that member alone
    member   gets its slots, and says so to ``vc_core.ways``

Grants come from two hands: the host's own (for its own forwarder, and for relays
that are open) and the signaling server's (for relays that share a secret with it).

Rule 1: only the host names forwarders.
Rule 2: who was kicked has no slot in what follows: relays get a new room key, the
        host's own forwarder forgets its slot.
Rule 3: an older forwarder is let go of when its successor carries, and one that ends
        soon when nothing of ours goes by it any more.
Rule 4: what a host or a server says makes others send: forwarders are opened at a rate,
        and a server's grants count once for each question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from vc_core.berths import Berth
from vc_core.bucket import Bucket, Rate
from vc_core.commands import CloseForwarder, EvictSlot, OpenForwarder, SendSignal
from vc_core.courier import Courier
from vc_core.grant import (
    MAX_LIFE,
    ROOM_KEY_SIZE,
    Claims,
    Grant,
    make_grant,
    open_secret,
    relay_room,
)
from vc_core.ids import NOBODY, Member, Rung
from vc_core.messages import MAX_FORWARDERS, Forwarder, Forwarders
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.signals import MAX_GRANTS, AskGrants, Grants

# Specification
REFRESH = 240.0  # s after which members get fresh grants
RATE = 4_000_000  # bytes per second that a grant of the host allows
FAREWELL = 10.0  # s that an older forwarder is kept beside its successors

# Implementation
AHEAD = 8  # slots of members to come for which grants are asked in advance
ASK_AGAIN = 5.0  # s between two questions for grants
OPENED = Rate(per_second=0.2, burst=24)  # forwarders that a host may make us ask
LATER = 5.0  # s until those beyond that are looked at again
AWAY = 20.0  # s until a forwarder that ended is asked whether it runs again
OWN = ("local",)  # where the host finds its own forwarder


@dataclass
class Hosted:
    """The host's own forwarder."""

    number: int
    key: bytes
    secret: bytes
    addresses: tuple[str, ...]


@dataclass
class Relayed:
    """The relays of the room; their numbers change with the room key."""

    key: bytes
    relays: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """(number, addresses) in order of preference."""
    signed: dict[int, Grant] = field(default_factory=dict)
    """Grants of the signaling server, by slot."""


class Forwarding:
    """For one member."""

    def __init__(self, room: Room, courier: Courier) -> None:
        self._room = room
        self._courier = courier
        self._hosted: Hosted | None = None
        self._relayed = Relayed(b"")
        self._addresses: tuple[tuple[str, ...], ...] = ()
        self._signs = False
        self._ask_at = float("inf")
        self._asked: frozenset[int] = frozenset()
        """Slots for which the signaling server was asked, and has not answered."""
        self._refresh_at = float("inf")
        self._opened = Bucket(OPENED, float("-inf"))
        self._again_at = float("inf")
        """When forwarders that we were told of too quickly are opened."""
        self._round = 0
        self._rounds_taken = -1
        self._namer = NOBODY
        """The host whose rounds these are."""
        self._open: dict[int, Forwarder] = {}
        """Forwarders that the driver was told to keep, ours and the host's."""
        self._leaving: dict[int, float] = {}
        self._named: tuple[Forwarder, ...] = ()
        """The newest list."""

    # ---- The host --------------------------------------------------------------------

    def serve(self, addresses: tuple[str, ...], secret: bytes, now: float) -> None:
        """Our own client runs a forwarder that others find at ``addresses``."""
        number = self._hosted.number if self._hosted else self._number()
        key = self._hosted.key if self._hosted else self._room.rng(ROOM_KEY_SIZE)
        self._hosted = Hosted(number, key, secret, addresses)
        self._publish(now)

    def use_relays(self, relays: tuple[tuple[str, ...], ...], now: float, *, signs: bool) -> None:
        """Relays in order of preference; ``signs``: the signaling server grants slots."""
        if relays == self._addresses and signs is self._signs:
            return
        known = dict((addresses, number) for number, addresses in self._relayed.relays)
        self._addresses, self._signs = relays, signs
        key = self._relayed.key or self._room.rng(ROOM_KEY_SIZE)
        numbered = tuple((known.get(one) or self._number(), one) for one in relays)
        self._relayed = Relayed(key, numbered[: MAX_FORWARDERS - 1], self._relayed.signed)
        self._publish(now)
        self._ask_at = now if signs and numbered else float("inf")

    def renew(self, removed: Member, now: float) -> None:
        """Somebody was removed: no slot for them in what follows."""
        if self._hosted is not None:
            self._room.ask(EvictSlot(relay_room(self._hosted.key), removed))
        if self._relayed.relays:
            numbered = tuple((self._number(), one) for _, one in self._relayed.relays)
            self._relayed = Relayed(self._room.rng(ROOM_KEY_SIZE), numbered)
            self._ask_at = now if self._signs else float("inf")
            self._publish(now)

    def _number(self) -> int:
        return int.from_bytes(self._room.rng(4), "big") or 1

    def granted(self, grants: Grants, now: float) -> None:
        """The signaling server's grants; unasked ones count nothing."""
        wanted, asked = relay_room(self._relayed.key), self._asked
        self._asked = frozenset()
        fresh = {}
        for grant in grants.grants:
            claims = Claims.parse(grant.claims)
            if claims.room == wanted and claims.slot in asked:
                fresh[claims.slot] = grant
        if fresh:
            self._relayed.signed.update(fresh)
            self._ask_at = float("inf")
            self._publish(now)

    def _ask_grants(self, now: float) -> None:
        room = self._room
        entry = room.roster.entry
        slots = [seat.number for seat in entry.seats]
        ahead = range(entry.next_number, min(entry.next_number + AHEAD, 0xFFFF))
        wanted = tuple([*slots, *ahead][:MAX_GRANTS])
        room.ask(SendSignal(AskGrants(self._relayed.key, wanted)))
        self._asked = frozenset(wanted)
        self._ask_at = now + ASK_AGAIN

    def joined(self, peer: Peer, now: float) -> None:
        """A newcomer hears of forwarders at once; grants for those who may follow."""
        self.opening(peer, now)
        if self._signs and peer.number not in self._relayed.signed:
            self._ask_at = now

    def opening(self, peer: Peer, now: float) -> None:
        """A new link or stream: tell the member which forwarders there are."""
        if self._room.hosting and (self._hosted or self._relayed.relays):
            self._courier.send(peer, Forwarders(self._round, self._of(peer.number, now)))

    def _publish(self, now: float) -> None:
        """Tell everybody, ourselves included."""
        if not self._room.hosting:
            return
        self._round += 1
        self._refresh_at = now + REFRESH
        for peer in self._room.present():
            self.opening(peer, now)
        self._take(self._of(self._room.number, now), now)

    def _of(self, member: Member, now: float) -> tuple[Forwarder, ...]:
        """The list with grants for one member."""
        found = []
        hosted, relayed = self._hosted, self._relayed
        if hosted is not None and Rung.HOSTED in self._room.ways.allowed:  # it has our addresses
            ours = member == self._room.number
            claims = self._claims(hosted.key, member, now)
            grants = (make_grant(hosted.secret, claims),)
            addresses = OWN if ours else hosted.addresses
            found.append(Forwarder(hosted.number, Rung.HOSTED.value, addresses, grants))
        signed = (relayed.signed[member],) if member in relayed.signed else ()
        for number, addresses in relayed.relays:
            claims = self._claims(relayed.key, member, now)
            grants = (*signed, make_grant(open_secret(), claims))
            found.append(Forwarder(number, Rung.RELAYED.value, addresses, grants))
        return tuple(found)

    def _claims(self, key: bytes, member: Member, now: float) -> Claims:
        expires = int(now + self._room.epoch + MAX_LIFE)
        return Claims(relay_room(key), member, RATE, expires)

    # ---- Everybody -------------------------------------------------------------------

    def receive(self, peer: Peer, message: Forwarders, now: float) -> None:
        """The host's list; another host counts its own rounds."""
        if peer is not self._room.host:
            return
        if peer.number != self._namer:
            self._namer, self._rounds_taken = peer.number, -1
        if message.round > self._rounds_taken:
            self._rounds_taken = message.round
            self._take(message.forwarders, now)

    def allowed(self, now: float) -> None:
        """Other rungs are allowed than before."""
        if self._room.hosting:
            self._publish(now)
        else:
            self._take(self._named, now)

    def host_changed(self) -> None:
        """Another host names its own; what we had named ourselves is over."""
        if not self._room.hosting:
            self._hosted, self._relayed, self._addresses = None, Relayed(b""), ()
            self._ask_at = self._refresh_at = float("inf")

    def _take(self, forwarders: Iterable[Forwarder], now: float) -> None:
        """Open what is new, renew what is known, let go of the rest in a while."""
        self._named = tuple(forwarders)
        allowed = self._room.ways.allowed
        wanted = {
            one.number: one
            for one in self._named
            if one.rung in (Rung.HOSTED.value, Rung.RELAYED.value) and Rung(one.rung) in allowed
        }
        self._again_at = float("inf")
        for number, one in wanted.items():
            if not self._room.ways.berths.ends(number):
                self._leaving.pop(number, None)
            known = self._open.get(number)
            elsewhere = known is None or known.addresses != one.addresses
            if elsewhere and not self._opened.take(now):
                self._again_at = now + LATER
            elif known != one:
                if known is None and number not in self._room.ways.berths:
                    self._room.ways.explain(Rung(one.rung), "trying")
                self._open[number] = one
                self._room.ask(OpenForwarder(number, Rung(one.rung), one.addresses, one.grants))
        for number in self._open.keys() - wanted.keys():
            self._leaving.setdefault(number, now + FAREWELL)
        self._room.ways.prefer(tuple(wanted), now)

    def attached(self, number: int, transport: str, now: float, *, ending: bool = False) -> None:
        """A forwarder has given us our slot; ``ending``: it says that it ends soon."""
        one = self._open.get(number)
        if one is None:
            return
        if ending:
            self._leaving.setdefault(number, now + FAREWELL)
        elif self._is_named(number):
            self._leaving.pop(number, None)
        self._room.ways.attached(number, Berth(Rung(one.rung), transport, ending), now)

    def _is_named(self, number: int) -> bool:
        return any(one.number == number for one in self._named)

    def _ends(self, number: int) -> bool:
        return self._is_named(number) and self._room.ways.berths.ends(number)

    def _is_needed(self, number: int) -> bool:
        """Whether nothing else carries us to somebody, though it ends soon."""
        links = [peer.link for peer in self._room.present() if peer.link is not None]
        ways = (None, self._room.ways.berths.way(number)) if self._ends(number) else ()
        return any(link.used in ways for link in links)

    def lost(self, number: int, word: str, now: float) -> None:
        """A forwarder does not answer any more, or never did."""
        one = self._open.get(number)
        if one is not None:
            if self._ends(number):  # it is asked again until it runs again
                self._leaving.pop(number, None)
            self._room.ways.detached(number, word, now)
            self._room.ways.explain(Rung(one.rung), word)

    # ---- Time ------------------------------------------------------------------------

    def next_timer(self) -> float:
        """When ``handle_timer`` wants to run; infinity for never."""
        leaving = min(self._leaving.values(), default=float("inf"))
        return min(self._ask_at, self._refresh_at, self._again_at, leaving)

    def handle_timer(self, now: float) -> None:
        """Ask for grants, hand out fresh ones, let go of what was replaced."""
        if now >= self._ask_at:
            self._ask_grants(now)
        if now >= self._refresh_at:
            self._publish(now)
            if self._signs and self._relayed.relays:
                self._ask_at = now
        for number in [one for one, until in self._leaving.items() if now >= until]:
            if self._is_needed(number):
                self._leaving[number] = now + LATER
                continue
            if self._is_named(number):
                self._again_at = min(self._again_at, now + AWAY)
            del self._leaving[number], self._open[number]
            self._room.ask(CloseForwarder(number))
            self._room.ways.detached(number, "", now)
        if now >= self._again_at:
            self._take(self._named, now)
