"""An entry of the roster, and what may follow it.

    entry n:  room | term, n | previous hash | action, subject | signer |
              seats (number, keys, name, present) | deputies, chosen | locked
    Signed:   entry bytes | Ed25519 signature of the signer

Rule 1: an entry counts only if it is exactly what its action makes of the entry
        before it; a signer can add and remove, and cannot rewrite anybody.
Rule 2: only the signer of the entry before may sign the next one, and a deputy
        of that entry, with TAKEOVER.
Rule 3: a term belongs to one signer: two deputies who take over apart never sign
        for the same place.

    term of FOUND      1
    term of TAKEOVER   (term before // 65536 + 1) * 65536 + 65535 - signer

So terms count the takeovers, and among equal counts the member who is longer in
the room stands higher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import IntEnum
from typing import ClassVar

from vc_core.clean import clean_name
from vc_core.errors import RemoteProtocolError
from vc_core.ids import FOUNDER, NOBODY, Member
from vc_core.keys import Identity, PublicIdentity, digest, verify
from vc_core.messages import MAX_ENTRY, MAX_MEMBERS, MAX_NAME, Position
from vc_core.record import record
from vc_core.wire import Bytes, Fixed, Flag, Layout, Many, Nested, Reader, Record, Text, UInt

# Specification
MAX_DEPUTIES = 2
LABEL_ENTRY = "vchat-1 roster"
LABEL_ROOM = "vchat-1 room"
LABEL_HASH = "vchat-1 roster hash"
FIRST_TERM = 1
SIGNERS = 1 << 16  # of one count of takeovers: a term names its signer
MAX_TERM = (1 << 32) - 1


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
    DEPUTIES = 9
    """The host names its deputies."""
    HANDOVER = 10
    """The host leaves; the subject takes over at once."""
    TAKEOVER = 11
    """The subject, a deputy, is the host from here on."""


@record
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


@record
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
    """Who takes over, in this order."""
    chosen: bool
    """Whether the host named them; else they are the longest-present members."""
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
        ("chosen", Flag()),
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

    @property
    def signer_key(self) -> bytes:
        """The Ed25519 key of the signer's seat."""
        seat = self.seat(self.signer)
        if seat is None:
            raise RemoteProtocolError("a signer without a seat")
        return seat.sign

    @property
    def successor(self) -> Member | None:
        """Who takes over at once, after HANDOVER."""
        return self.subject if self.action == Action.HANDOVER else None


@record
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


