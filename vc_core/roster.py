"""The roster: who is in the room, as a hash chain signed by the host.

    entry n:  room | term, n | previous hash | action, subject | signer |
              seats (number, keys, name, present) | deputies | locked
    Signed:   entry bytes | Ed25519 signature of the signer

Rule 1: an entry counts only if it is exactly what its action makes of the entry
        before it; a signer can add and remove, and cannot rewrite anybody.
Rule 2: two entries at one (term, n) are a fork: the room stops and says so.
Rule 3: a place that somebody merely names proves nothing; only a signed entry does.
Rule 4: only the signer of the entry before may sign the next one (a takeover by
        a deputy is a later chapter of the protocol).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import ClassVar

from vc_core.clean import clean_name
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.ids import FOUNDER, NOBODY, Member
from vc_core.keys import Identity, PublicIdentity, digest, verify
from vc_core.messages import MAX_ENTRY, MAX_MEMBERS, MAX_NAME, Position
from vc_core.wire import Bytes, Fixed, Flag, Layout, Many, Nested, Reader, Record, Text, UInt

# Specification
MAX_DEPUTIES = 2
LABEL_ENTRY = "vchat-1 roster"
LABEL_ROOM = "vchat-1 room"
LABEL_HASH = "vchat-1 roster hash"

# Implementation
KEPT_ENTRIES = 512  # newest entries kept to catch members up and to see forks


class Action(IntEnum):
    """What an entry changes."""

    FOUND = 1
    ADD = 2
    LEAVE = 3
    KICK = 4
    ABSENT = 5
    RETURN = 6
    LOCK = 7
    UNLOCK = 8


class Place(Enum):
    """What we know of a named place of the chain."""

    OURS = "the entry stands in our chain"
    UNKNOWN = "before our time, or not yet here"
    DIFFERS = "our chain has another entry there"


class Missing(RemoteProtocolError):
    """A signed entry whose predecessors have not come yet."""


class Forked(RemoteProtocolError):
    """Two different signed entries at one place of the chain."""

    def __init__(self, ours: bytes, theirs: bytes) -> None:
        super().__init__("two entries at one place of the roster")
        self.ours = ours
        """A ``Signed`` entry, as it travels."""
        self.theirs = theirs


@dataclass(frozen=True)
class Seat(Record):
    """One member."""

    number: Member
    sign: bytes
    dh: bytes
    cross: bytes
    name: str
    present: bool

    LAYOUT: ClassVar[Layout] = (
        ("number", UInt(2)),
        ("sign", Fixed(32)),
        ("dh", Fixed(32)),
        ("cross", Fixed(64)),
        ("name", Text(MAX_NAME)),
        ("present", Flag()),
    )

    @property
    def identity(self) -> PublicIdentity:
        """The keys of the member."""
        return PublicIdentity(self.sign, self.dh, self.cross)

    @classmethod
    def of(cls, number: Member, identity: PublicIdentity, name: str) -> Seat:
        """A seat for somebody who is here now."""
        return cls(number, identity.sign, identity.dh, identity.cross, name, True)


@dataclass(frozen=True)
class Entry(Record):
    """The whole room at one place of the chain."""

    room: bytes
    term: int
    n: int
    previous: bytes
    action: int
    subject: Member
    signer: Member
    next_number: int
    """The next newcomer's number; numbers are never given twice."""
    seats: tuple[Seat, ...]
    deputies: tuple[int, ...]
    locked: bool

    LAYOUT: ClassVar[Layout] = (
        ("room", Fixed(32)),
        ("term", UInt(4)),
        ("n", UInt(4)),
        ("previous", Fixed(32)),
        ("action", UInt(1)),
        ("subject", UInt(2)),
        ("signer", UInt(2)),
        ("next_number", UInt(2)),
        ("seats", Many(Nested(Seat), MAX_MEMBERS)),
        ("deputies", Many(UInt(2), MAX_DEPUTIES)),
        ("locked", Flag()),
    )

    @property
    def hash(self) -> bytes:
        """The name of this entry in the next one, in AADs and heartbeats."""
        return digest(LABEL_HASH, self.write_fields())

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.term, self.n, self.hash)

    def seat(self, number: Member) -> Seat | None:
        """The seat of a member, or None."""
        return next((seat for seat in self.seats if seat.number == number), None)

    def present(self) -> tuple[Seat, ...]:
        """Everybody who is here."""
        return tuple(seat for seat in self.seats if seat.present)


