"""The registrar: keeps the roster and draws the consequences of each entry.

The host extends the chain and tells everybody, the one it is about included;
guests take entries in order and ask for what is missing. Where two chains have
met, who knows the higher term helps the other on. Either way the same follows:
people are told, keys of those who are gone die, everybody makes a new sender key,
and a new room code is made.

Rule: an entry is shown before any key goes out because of it.
"""

from __future__ import annotations

from collections import OrderedDict

from vc_core.chain import Step
from vc_core.chat import Conversation
from vc_core.comparison import Comparison
from vc_core.courier import Courier
from vc_core.entry import Action, Entry, Seat, Signed
from vc_core.errors import Ending
from vc_core.events import HostChanged, MemberJoined, MemberLeft, RoomLocked, Warned
from vc_core.forks import Forks
from vc_core.ids import Member
from vc_core.keyring import Keyring
from vc_core.legacy import Legacy
from vc_core.matchmaker import Matchmaker
from vc_core.messages import MAX_MEMBERS, Moved, NewEntry, Position, Standing
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.roster import Barred, Missing, Place, Taken

# Specification
QUIET = (Action.ABSENT, Action.RETURN)
"""Entries whose loss costs nobody anything: they follow from who is heard."""
REASONS = {Action.LEAVE: "left", Action.KICK: "kicked", Action.ABSENT: "vanished"}
REMOVALS = (Action.LEAVE, Action.KICK)
ARRIVALS = (Action.ADD, Action.RETURN)

# Implementation
CAUGHT_UP = 64  # entries that one standing is answered with
ENTRIES_OF_AN_ANSWER = 4  # entries that cost as much as one more answer
ASKING_PAUSE = 0.5  # s between two equal questions for missing entries


