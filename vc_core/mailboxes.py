"""Re-join mailboxes: where members find each other when nothing else stands.

A mailbox at the signaling server is named after a room secret, and what is
dropped into it is sealed under a key of that secret. A member hears the
mailboxes of all secrets that it knows; one who was away may know old ones only.

Rule: besides the newest ones, the secret is kept that was the newest when an absent
      member was last heard. So two halves of a room find each other by the one that
      both knew when they parted, however many have left either of them since.
"""

from __future__ import annotations

from vc_core.commands import SendSignal
from vc_core.entry import FIRST_TERM
from vc_core.errors import RemoteProtocolError
from vc_core.ids import Member
from vc_core.keys import hkdf
from vc_core.messages import MEET, Letter, NewSecret, Parcel
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.seal import open_box, seal_box
from vc_core.signals import Attach, Detach, Drop
from vc_core.wire import Reader, Record

# Specification
LABEL_MAILBOX = "vchat-1 mailbox"
LABEL_MAILBOX_KEY = "vchat-1 mailbox key"
KEPT_SECRETS = 3  # newest room secrets that are kept in any case
MAX_SECRETS = 6  # room secrets that are kept, with those that absent members may know
UNDER_WAY = 3.0  # s before its last sign of life that a member has surely learned a secret


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
        self._since: dict[bytes, float] = {}
        """When each room secret came to us; not of the first one."""

    def newest(self) -> NewSecret | None:
        """What others are told, if there was more than the one of their welcome."""
        room = self._room
        renewed = room.secret_number > 1 or room.roster.entry.term != FIRST_TERM
        return NewSecret(room.secret_number, room.secrets[0]) if renewed else None

    def begin_term(self) -> None:
        """Another host: its secrets count from 1, whatever the old one has said."""
        self._room.secret_number = 0

    def renew(self, now: float) -> NewSecret:
        """The host's next room secret, after a removal."""
        room = self._room
        room.secret_number += 1
        self._keep(room.rng(32), now)
        return NewSecret(room.secret_number, room.secrets[0])

    def learn(self, new: NewSecret, now: float) -> None:
        """The host has a new room secret; older news may come late."""
        room = self._room
        if new.number > room.secret_number:
            room.secret_number = new.number
            self._keep(new.secret, now)

    def known_to(self, peer: Peer) -> bytes:
        """The newest room secret that a member had surely learned when it was last heard."""
        secrets, heard = self._room.secrets, peer.last_life - UNDER_WAY
        return next((one for one in secrets if self._came(one) <= heard), secrets[-1])

    def _came(self, secret: bytes) -> float:
        return self._since.get(secret, float("-inf"))

    def _keep(self, newest: bytes, now: float) -> None:
        """One more; of the others the newest, and those by which others may look for us."""
        room = self._room
        wanted = {peer.found_by or self.known_to(peer) for peer in room.peers.values()}
        older = [secret for secret in room.secrets if secret != newest]
        kept = older[: KEPT_SECRETS - 1]
        kept += [secret for secret in older[KEPT_SECRETS - 1 :] if secret in wanted]
        room.secrets = [newest, *kept][:MAX_SECRETS]
        self._since = {secret: self._came(secret) for secret in kept} | {newest: now}
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