@dataclass(frozen=True)
class Signed(Record):
    """An entry as it travels."""

    entry: bytes
    signature: bytes

    LAYOUT: ClassVar[Layout] = (("entry", Bytes(MAX_ENTRY)), ("signature", Fixed(64)))

    @classmethod
    def parse(cls, data: bytes) -> Signed:
        """Exactly one signed entry."""
        reader = Reader(data)
        signed = cls.read_fields(reader)
        reader.finish()
        return signed

    def open(self, signer: bytes) -> Entry:
        """The entry, if ``signer`` (an Ed25519 key) signed it."""
        if not verify(signer, self.signature, LABEL_ENTRY, self.entry):
            raise RemoteProtocolError("a roster entry with a wrong signature")
        return self.read()

    def read(self) -> Entry:
        """The entry, unverified."""
        reader = Reader(self.entry)
        entry = Entry.read_fields(reader)
        reader.finish()
        return entry


def room_name(founder: bytes, nonce: bytes) -> bytes:
    """room = digest("vchat-1 room", founder's Ed25519 key, 32 random bytes)."""
    return digest(LABEL_ROOM, founder, nonce)


def deputies_of(signer: Member, seats: tuple[Seat, ...]) -> tuple[int, ...]:
    """By default the longest-present members besides the host."""
    others = [seat.number for seat in seats if seat.present and seat.number != signer]
    return tuple(sorted(others)[:MAX_DEPUTIES])


def follow(entry: Entry, action: Action, subject: Member, newcomer: Seat | None = None) -> Entry:
    """What ``action`` on ``subject`` makes of ``entry``: the only legal next entry."""
    seats, next_number, locked = entry.seats, entry.next_number, entry.locked
    seat = entry.seat(subject)
    if action is Action.ADD:
        _require(newcomer is not None and newcomer.present and not locked)
        assert newcomer is not None
        _require(newcomer.number == next_number == subject != NOBODY)
        seats, next_number = (*seats, newcomer), next_number + 1
        _require(len(seats) <= MAX_MEMBERS)
        _require_distinct(seats)
    elif action in (Action.LEAVE, Action.KICK):
        _require(seat is not None and subject != entry.signer)
        seats = tuple(s for s in seats if s.number != subject)
    elif action in (Action.ABSENT, Action.RETURN):
        _require(seat is not None and subject != entry.signer)
        back = action is Action.RETURN
        _require(seat is not None and seat.present is not back)
        seats = tuple(replace(s, present=back) if s.number == subject else s for s in seats)
    elif action in (Action.LOCK, Action.UNLOCK):
        locked = action is Action.LOCK
        _require(locked is not entry.locked and subject == entry.signer)
    else:
        raise RemoteProtocolError("an entry that cannot follow")
    return Entry(
        room=entry.room,
        term=entry.term,
        n=entry.n + 1,
        previous=entry.hash,
        action=action,
        subject=subject,
        signer=entry.signer,
        next_number=next_number,
        seats=seats,
        deputies=deputies_of(entry.signer, seats),
        locked=locked,
    )


def _require_distinct(seats: tuple[Seat, ...]) -> None:
    _require(all(seat.name == clean_name(seat.name) for seat in seats))
    for each in (
        {seat.number for seat in seats},
        {seat.sign for seat in seats},
        {seat.name for seat in seats},
    ):
        _require(len(each) == len(seats))


def _require(holds: bool) -> None:
    if not holds:
        raise RemoteProtocolError("an entry that does not follow from the one before it")