def term_after(term: int, signer: Member) -> int:
    """The term of the host that ``signer`` becomes after ``term``."""
    return (term // SIGNERS + 1) * SIGNERS + SIGNERS - 1 - signer


def deputies_of(signer: Member, seats: Iterable[Seat]) -> tuple[int, ...]:
    """By default the longest-present members besides the host."""
    others = [seat.number for seat in seats if seat.present and seat.number != signer]
    return tuple(sorted(others)[:MAX_DEPUTIES])


def follow(
    entry: Entry,
    action: Action,
    subject: Member,
    newcomer: Seat | None = None,
    deputies: tuple[int, ...] = (),
) -> Entry:
    """What ``action`` on ``subject`` makes of ``entry``: the only legal next entry.

    ``newcomer`` is the seat of ADD, ``deputies`` are those of DEPUTIES.
    """
    rule = _RULES.get(action)
    if rule is None:
        raise RemoteProtocolError("an entry that cannot follow")
    after = rule(entry, subject, newcomer, deputies)
    deputies = tuple(d for d in after.deputies if any(s.number == d for s in after.seats))
    return replace(
        after,
        n=entry.n + 1,
        previous=entry.hash,
        action=action,
        subject=subject,
        deputies=deputies if after.chosen else deputies_of(after.signer, after.seats),
    )


def _add(entry: Entry, subject: Member, newcomer: Seat | None, _: tuple[int, ...]) -> Entry:
    _require(newcomer is not None and newcomer.present and not entry.locked)
    assert newcomer is not None
    _require(newcomer.number == entry.next_number == subject != NOBODY)
    seats = (*entry.seats, newcomer)
    _require(len(seats) <= MAX_MEMBERS)
    require_distinct(seats)
    return replace(entry, seats=seats, next_number=entry.next_number + 1)


def _remove(entry: Entry, subject: Member, _n: Seat | None, _d: tuple[int, ...]) -> Entry:
    _require(entry.seat(subject) is not None and subject != entry.signer)
    return replace(entry, seats=_without(entry, subject))


def _absent(entry: Entry, subject: Member, _n: Seat | None, _d: tuple[int, ...]) -> Entry:
    return _turned(entry, subject, present=False)


def _return(entry: Entry, subject: Member, _n: Seat | None, _d: tuple[int, ...]) -> Entry:
    return _turned(entry, subject, present=True)


def _turned(entry: Entry, subject: Member, *, present: bool) -> Entry:
    seat = entry.seat(subject)
    _require(seat is not None and subject != entry.signer)
    _require(seat is not None and seat.present is not present)
    return replace(entry, seats=_marked(entry, subject, present=present))


def _lock(entry: Entry, subject: Member, _n: Seat | None, _d: tuple[int, ...]) -> Entry:
    _require(not entry.locked and subject == entry.signer)
    return replace(entry, locked=True)


def _unlock(entry: Entry, subject: Member, _n: Seat | None, _d: tuple[int, ...]) -> Entry:
    _require(entry.locked and subject == entry.signer)
    return replace(entry, locked=False)


def _name(entry: Entry, subject: Member, _: Seat | None, deputies: tuple[int, ...]) -> Entry:
    _require(subject == entry.signer and subject not in deputies)
    _require(len(set(deputies)) == len(deputies) <= MAX_DEPUTIES)
    here = {seat.number for seat in entry.present()}
    _require(all(deputy in here for deputy in deputies))
    return replace(entry, deputies=deputies, chosen=True)


def _hand_over(entry: Entry, subject: Member, _n: Seat | None, _d: tuple[int, ...]) -> Entry:
    seat = entry.seat(subject)
    _require(subject != entry.signer and seat is not None and seat.present)
    _require(subject in entry.deputies)
    others = tuple(deputy for deputy in entry.deputies if deputy != subject)
    return replace(entry, deputies=(subject, *others), chosen=True)


def _take_over(entry: Entry, subject: Member, _n: Seat | None, _d: tuple[int, ...]) -> Entry:
    seat = entry.seat(subject)
    _require(subject in entry.deputies and seat is not None and seat.present)
    term = term_after(entry.term, subject)
    _require(term <= MAX_TERM)
    left = entry.action == Action.HANDOVER
    seats = _without(entry, entry.signer) if left else _marked(entry, entry.signer, present=False)
    return replace(entry, term=term, signer=subject, seats=seats, chosen=False)


_Rule = Callable[[Entry, Member, Seat | None, tuple[int, ...]], Entry]

_RULES: dict[Action, _Rule] = {
    Action.ADD: _add,
    Action.LEAVE: _remove,
    Action.KICK: _remove,
    Action.ABSENT: _absent,
    Action.RETURN: _return,
    Action.LOCK: _lock,
    Action.UNLOCK: _unlock,
    Action.DEPUTIES: _name,
    Action.HANDOVER: _hand_over,
    Action.TAKEOVER: _take_over,
}


def _without(entry: Entry, number: Member) -> tuple[Seat, ...]:
    return tuple(seat for seat in entry.seats if seat.number != number)


def _marked(entry: Entry, number: Member, *, present: bool) -> tuple[Seat, ...]:
    return tuple(
        replace(seat, present=present) if seat.number == number else seat for seat in entry.seats
    )


def founding(identity: Identity, name: str, nonce: bytes) -> Entry:
    """The first entry: the founder alone."""
    return Entry(
        room=room_name(identity.public.sign, nonce),
        term=FIRST_TERM,
        n=1,
        previous=bytes(32),
        action=Action.FOUND,
        subject=FOUNDER,
        signer=FOUNDER,
        next_number=1,
        seats=(Seat.of(FOUNDER, identity.public, name),),
        deputies=(),
        chosen=False,
        locked=False,
    )


def check_follows(before: Entry, entry: Entry) -> None:
    """Whether ``entry`` is what its action makes of ``before``."""
    try:
        action = Action(entry.action)
    except ValueError as error:
        raise RemoteProtocolError("an unknown action in the roster") from error
    newcomer = entry.seat(entry.subject) if action is Action.ADD else None
    named = entry.deputies if action is Action.DEPUTIES else ()
    _require(entry == follow(before, action, entry.subject, newcomer, named))
    if newcomer is not None and not newcomer.identity.valid():
        raise RemoteProtocolError("a seat whose keys do not belong together")


def check_welcome(entry: Entry, host: bytes) -> None:
    """Whether ``entry`` can be a newcomer's first, from the host whose key is ``host``."""
    signer = entry.seat(entry.signer)
    if signer is None or signer.sign != host or not signer.present:
        raise RemoteProtocolError("the host does not stand in its own roster")
    require_distinct(entry.seats)
    _require(all(seat.number < entry.next_number for seat in entry.seats))
    _require(all(seat.identity.valid() for seat in entry.seats))


def sign_entry(identity: Identity, entry: Entry) -> Signed:
    """``entry`` as it travels."""
    data = entry.write_fields()
    return Signed(data, identity.sign(LABEL_ENTRY, data))


def require_distinct(seats: tuple[Seat, ...]) -> None:
    """Whether names are clean, and names, numbers and keys are each given once."""
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
