"""How a message gets to a member, whatever stands between us at the moment.

    control stream     once QUIC stands: everything
    exchange           newcomer and host, until then
    host               two members whose link has no stream yet: ``Carry``
    re-join mailbox    when the host cannot be reached, or is the one looked for

Texts, attestations, mute marks and what concerns pictures wait for the control
stream: they need order, and letters may be lost or overtaken. Everything else also
goes as letters. What is lost with a road is said again when the next stream opens;
after *last words* there is none, so they go every way that there is, and are read
even when the end of their road has come before them. Whoever is removed may hear
nothing at that moment, or have no link with the host: those who have one pass its
removal on, and whoever hosts leaves it in mailboxes for as long as one waits for a host.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from vc_core.commands import SendSignal, WriteRoad
from vc_core.errors import RemoteProtocolError
from vc_core.ids import ExchangeId, Member
from vc_core.link import Link
from vc_core.mailboxes import Mailboxes
from vc_core.meet import seal_removal
from vc_core.messages import (
    JOIN,
    MAX_MEMBERS,
    MEET,
    Attest,
    Bye,
    Carry,
    Chat,
    ChatTaken,
    Greet,
    KeyWanted,
    Letter,
    Mute,
    NewEntry,
    StreamCarried,
    StreamEnded,
    StreamOffered,
    Watch,
)
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.signals import Post
from vc_core.wire import Record

# Specification
PICTURES = (StreamOffered, StreamEnded, StreamCarried, Watch, KeyWanted)
STREAM_ONLY = (Chat, ChatTaken, Attest, Mute, *PICTURES)
LAST_WORDS = (Bye, NewEntry)
"""What is still read of a link that is over: it depends on no road."""
REMINDED = 60.0  # s for which the removed are told so: then they have given the host up
REMINDER_PAUSE = 5.0  # s between two times


@dataclass
class Removed:
    """Who must hear that it is out."""

    number: Member
    body: bytes
    """A ``MEET`` message."""
    secrets: list[bytes]
    """Of rooms whose mailboxes it may hear."""
    due: float
    until: float


class Courier:
    """Sends for one member."""

    def __init__(self, room: Room, mailboxes: Mailboxes) -> None:
        self._room = room
        self._mailboxes = mailboxes
        self._removed: deque[Removed] = deque(maxlen=MAX_MEMBERS)

    def send(self, peer: Peer, message: Record) -> bool:
        """Send a ``PEER`` message on the link in use; False if nothing carries it now."""
        link = peer.link
        if link is None:
            return False
        if link.streaming:
            self._room.ask(WriteRoad(peer.number, link.id, link.seal_record(message)))
            return True
        if isinstance(message, STREAM_ONLY):
            return False
        return self.send_letter(peer, link, message)

    def send_all(self, message: Record) -> None:
        """Send a ``PEER`` message to everybody present."""
        for peer in self._room.present():
            self.send(peer, message)

    def part(self, peer: Peer, message: Record) -> None:
        """Last words to a member whose links end now, or to one that we leave.

        We may not know which link the other side uses, whether its QUIC stands, or
        whether ours will bring them before it closes; a doubled letter does no harm.
        """
        if peer.link is not None and peer.link.streaming:
            self.send(peer, message)
        for link in (peer.link, peer.coming, peer.former):
            if link is not None:
                self._post_everywhere(peer, link, link.seal_letter(message))

    def remove(self, peer: Peer, message: NewEntry, now: float) -> None:
        """Last words to somebody who is removed from the room."""
        if self._room.hosting:
            self.part(peer, message)
        elif peer.streaming and not self._room.crowded:  # the host may have no link with it
            self.send(peer, message)
        links = [link for link in (peer.link, peer.coming, peer.former) if link is not None]
        known = peer.found_by or self._mailboxes.known_to(peer)
        secrets = list(dict.fromkeys((known, *(link.secret or known for link in links))))
        due = now + (REMINDER_PAUSE if links else 0.0)
        with suppress(RemoteProtocolError):  # nothing can be sealed for such a key
            removal = seal_removal(message.entry, peer.seat.dh, self._room.id, self._room.rng)
            body = MEET.write(removal)
            self._removed.append(Removed(peer.number, body, secrets, due, now + REMINDED))

    def forget_removed(self) -> None:
        """Another chain counts, in which they may have a seat."""
        self._removed.clear()

    def _post_everywhere(self, peer: Peer, link: Link, letter: Letter) -> None:
        if peer.exchange is not None and self._mailboxes.connected:
            self._room.ask(SendSignal(Post(peer.exchange, JOIN.write(letter))))
        secrets = self._room.secrets
        for secret in dict.fromkeys((link.secret or secrets[0], *secrets)):
            self._mailboxes.drop(peer.number, MEET.write(letter), secret)

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        hosting = self._room.hosting
        return min((one.due for one in self._removed), default=None) if hosting else None

    def handle_timer(self, now: float) -> None:
        """Remind the removed, if we host: our own and those of the host before us."""
        for one in [one for one in self._removed if now >= one.due and self._room.hosting]:
            for secret in one.secrets if now < one.until else ():
                self._mailboxes.drop(one.number, one.body, secret)
            one.due = now + REMINDER_PAUSE
            if one.due > one.until:
                self._removed.remove(one)

    def send_letter(self, peer: Peer, link: Link, message: Record) -> bool:
        """Send a ``PEER`` message as a letter of ``link``."""
        if peer.exchange is not None and self._mailboxes.connected:
            self.post_letter(peer.exchange, link, message)
            return True
        return self.send_meet(peer, link.seal_letter(message), link.secret)

    def post_letter(self, exchange: ExchangeId, link: Link, message: Record) -> None:
        """Send a letter through an exchange."""
        letter = link.seal_letter(message)
        self._room.ask(SendSignal(Post(exchange, JOIN.write(letter))))

    def send_meet(self, peer: Peer, message: Record, secret: bytes | None = None) -> bool:
        """Send a ``MEET`` message: by the host, or by the mailbox of a room secret.

        ``secret`` is one that the other side is known to hold; the newest otherwise.
        """
        body = MEET.write(message)
        host = self._carrier(peer)
        if host is not None:
            return self.send(host, Carry(peer.number, body))
        return self._mailboxes.drop(peer.number, body, secret or self._room.secrets[0])

    def send_greet(self, peer: Peer, greet: Greet) -> bool:
        """Send a greeting; by mailboxes of all room secrets, as the other may know an old one."""
        if self._carrier(peer) is not None:
            return self.send_meet(peer, greet)
        return all([self.send_meet(peer, greet, secret) for secret in self._room.secrets])

    def _carrier(self, peer: Peer) -> Peer | None:
        """The host, if it can carry something to another guest."""
        host = self._room.host
        if host is None or host is peer or not peer.seat.present:
            return None
        posts = host.exchange is not None and self._mailboxes.connected
        return host if host.carries or (posts and host.link is not None) else None

    def forward(self, sender: Peer, carry: Carry, now: float) -> None:
        """The host passes a body on, blind; only between members who are here."""
        receiver = self._room.peers.get(Member(carry.member))
        if receiver is None or receiver is sender or not receiver.seat.present:
            return
        if sender.seat.present and sender.carried.take(now, len(carry.body)):
            self.send(receiver, Carry(sender.number, carry.body))
