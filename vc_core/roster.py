"""The roster: who is in the room, as a hash chain signed by the host.

Rule 1: an entry counts only where it follows from one of ours (``vc_core.entry``).
Rule 2: two entries of one signer at one (term, n) are a fork: the room stops and
        says so. Deputies who take over apart have terms of their own.
Rule 3: a place that somebody merely names proves nothing; only a signed entry does.
Rule 4: of two ways that part at an entry of ours, the one that reaches the higher
        (term, n) is followed, and what stood on the other is dropped. So whoever
        hears of both ends on the same one, in whatever order they come.
Rule 5: a takeover waits while its reader hears the host, and a signer that our own
        chain has removed is never followed.
"""

from __future__ import annotations

from enum import Enum

from vc_core.chain import Chain, Step
from vc_core.entry import (
    Action,
    Entry,
    Seat,
    Signed,
    check_follows,
    check_welcome,
    follow,
    founding,
    sign_entry,
)
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.ids import Member
from vc_core.keys import Identity
from vc_core.messages import Position
from vc_core.record import record


class Place(Enum):
    """What we know of a named place of the chain."""

    OURS = "the entry stands in our chain"
    UNKNOWN = "before our time, not yet here, or of a chain that is not ours"
    DIFFERS = "our chain has another entry there"


class Missing(RemoteProtocolError):
    """A signed entry whose predecessors have not come yet."""

    def __init__(self, step: Step) -> None:
        super().__init__("an entry whose predecessors have not come yet")
        self.step = step


class Barred(RemoteProtocolError):
    """A takeover by somebody whom our own chain has removed."""

    def __init__(self, signer: Member, removal: Signed) -> None:
        super().__init__("a takeover by somebody whom our chain has removed")
        self.signer = signer
        self.removal = removal
        """The entry of ours that did it."""


class Forked(RemoteProtocolError):
    """Two different signed entries at one place of the chain."""

    def __init__(self, ours: bytes, theirs: bytes) -> None:
        super().__init__("two entries at one place of the roster")
        self.ours = ours
        """A ``Signed`` entry, as it travels."""
        self.theirs = theirs


@record
class Taken:
    """What an entry from the network did to our chain."""

    before: Entry
    """Our newest until now."""
    entries: tuple[Signed, ...] = ()
    """What is new in our chain, in order."""
    dropped: tuple[Entry, ...] = ()
    """What stood there instead."""
    behind: bool = False
    """It is of an older term: whoever brought it does not know our host."""
    parted: bool = False
    """It is of an older term, and of a half of the room that cannot follow us any more."""

    @property
    def shared(self) -> int:
        """Where a chain was left for another: numbers below it were given before both parted."""
        return self.entries[0].read().next_number


