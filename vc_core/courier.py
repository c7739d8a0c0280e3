"""How a message gets to a member, whatever stands between us at the moment.

    control stream     once QUIC stands: everything
    exchange           newcomer and host, until then
    host               two members whose link has no stream yet: ``Carry``
    re-join mailbox    when the host cannot be reached, or is the one looked for

Texts and attestations wait for the control stream; everything else also goes as
letters. What is lost with a road is said again when the next stream opens.
"""

from __future__ import annotations

from vc_core.commands import SendSignal, WriteRoad
from vc_core.errors import RemoteProtocolError
from vc_core.ids import Member
from vc_core.keys import hkdf
from vc_core.link import Link
from vc_core.messages import JOIN, MEET, Attest, Carry, Chat, ChatTaken, Letter, Parcel
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.seal import open_box, seal_box
from vc_core.signals import Attach, Detach, Drop, Post
from vc_core.wire import Reader, Record

# Specification
LABEL_MAILBOX = "vchat-1 mailbox"
LABEL_MAILBOX_KEY = "vchat-1 mailbox key"
STREAM_ONLY = (Chat, ChatTaken, Attest)

# Implementation
KEPT_SECRETS = 4  # room secrets whose mailboxes are heard


def mailbox_of(secret: bytes) -> bytes:
    """The 32-byte name of the re-join mailbox of a room secret."""
    return hkdf(secret, LABEL_MAILBOX)


class Courier:
    """Sends for one member."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.signaling = True
        """Whether the signaling server is connected."""
        self._attached: dict[bytes, bytes] = {}

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

    def send_letter(self, peer: Peer, link: Link, message: Record) -> bool:
        """Send a ``PEER`` message as a letter of ``link``."""
        letter = link.seal_letter(message)
        if peer.exchange is not None and self.signaling:
            self._room.ask(SendSignal(Post(peer.exchange, JOIN.write(letter))))
            return True
        return self.send_meet(peer, letter)

    def send_meet(self, peer: Peer, message: Record, secret: bytes | None = None) -> bool:
        """Send a ``MEET`` message: by the host, or by the mailbox of ``secret``."""
        body = MEET.write(message)
        host = self._room.host
        by_host = host is not None and host is not peer and secret is None
        if by_host and host is not None and (host.streaming or host.exchange is not None):
            return self.send(host, Carry(peer.number, body))
        if not self.signaling:
            return False
        secret = secret or self._room.secrets[0]
        parcel = Parcel(self._room.number, peer.number, body).write_fields()
        mailbox = mailbox_of(secret)
        box = seal_box(hkdf(secret, LABEL_MAILBOX_KEY), parcel, mailbox, self._room.rng)
        self._room.ask(SendSignal(Drop(mailbox, box)))
        return True

    def forward(self, sender: Peer, carry: Carry) -> None:
        """The host passes a body on, blind; only between members who are here."""
        receiver = self._room.peers.get(Member(carry.member))
        if receiver is not None and receiver.seat.present and receiver is not sender:
            self.send(receiver, Carry(sender.number, carry.body))

    # Mailboxes

    def attach(self) -> None:
        """Hear the mailboxes of all room secrets, and no others."""
        wanted = {mailbox_of(secret): secret for secret in self._room.secrets[:KEPT_SECRETS]}
        if self.signaling:
            for name in self._attached.keys() - wanted.keys():
                self._room.ask(SendSignal(Detach(name)))
            for name in wanted.keys() - self._attached.keys():
                self._room.ask(SendSignal(Attach(name)))
        self._attached = wanted if self.signaling else {}

    def lost(self) -> None:
        """The signaling server is gone."""
        self.signaling = False
        self._attached = {}
        for peer in self._room.peers.values():
            peer.exchange = None

    def back(self) -> None:
        """The signaling server is there again."""
        self.signaling = True
        self.attach()

    def open_parcel(self, mailbox: bytes, box: bytes) -> tuple[Member, Record, bytes] | None:
        """(sender, ``MEET`` message, room secret) of what was dropped for us, or None."""
        secret = self._attached.get(mailbox)
        if secret is None:
            return None
        data = open_box(hkdf(secret, LABEL_MAILBOX_KEY), box, mailbox)
        reader = Reader(data)
        parcel = Parcel.read_fields(reader)
        reader.finish()
        if parcel.receiver != self._room.number:
            return None
        return Member(parcel.sender), read_meet(parcel.body), secret


def read_meet(body: bytes) -> Record:
    """One ``MEET`` message."""
    message = MEET.read(body)
    if isinstance(message, Letter) and len(message.sealed) < 16:
        raise RemoteProtocolError("a letter with nothing inside")
    return message