class Registrar:
    """For one member."""

    def __init__(
        self,
        room: Room,
        courier: Courier,
        legacy: Legacy,
        keyring: Keyring,
        comparison: Comparison,
        matchmaker: Matchmaker,
        forks: Forks,
    ) -> None:
        self._room = room
        self._courier = courier
        self._legacy = legacy
        self._mailboxes = legacy.mailboxes
        self._keyring = keyring
        self._comparison = comparison
        self._matchmaker = matchmaker
        self._forks = forks
        self._asked_at = float("-inf")
        self._asked: set[Position] = set()
        """Places from which entries were asked for within the last pause."""
        self._talks: OrderedDict[tuple[Member, bytes], Conversation] = OrderedDict()
        """Texts with those who are removed: another chain may have a seat for them."""

    # The host's pen

    def extend(
        self,
        action: Action,
        subject: Member,
        now: float,
        newcomer: Seat | None = None,
        deputies: tuple[int, ...] = (),
    ) -> None:
        """The host's next entry, or a deputy's TAKEOVER."""
        room = self._room
        before = room.roster.entry
        signed = room.roster.extend(room.identity, action, subject, newcomer, deputies)
        message = NewEntry(signed.write_fields())
        for peer in room.peers.values():
            out = peer.number == subject and action in REMOVALS
            if not out:
                self._courier.send(peer, message)
            elif action is Action.LEAVE:
                self._courier.part(peer, message)
        self._apply(before, room.roster.entry, now)

    # World in

    def receive(self, peer: Peer, message: NewEntry, now: float) -> None:
        """A signed entry, whoever brought it."""
        room, loyal = self._room, self._loyal(peer, now)
        try:
            taken = room.roster.receive(message.entry, loyal=loyal)
        except Missing as missing:
            entry = missing.step.entry
            # Nobody will tell us what we missed.
            if room.roster.removes(room.number, missing.step, loyal=loyal or room.hosting):
                self._about_ourselves(Action(entry.action))
                return
            newer = entry.term > room.roster.entry.term
            self._ask(peer if newer else room.host, room.roster.asked_from(), now)
            return
        except Barred as barred:
            self._barred(peer, message, barred, now)
            return
        if room.roster.held and room.host is not None:
            self._courier.send(room.host, message)  # it yields, if it can be reached at all
        if taken.parted:
            self._parted(peer, message, now)
        if taken.behind and peer.answers.take(now):
            self._courier.send(peer, Standing(room.roster.position))
        self._took(taken, now)

    def removed(self, entry: bytes, now: float) -> None:
        """We are out, says whoever left this in a mailbox; what counts is who signed it."""
        room, step = self._room, Step.parse(entry)
        if room.roster.removes(room.number, step, loyal=room.hosting or room.fresh(now)):
            self._about_ourselves(Action(step.entry.action))

    def _barred(self, peer: Peer, takeover: NewEntry, barred: Barred, now: float) -> None:
        """Somebody whom our chain has removed is host of a half; our own host hears of it too."""
        room = self._room
        elsewhere = not room.hosting or self._forks.elsewhere(peer)
        about = peer.number if elsewhere else barred.signer
        told = self._forks.parted(peer, now, about, barred.removal)
        if room.hosting and elsewhere and peer.seat.present:
            self.extend(Action.ABSENT, peer.number, now)
        elif told and room.host is not None and room.host is not peer:
            self._courier.send(room.host, takeover)

    def _parted(self, peer: Peer, removal: NewEntry, now: float) -> None:
        """A half of the room has removed our host, who hears of it too."""
        room = self._room
        if not room.hosting:
            if room.host is not None and room.host is not peer:
                self._courier.send(room.host, removal)
            self._forks.parted(peer, now, peer.number)
        else:  # whoever brought it is of our own half
            self._forks.parted(peer, now, Signed.parse(removal.entry).read().signer)

    def reconsider(self, now: float) -> None:
        """The host is heard no more: a takeover that waited counts."""
        room = self._room
        if room.roster.held and not room.fresh(now):
            self._took(room.roster.reconsider(loyal=False), now)

    def _loyal(self, peer: Peer, now: float) -> bool:
        """Whether takeovers wait: the host is heard, and this is not its own word."""
        room = self._room
        return not room.hosting and peer is not room.host and room.fresh(now)

    def stands(self, peer: Peer, message: Standing, now: float) -> None:
        """How far a member's chain reaches: who knows more helps, the host takes it back."""
        room, position = self._room, message.position
        if not self._forks.agrees(peer, position, now):
            return
        ours = room.roster.position
        if position.term > ours.term:
            self._ask(peer, ours, now)
        elif room.hosting or position.term < ours.term:
            self._help(peer, position, now)
        elif peer is room.host and position.order > ours.order:
            self._ask(peer, ours, now)

    def _help(self, peer: Peer, position: Position, now: float) -> None:
        missing = self._room.roster.since(position)[:CAUGHT_UP]
        if peer.answers.take(now, 1 + len(missing) / ENTRIES_OF_AN_ANSWER):
            for signed in missing:
                self._courier.send(peer, NewEntry(signed.write_fields()))
            if self._room.hosting:
                if self._room.roster.place(position) is Place.OURS:  # else it follows first
                    self.take_back(peer, now)
                self._legacy.tell(peer)
            else:
                self._legacy.pass_on(peer)

    def take_back(self, peer: Peer, now: float) -> None:
        """The host hears an absent member again."""
        if not peer.seat.present:
            self.extend(Action.RETURN, peer.number, now)
            self._legacy.tell(peer)

    def _ask(self, peer: Peer | None, position: Position, now: float) -> None:
        """Tell a member how far our chain reaches, so that it sends the rest."""
        if now - self._asked_at >= ASKING_PAUSE:
            self._asked_at = now
            self._asked.clear()
        if peer is not None and position not in self._asked:
            self._asked.add(position)
            self._courier.send(peer, Standing(position))

    def opening(self, peer: Peer) -> None:
        """What a fresh link carries first."""
        room = self._room
        self._courier.send(peer, Standing(room.roster.position))
        if room.hosting:
            self._legacy.tell(peer)

    # Consequences

    def _took(self, taken: Taken, now: float) -> None:
        """Entries of the network stand in our chain now."""
        room = self._room
        if taken.before.signer == room.number:  # we were the host: whoever followed us may go on
            for signed in taken.entries:
                self._courier.send_all(NewEntry(signed.write_fields()))
        if taken.dropped:
            self._switch(taken, now)
            return
        before = taken.before
        for signed in taken.entries:
            if not room.ended:
                entry = signed.read()
                self._apply(before, entry, now)
                before = entry

    def _apply(self, before: Entry, entry: Entry, now: float) -> None:
        room, action, subject = self._room, Action(entry.action), entry.subject
        for peer in room.peers.values():
            peer.seat = entry.seat(peer.number) or peer.seat
        self._forks.check_claims(entry.position, now)
        if action in (Action.LOCK, Action.UNLOCK):
            room.tell(RoomLocked(entry.locked))
        elif action is Action.TAKEOVER:
            self._taken_over(before, now)
        elif action in (Action.DEPUTIES, Action.HANDOVER):
            pass
        elif subject == room.number:
            self._about_ourselves(action)
        elif action in (Action.ADD, Action.RETURN):
            seat = entry.seat(subject)
            assert seat is not None
            self.joined(seat, now)
        else:
            out = room.peers.get(subject) if action is Action.KICK else None
            if out is not None:
                signed = room.roster.evidence(entry.position)
                self._courier.remove(out, NewEntry(signed.write_fields()), now)
            self._left(action, subject, now)
        self._renew(subject, now, lazily=action in ARRIVALS)

    def _renew(self, subject: Member | None, now: float, *, lazily: bool = False) -> None:
        """What every entry brings: a new sender key, a new room code, links to who is new."""
        if not self._room.ended:
            self._keyring.rotate(now, subject, lazily=lazily)
            self._comparison.begin(now)
            self._matchmaker.hurry(now)

    def _about_ourselves(self, action: Action) -> None:
        if action in REMOVALS:
            self._room.end(Ending.KICKED if action is Action.KICK else Ending.LEFT)
            return
        for peer in self._room.peers.values():
            if peer is not self._room.host and peer.link is not None:
                self._room.ways.drop(peer)  # we were away: they have dropped theirs

    def joined(self, seat: Seat, now: float) -> None:
        """Somebody is here, for the first time or again."""
        peer = self._room.peers.get(seat.number) or self._room.add_peer(seat, now)
        peer.last_life, peer.found_by = now, None
        peer.greet_anew()
        self.show(peer)

    def show(self, peer: Peer) -> None:
        """Tell people who is here."""
        peer.here = True
        hosting = peer is self._room.host
        self._room.tell(MemberJoined(peer.number, peer.name, peer.seat.identity, hosting))
        if peer.blocked:
            self._room.tell(Warned("identity-changed", peer.number))

    def _hide(self, peer: Peer, reason: str) -> None:
        """Tell people who is gone, once."""
        if peer.here:
            peer.here = False
            self._room.tell(MemberLeft(peer.number, peer.name, reason))

    def _left(self, action: Action, subject: Member, now: float) -> None:
        room = self._room
        peer = room.peers.get(subject)
        if peer is None:
            return
        self._hide(peer, REASONS[action])
        self._keyring.gone(subject, now)
        if action is Action.KICK:
            room.ban(peer.seat.sign)
        if action is not Action.ABSENT:
            self._forget(peer)
            if room.hosting:
                self._courier.send_all(self._mailboxes.renew(now))
            return
        peer.found_by = self._mailboxes.known_to(peer)
        if not room.hosting:  # the host keeps the link: it may be heard again at any time
            room.ways.drop(peer)

    def _forget(self, peer: Peer) -> None:
        self._talks[peer.number, peer.seat.sign] = peer.conversation
        while len(self._talks) > MAX_MEMBERS:
            self._talks.popitem(last=False)
        self._room.ways.drop(peer)
        del self._room.peers[peer.number]
        self._comparison.gone(peer.number)

    # Another host

    def _taken_over(self, before: Entry, now: float) -> None:
        self._mailboxes.begin_term()
        left = before.successor is not None
        if before.signer != self._room.number:
            self._left(Action.LEAVE if left else Action.ABSENT, before.signer, now)
        self._new_host(now)

    def _new_host(self, now: float) -> None:
        room = self._room
        room.host_since, room.host_left = now, False
        room.server_lost = room.host_server != ""
        room.server = room.host_server = ""
        if room.hosting:
            if room.secret_number == 0:
                self._mailboxes.renew(now)
            self._legacy.share()
        else:  # some may have no link to the new host
            if room.host is not None:
                room.host.greet_anew()
            self._courier.send_all(Standing(room.roster.position))
        seat = room.roster.seat(room.roster.host)
        assert seat is not None
        room.tell(HostChanged(seat.number, seat.name))

    def _switch(self, taken: Taken, now: float) -> None:
        """Our chain was left for another one: what differs between their newest entries."""
        room, entry = self._room, self._room.roster.entry
        yielded = taken.before.signer == room.number
        self._courier.forget_removed()
        for peer in list(room.peers.values()):
            seat = entry.seat(peer.number)
            if seat is None or seat.sign != peer.seat.sign or seat.number >= taken.shared:
                if yielded:
                    self._courier.send(peer, Moved())
                self._hide(peer, "moved")
                self._keyring.gone(peer.number, now)
                self._keyring.forget(peer.number)
                self._forget(peer)
            else:
                self._turn(peer, seat, now)
        for seat in entry.seats:
            if seat.number != room.number and seat.number not in room.peers:
                self._meet(seat, now, known=seat.number < taken.shared)
        for signed in taken.entries:
            self._forks.check_claims(signed.read().position, now)
        if taken.before.locked is not entry.locked:
            room.tell(RoomLocked(entry.locked))
        if any(Action(one.action) not in QUIET for one in taken.dropped):
            room.tell(Warned("entries-dropped"))
        if not self._stands_in(taken):
            return
        self._mailboxes.begin_term()
        self._new_host(now)
        self._renew(None, now)

    def _turn(self, peer: Peer, seat: Seat, now: float) -> None:
        """Whether a member is here may differ between two chains."""
        was, peer.seat = peer.seat.present, seat
        if was and not seat.present:
            self._left(Action.ABSENT, peer.number, now)
        elif seat.present and not was:
            self.joined(seat, now)

    def _meet(self, seat: Seat, now: float, *, known: bool) -> None:
        """Somebody has a seat in this chain; ``known``: and had it before the halves parted."""
        self._keyring.forget(seat.number)
        peer = self._room.add_peer(seat, now)
        talk = self._talks.pop((seat.number, seat.sign), None)
        if known and talk is not None:  # both count on: a text more or less would end each link
            peer.conversation = talk
        if seat.present:
            self.joined(seat, now)

    def _stands_in(self, taken: Taken) -> bool:
        """Whether we have a seat in the chain that we follow now; else the room is over."""
        room = self._room
        own = room.roster.seat(room.number)
        if own is not None and own.sign == room.identity.public.sign and own.number < taken.shared:
            return True
        for signed in taken.entries:
            entry = signed.read()
            if entry.subject == room.number and entry.action in (Action.KICK, Action.LEAVE):
                self._about_ourselves(Action(entry.action))
                return False
        room.end(Ending.ROOM_MOVED)
        return False