class Roster:
    """One member's view of the chain."""

    def __init__(self, signed: Signed, entry: Entry) -> None:
        self._kept: OrderedDict[tuple[int, int], tuple[bytes, Signed]] = OrderedDict()
        self._take(signed, entry)

    @classmethod
    def found(cls, identity: Identity, name: str, nonce: bytes) -> Roster:
        """A new room with its founder alone in it."""
        seats = (Seat.of(FOUNDER, identity.public, name),)
        entry = Entry(
            room=room_name(identity.public.sign, nonce),
            term=1,
            n=1,
            previous=bytes(32),
            action=Action.FOUND,
            subject=FOUNDER,
            signer=FOUNDER,
            next_number=1,
            seats=seats,
            deputies=(),
            locked=False,
        )
        return cls(_sign(identity, entry), entry)

    @classmethod
    def welcome(cls, signed: Signed, host: bytes) -> Roster:
        """A newcomer's start: one entry, signed by the host whose key it has proven."""
        entry = signed.open(host)
        signer = entry.seat(entry.signer)
        if signer is None or signer.sign != host or not signer.present:
            raise RemoteProtocolError("the host does not stand in its own roster")
        _require_distinct(entry.seats)
        _require(all(seat.number < entry.next_number for seat in entry.seats))
        _require(all(seat.identity.valid() for seat in entry.seats))
        return cls(signed, entry)

    def _take(self, signed: Signed, entry: Entry) -> None:
        self.entry = entry
        self.signed = signed
        self.position = entry.position
        self.hash = self.position.hash
        self._kept[self.position.order] = (self.hash, signed)
        while len(self._kept) > KEPT_ENTRIES:
            self._kept.popitem(last=False)

    @property
    def host(self) -> Member:
        """Whose signature extends the chain."""
        return self.entry.signer

    def seat(self, number: Member) -> Seat | None:
        """The seat of a member, or None."""
        return self.entry.seat(number)

    def present(self) -> tuple[Seat, ...]:
        """Everybody who is here, oneself included."""
        return self.entry.present()

    def extend(
        self, identity: Identity, action: Action, subject: Member, newcomer: Seat | None = None
    ) -> Signed:
        """The host's next entry, taken and signed."""
        signer = self.seat(self.host)
        if signer is None or signer.sign != identity.public.sign:
            raise LocalProtocolError("only the host extends the roster")
        entry = follow(self.entry, action, subject, newcomer)
        signed = _sign(identity, entry)
        self._take(signed, entry)
        return signed

    def receive(self, data: bytes) -> Entry | None:
        """Take an entry from the network; None if it is known or from before our time.

        Raises ``Forked`` for a second entry at a known place, ``Missing`` when
        others must come first, and ``RemoteProtocolError`` for anything that does
        not follow.
        """
        signed = Signed.parse(data)
        entry = signed.read()
        signer = self.seat(self.host)
        assert signer is not None
        if entry.room != self.entry.room or entry.signer != self.host:
            raise RemoteProtocolError("an entry of another room or signer")
        signed.open(signer.sign)
        place = self.place(entry.position)
        if place is Place.DIFFERS:
            raise Forked(self.evidence(entry.position).write_fields(), data)
        if place is Place.OURS or entry.position.order <= self.position.order:
            return None
        if entry.term == self.entry.term and entry.n > self.entry.n + 1:
            raise Missing("an entry whose predecessors have not come yet")
        self._check(entry)
        self._take(signed, entry)
        return entry

    def _check(self, entry: Entry) -> None:
        """Whether ``entry`` is what its action makes of ours."""
        try:
            action = Action(entry.action)
        except ValueError as error:
            raise RemoteProtocolError("an unknown action in the roster") from error
        newcomer = entry.seat(entry.subject) if action is Action.ADD else None
        _require(entry == follow(self.entry, action, entry.subject, newcomer))
        if newcomer is not None and not newcomer.identity.valid():
            raise RemoteProtocolError("a seat whose keys do not belong together")

    def place(self, position: Position) -> Place:
        """What we know of a place that somebody names."""
        kept = self._kept.get(position.order)
        if kept is None:
            return Place.UNKNOWN
        return Place.OURS if kept[0] == position.hash else Place.DIFFERS

    def evidence(self, position: Position) -> Signed:
        """Our signed entry for the place of ``position``, which must not be unknown."""
        return self._kept[position.order][1]

    def since(self, position: Position) -> list[Signed]:
        """The entries after ``position``; empty if that is the newest or not ours."""
        if self.place(position) is not Place.OURS:
            return []
        return [signed for order, (_, signed) in self._kept.items() if order > position.order]


def _sign(identity: Identity, entry: Entry) -> Signed:
    data = entry.write_fields()
    return Signed(data, identity.sign(LABEL_ENTRY, data))