class Roster:
    """One member's view of the chain."""

    def __init__(self, signed: Signed, entry: Entry) -> None:
        self._chain = Chain(Step.of(signed, entry))
        self.held = False
        """Whether a takeover waits until we hear the host no more."""
        self._depth = 0
        self._settle()

    @classmethod
    def found(cls, identity: Identity, name: str, nonce: bytes) -> Roster:
        """A new room with its founder alone in it."""
        entry = founding(identity, name, nonce)
        return cls(sign_entry(identity, entry), entry)

    @classmethod
    def welcome(cls, signed: Signed, host: bytes) -> Roster:
        """A newcomer's start: one entry, signed by the host whose key it has proven."""
        entry = signed.open(host)
        check_welcome(entry, host)
        return cls(signed, entry)

    def _settle(self) -> None:
        newest = self._chain.newest
        self.entry, self.signed, self.hash = newest.entry, newest.signed, newest.hash
        self.position = Position(self.entry.term, self.entry.n, self.hash)

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

    # The pen

    def extend(
        self,
        identity: Identity,
        action: Action,
        subject: Member,
        newcomer: Seat | None = None,
        deputies: tuple[int, ...] = (),
    ) -> Signed:
        """The host's next entry (or a deputy's TAKEOVER), taken and signed."""
        signer = self.seat(subject if action is Action.TAKEOVER else self.host)
        if signer is None or signer.sign != identity.public.sign:
            raise LocalProtocolError("only the host extends the roster")
        entry = follow(self.entry, action, subject, newcomer, deputies)
        signed = sign_entry(identity, entry)
        self._chain.append(Step.of(signed, entry))
        self._settle()
        return signed

    # World in

    def receive(self, data: bytes, *, loyal: bool = False) -> Taken:
        """Take an entry from the network; what it changed, perhaps nothing.

        ``loyal``: we hear our host, so that takeovers wait. Raises ``Forked`` for a
        second entry at a known place, ``Missing`` when others must come first,
        ``Barred``, and ``RemoteProtocolError`` for anything that does not follow.
        """
        step = Step.parse(data)
        if step.entry.room != self.entry.room:
            raise RemoteProtocolError("an entry of another room")
        self._compare(step)
        if self._chain.named(step.hash) is not None:
            return Taken(self.entry)
        if self._chain.newest.order[0] == step.entry.term > 0 and step.order <= self.position.order:
            return Taken(self.entry)  # from before our time
        before = self._chain.named(step.entry.previous)
        if before is not None:
            self._check(before.entry, step)
        self._chain.stray(step)
        if step.entry.term < self.entry.term:
            return Taken(self.entry, behind=True, parted=self._bars_us(step))
        taken = self.reconsider(loyal=loyal, brought=step)
        ahead = step.order > self.position.order
        if ahead and self._chain.way(step) is None:
            raise Missing(step)
        return taken

    def removes(self, number: Member, step: Step, *, loyal: bool) -> bool:
        """Whether who hosts has removed a member, whatever stands between our newest and that.

        That is our host or, unless ``loyal``, a deputy of ours that took over meanwhile. A
        host is loyal to itself: it yields by the whole way, since others need it.
        """
        ours, entry = self.entry, step.entry
        out = entry.action in (Action.LEAVE, Action.KICK) and entry.subject == number
        if not out or entry.room != ours.room or step.order <= self.position.order:
            return False
        deputy = entry.term > ours.term and not loyal and entry.signer in ours.deputies
        signer = ours.seat(entry.signer)
        hosts = entry.term == ours.term or deputy
        if not hosts or signer is None or signer.sign != entry.signer_key:
            return False
        step.signed.open(signer.sign)
        return True

    def reconsider(self, *, loyal: bool, brought: Step | None = None) -> Taken:
        """Follow the highest way that strays have opened.

        Whoever ``brought`` an entry is answerable for the way that it lies on, and not
        for one that waited here until its signer was removed.
        """
        before = self.entry
        self.held = False
        for step in self._chain.ahead():
            found = self._chain.way(step)
            if found is None:
                continue
            base, way = found
            try:
                self._check_way(base, way)
            except Barred:
                if brought in way:
                    raise
                continue
            if loyal:
                way = self._until_takeover(base, way)
            if way and way[-1].order > self.position.order:
                return Taken(before, tuple(s.signed for s in way), self._follow(base, way))
        return Taken(before)

    def _follow(self, base: Step, way: list[Step]) -> tuple[Entry, ...]:
        dropped = self._chain.rewind(base)
        for step in way:
            self._chain.append(step)
        self._depth = 0
        self._settle()
        return dropped

    def _until_takeover(self, base: Step, way: list[Step]) -> list[Step]:
        """What counts although we hear our host: its own entries, and whom it handed to."""
        before = base.entry
        for index, step in enumerate(way):
            takes = step.entry.action == Action.TAKEOVER
            if takes and before.successor != step.entry.subject:
                self.held = True
                return way[:index]
            before = step.entry
        return way

    def _check_way(self, base: Step, way: list[Step]) -> None:
        barred = self._removed_since(base)
        before = base
        for step in way:
            try:
                self._check(before.entry, step)
                if step.entry.signer_key in barred:
                    raise Barred(step.entry.signer, barred[step.entry.signer_key])
                self._compare(step)
            except RemoteProtocolError:
                self._chain.discard(step)
                raise
            before = step

    def _removed_since(self, base: Step) -> dict[bytes, Signed]:
        """Keys without a seat any more, and the entry of ours that took it."""
        removed: dict[bytes, Signed] = {}
        before: set[bytes] = set()
        for step in (base, *self._chain.after(base.order)):
            seated = {seat.sign for seat in step.entry.seats}
            removed.update(dict.fromkeys(before - seated, step.signed))
            before = seated
        for sign in before:
            removed.pop(sign, None)
        return removed

    def _bars_us(self, step: Step) -> bool:
        """Whether an entry of another half has no seat any more for one who signed ours since.

        Numbers may differ between halves: only a signer whose key we know counts.
        """
        entry, signer = step.entry, step.entry.seat(step.entry.signer)
        ours = [one.entry for one in self._chain.after((0, 0))]
        since = {one.signer for one in ours if one.term > entry.term}
        if signer is None or all(
            number >= entry.next_number or entry.seat(number) is not None for number in since
        ):
            return False
        known = (one.seat(signer.number) for one in ours)
        if all(seat is None or seat.sign != signer.sign for seat in known):
            return False
        step.signed.open(signer.sign)
        return True

    @staticmethod
    def _check(before: Entry, step: Step) -> None:
        """Whether an entry is signed by who may sign after ``before``, and follows from it."""
        takes = step.entry.action == Action.TAKEOVER
        signer = before.seat(step.entry.subject if takes else before.signer)
        if signer is None:
            raise RemoteProtocolError("an entry of a signer without a seat")
        step.signed.open(signer.sign)
        check_follows(before, step.entry)

    def _compare(self, step: Step) -> None:
        """``Forked`` if the signer of ours at this place has signed another one."""
        ours = self._chain.at(Position(*step.order, step.hash))
        if ours is not None and ours.hash != step.hash:
            step.signed.open(ours.entry.signer_key)
            raise Forked(ours.signed.write_fields(), step.signed.write_fields())

    # Places

    def place(self, position: Position) -> Place:
        """What we know of a place that somebody names."""
        kept = self._chain.at(position)
        if kept is None:
            return Place.UNKNOWN
        return Place.OURS if kept.hash == position.hash else Place.DIFFERS

    def evidence(self, position: Position) -> Signed:
        """Our signed entry for the place of ``position``, which must not be unknown."""
        kept = self._chain.at(position)
        if kept is None:
            raise LocalProtocolError("no entry of ours stands there")
        return kept.signed

    def since(self, position: Position) -> list[Signed]:
        """The entries beyond ``position``; of a place that is not ours, those of later terms.

        Signers do not contradict themselves, so what stands before both is shared.
        """
        place = self.place(position)
        if place is Place.DIFFERS or (place is Place.UNKNOWN and position.term == self.entry.term):
            return []
        return [step.signed for step in self._chain.after(position.order)]

    def asked_from(self) -> Position:
        """Whence to ask for a way that does not join ours: a takeover further back each time."""
        before = [step.entry.previous for step in reversed(self._chain.takeovers())]
        bases = [base for hash_ in before if (base := self._chain.named(hash_)) is not None]
        steps = [self._chain.newest, *bases]
        step = steps[self._depth % len(steps)]
        self._depth += 1
        return Position(*step.order, step.hash)
