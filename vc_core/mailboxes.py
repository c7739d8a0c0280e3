"""Re-join mailboxes: where members find each other when nothing else stands.

A mailbox at the signaling server is named after a room secret, and what is
dropped into it is sealed under a key of that secret. A member hears the
mailboxes of all secrets that it knows; one who was away may know old ones only.
"""

from __future__ import annotations

from vc_core.commands import SendSignal
from vc_core.entry import FIRST_TERM
from vc_core.errors import RemoteProtocolError
from vc_core.ids import Member
from vc_core.keys import hkdf
from vc_core.messages import MEET, Letter, NewSecret, Parcel
from vc_core.room import Room
from vc_core.seal import open_box, seal_box
from vc_core.signals import Attach, Detach, Drop
from vc_core.wire import Reader, Record

# Specification
LABEL_MAILBOX = "vchat-1 mailbox"
LABEL_MAILBOX_KEY = "vchat-1 mailbox key"
KEPT_SECRETS = 4  # room secrets whose mailboxes are heard while somebody is absent
KEPT_BY_GUESTS = 3  # room secrets that a guest keeps: it may become the host, or meet another one


def mailbox_of(secret: bytes) -> bytes:
    """The 32-byte name of the re-join mailbox of a room secret."""
    return hkdf(secret, LABEL_MAILBOX)


def read_meet(body: bytes) -> Record:
    """One ``MEET`` message."""
    message = MEET.read(body)
    if isinstance(message, Letter) and len(message.sealed) < 16:
        raise RemoteProtocolError("a letter with nothing inside")
    return message


class Mailboxes:
    """The room secrets of one member and their mailboxes."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.connected = True
        """Whether the signaling server is there."""
        self._attached: dict[bytes, bytes] = {}

    def newest(self) -> NewSecret | None:
        """What others are told, if there was more than the one of their welcome."""
        room = self._room
        renewed = room.secret_number > 1 or room.roster.entry.term != FIRST_TERM
        return NewSecret(room.secret_number, room.secrets[0]) if renewed else None

    def begin_term(self) -> None:
        """Another host: its secrets count from 1, whatever the old one has said."""
        self._room.secret_number = 0

    def renew(self) -> NewSecret:
        """The host's next room secret, after a removal."""
        room = self._room
        away = any(not seat.present for seat in room.roster.entry.seats)
        older = room.secrets[: KEPT_SECRETS - 1 if away else 2]
        room.secrets = [room.rng(32), *older]
        room.secret_number += 1
        self.attach()
        return NewSecret(room.secret_number, room.secrets[0])

    def learn(self, new: NewSecret) -> None:
        """The host has a new room secret; older news may come late."""
        room = self._room
        if new.number > room.secret_number:
            room.secret_number = new.number
            older = [secret for secret in room.secrets if secret != new.secret]
            room.secrets = [new.secret, *older[: KEPT_BY_GUESTS - 1]]
            self.attach()

    def attach(self) -> None:
        """Hear the mailboxes of all room secrets, and no others."""
        if not self.connected:
            return
        wanted = {mailbox_of(secret): secret for secret in self._room.secrets}
        for name in self._attached:
            if name not in wanted:
                self._room.ask(SendSignal(Detach(name)))
        for name in wanted:
            if name not in self._attached:
                self._room.ask(SendSignal(Attach(name)))
        self._attached = wanted

    def lost(self) -> None:
        """The signaling server is gone."""
        self.connected = False
        self._attached = {}

    def back(self) -> None:
        """The signaling server is there again, and knows nothing of us."""
        self.connected = True
        self._attached = {}
        self.attach()

    def drop(self, receiver: Member, body: bytes, secret: bytes) -> bool:
        """Leave a ``MEET`` message for somebody; False without a server."""
        if not self.connected:
            return False
        parcel = Parcel(self._room.number, receiver, body).write_fields()
        mailbox = mailbox_of(secret)
        box = seal_box(hkdf(secret, LABEL_MAILBOX_KEY), parcel, mailbox, self._room.rng)
        self._room.ask(SendSignal(Drop(mailbox, box)))
        return True

    def open(self, mailbox: bytes, box: bytes) -> tuple[Member, Record, bytes] | None:
        """(sender, ``MEET`` message, room secret) of what was left for us, or None."""
        secret = self._attached.get(mailbox)
        if secret is None:
            return None
        reader = Reader(open_box(hkdf(secret, LABEL_MAILBOX_KEY), box, mailbox))
        parcel = Parcel.read_fields(reader)
        reader.finish()
        if parcel.receiver != self._room.number:
            return None
        return Member(parcel.sender), read_meet(parcel.body), secret
