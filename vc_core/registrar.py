"""The registrar: keeps the roster and draws the consequences of each entry.

The host extends the chain and tells everybody, the one it is about included;
guests take entries in order and ask for what is missing. Either way the same
follows: people are told, keys of those who are gone die, everybody makes a new
sender key, and a new room code is made.

Rule: an entry is shown before any key goes out because of it.
"""

from __future__ import annotations

from vc_core.comparison import Comparison
from vc_core.courier import Courier
from vc_core.errors import Ending
from vc_core.events import MemberJoined, MemberLeft, RoomLocked, Warned
from vc_core.forks import Forks
from vc_core.ids import Member
from vc_core.keyring import Keyring
from vc_core.mailboxes import Mailboxes
from vc_core.matchmaker import Matchmaker
from vc_core.messages import NewEntry, Standing
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.roster import Action, Entry, Missing, Seat

# Specification
REASONS = {Action.LEAVE: "left", Action.KICK: "kicked", Action.ABSENT: "vanished"}
REMOVALS = (Action.LEAVE, Action.KICK)

# Implementation
CAUGHT_UP = 64  # entries that one standing is answered with
ENTRIES_OF_AN_ANSWER = 4  # entries that cost as much as one more answer
ASKING_PAUSE = 0.5  # s between two questions for missing entries


class Registrar:
    """For one member."""

    def __init__(
        self,
        room: Room,
        courier: Courier,
        mailboxes: Mailboxes,
        keyring: Keyring,
        comparison: Comparison,
        matchmaker: Matchmaker,
        forks: Forks,
    ) -> None:
        self._room = room
        self._courier = courier
        self._mailboxes = mailboxes
        self._keyring = keyring
        self._comparison = comparison
        self._matchmaker = matchmaker
        self._forks = forks
        self._asked_at = float("-inf")

    # The host's pen

    def extend(
        self, action: Action, subject: Member, now: float, newcomer: Seat | None = None
    ) -> None:
        """The host's next entry."""
        room = self._room
        signed = room.roster.extend(room.identity, action, subject, newcomer)
        message = NewEntry(signed.write_fields())
        for peer in room.peers.values():
            out = peer.number == subject and action in REMOVALS
            (self._courier.part if out else self._courier.send)(peer, message)
        self._apply(room.roster.entry, now)

    # World in

    def receive(self, message: NewEntry, now: float) -> None:
        """A signed entry, whoever brought it."""
        try:
            entry = self._room.roster.receive(message.entry)
        except Missing:
            self._ask(now)
            return
        if entry is not None:
            self._apply(entry, now)

    def stands(self, peer: Peer, message: Standing, now: float) -> None:
        """How far a member's chain reaches: the host helps it on, and takes it back."""
        room = self._room
        if not self._forks.agrees(peer, message.position, now):
            return
        if not room.hosting:
            if peer is room.host and message.position.order > room.roster.position.order:
                self._ask(now)
            return
        missing = room.roster.since(message.position)[:CAUGHT_UP]
        if peer.answers.take(now, 1 + len(missing) / ENTRIES_OF_AN_ANSWER):
            for signed in missing:
                self._courier.send(peer, NewEntry(signed.write_fields()))
            self.take_back(peer, now)

    def take_back(self, peer: Peer, now: float) -> None:
        """The host hears an absent member again."""
        if not peer.seat.present:
            self.extend(Action.RETURN, peer.number, now)
            self._tell_secret(peer)

    def _ask(self, now: float) -> None:
        """Tell the host how far our chain reaches, so that it sends the rest."""
        host = self._room.host
        if host is not None and now - self._asked_at >= ASKING_PAUSE:
            self._asked_at = now
            self._courier.send(host, Standing(self._room.roster.position))

    def opening(self, peer: Peer) -> None:
        """What a fresh link carries first."""
        room = self._room
        self._courier.send(peer, Standing(room.roster.position))
        if room.hosting:
            self._tell_secret(peer)

    def _tell_secret(self, peer: Peer) -> None:
        secret = self._mailboxes.newest()
        if secret is not None:
            self._courier.send(peer, secret)

    # Consequences

    def _apply(self, entry: Entry, now: float) -> None:
        room, action, subject = self._room, Action(entry.action), entry.subject
        for peer in room.peers.values():
            peer.seat = entry.seat(peer.number) or peer.seat
        self._forks.check_claims(now)
        if action in (Action.LOCK, Action.UNLOCK):
            room.tell(RoomLocked(entry.locked))
        elif subject == room.number:
            self._about_ourselves(action)
        elif action in (Action.ADD, Action.RETURN):
            seat = entry.seat(subject)
            assert seat is not None
            self.joined(seat, now)
        else:
            self._left(action, subject, now)
        if not room.ended:
            self._keyring.rotate(now, subject)
            self._comparison.begin(now)
            self._matchmaker.hurry(now)

    def _about_ourselves(self, action: Action) -> None:
        if action in REMOVALS:
            self._room.end(Ending.KICKED if action is Action.KICK else Ending.LEFT)
            return
        for peer in self._room.peers.values():
            if peer is not self._room.host:  # we were away: they have dropped their links
                self._room.ways.drop(peer)

    def joined(self, seat: Seat, now: float) -> None:
        """Somebody is here, for the first time or again."""
        peer = self._room.peers.get(seat.number) or self._room.add_peer(seat, now)
        peer.last_life = now
        self.show(peer)

    def show(self, peer: Peer) -> None:
        """Tell people who is here."""
        hosting = peer is self._room.host
        self._room.tell(MemberJoined(peer.number, peer.name, peer.seat.identity, hosting))
        if peer.blocked:
            self._room.tell(Warned("identity-changed", peer.number))

    def _left(self, action: Action, subject: Member, now: float) -> None:
        room = self._room
        peer = room.peers.get(subject)
        if peer is None:
            return
        room.tell(MemberLeft(subject, peer.name, REASONS[action]))
        self._keyring.gone(subject, now)
        if action is not Action.ABSENT:
            room.ways.drop(peer)
            del room.peers[subject]
            self._comparison.gone(subject)
            if room.hosting:
                self._courier.send_all(self._mailboxes.renew())
        elif not room.hosting:  # the host keeps the link: it may be heard again at any time
            room.ways.drop(peer)
