"""The switchboard: each message of a member goes to the part that it concerns.

``MEET`` bodies come through the host or a mailbox and make links; ``PEER``
messages come over a link. A member whose key has changed is heard only where the
room itself depends on it, until the person accepts the key.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from vc_core.entry import Action
from vc_core.errors import Ending, RemoteProtocolError
from vc_core.ids import Member
from vc_core.inside import Inside
from vc_core.mailboxes import read_meet
from vc_core.meet import open_removal
from vc_core.messages import (
    Attest,
    Bye,
    Carry,
    Chat,
    ChatTaken,
    Commit,
    Estate,
    Forwarders,
    Greet,
    Heard,
    Heartbeat,
    KeyTaken,
    KeyWanted,
    Letter,
    Missed,
    Moved,
    Mute,
    NewEntry,
    NewSecret,
    Pulse,
    Removal,
    Reply,
    Reveal,
    Road,
    SenderKey,
    Standing,
    StreamCarried,
    StreamEnded,
    StreamOffered,
    Watch,
)
from vc_core.peer import Peer
from vc_core.roster import Forked
from vc_core.wire import Record

# Specification
OF_THE_ROOM = (
    *(NewEntry, Standing, Pulse, Heartbeat, Carry, NewSecret, Road, Bye, Forwarders),
    *(Missed, Heard, Moved, Estate),
)
"""What counts even from a member whose key has changed: roster, life, carrying."""

Handler = Callable[[Peer, Any, float], None]


class Switchboard:
    """For one member."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._room = inside.room
        self._handlers: dict[type[Record], Handler] = {
            Road: self._room.ways.hint,
            SenderKey: self._key,
            KeyTaken: inside.keyring.taken,
            NewEntry: self._entry,
            Standing: inside.registrar.stands,
            Pulse: inside.heartbeats.take_pulse,
            Heartbeat: inside.heartbeats.take_heartbeat,
            Carry: self._carry,
            NewSecret: self._secret,
            Chat: lambda peer, chat, _: inside.texts.take(peer, chat),
            ChatTaken: lambda peer, taken, _: inside.texts.taken(peer, taken),
            Commit: lambda peer, commit, _: inside.comparison.take(peer, commit),
            Reveal: lambda peer, reveal, _: inside.comparison.take(peer, reveal),
            Attest: inside.keyring.attested,
            Mute: lambda peer, mute, _: inside.texts.take_mute(peer, mute),
            Bye: self._bye,
            Missed: inside.succession.missed,
            Heard: inside.succession.heard,
            Moved: self._moved,
            Estate: inside.legacy.inherit,
            Forwarders: inside.forwarding.receive,
            StreamOffered: inside.pictures.take_offer,
            StreamEnded: inside.pictures.take_end,
            Watch: inside.pictures.take_watch,
            KeyWanted: inside.pictures.take_key_wanted,
            StreamCarried: inside.pictures.take_carried,
        }

    def take(self, peer: Peer, message: Record, now: float) -> None:
        """One ``PEER`` message.

        Two signed entries for one place end the room. ``RemoteProtocolError`` for
        anything else that ends this member's link.
        """
        handler = self._handlers.get(type(message))
        if handler is None:
            raise RemoteProtocolError(f"a {type(message).__name__} does not belong here")
        if peer.blocked and not isinstance(message, OF_THE_ROOM):
            return
        try:
            handler(peer, message, now)
        except Forked as fork:
            self._inside.forks.stop(fork)

    def take_meet(
        self, sender: Member, message: Record, now: float, mailbox: bytes | None = None
    ) -> None:
        """One ``MEET`` message, by the host or the ``mailbox`` of a room secret."""
        if isinstance(message, Removal) and mailbox is not None:
            room = self._room
            self._inside.registrar.removed(open_removal(message, room.identity.dh, room.id), now)
        peer = self._room.peers.get(sender)
        matchmaker = self._inside.matchmaker
        if peer is None:
            return
        if isinstance(message, Greet):
            matchmaker.greeted(peer, message, mailbox, now)
        elif isinstance(message, Reply):
            before = peer.links
            for inside in matchmaker.replied(peer, message, now):
                self.take(peer, inside, now)
            if peer.links > before:
                self._inside.linked(peer, now)
        elif isinstance(message, Letter):
            self.take_letter(peer, message, now)

    def take_exchange_letter(self, letter: Letter, now: float) -> None:
        """One letter that an exchange brought; its tag says whose it is."""
        for peer in self._room.peers.values():
            if peer.link_named(letter.tag) is not None:
                self.take_letter(peer, letter, now)
                return

    def take_letter(self, peer: Peer, letter: Letter, now: float) -> None:
        """One letter of a link, in use or coming."""
        before = peer.links
        message = self._inside.matchmaker.letter(peer, letter, now)
        if peer.links > before:
            self._inside.linked(peer, now)
        self.take(peer, message, now)

    def _entry(self, peer: Peer, entry: NewEntry, now: float) -> None:
        self._inside.registrar.receive(peer, entry, now)

    def _key(self, peer: Peer, key: SenderKey, now: float) -> None:
        if self._inside.forks.agrees(peer, key.position, now):
            self._inside.keyring.learn(peer, key, now)

    def _carry(self, peer: Peer, carry: Carry, now: float) -> None:
        if self._room.hosting:
            self._inside.courier.forward(peer, carry, now)
        elif peer is self._room.host:
            with suppress(RemoteProtocolError):  # the other member's fault, not the host's
                self.take_meet(Member(carry.member), read_meet(carry.body), now)

    def _secret(self, peer: Peer, message: NewSecret, now: float) -> None:
        if peer is self._room.host:
            self._inside.mailboxes.learn(message, now)

    def _bye(self, peer: Peer, message: Bye, now: float) -> None:
        if self._room.hosting:
            self._inside.registrar.extend(Action.LEAVE, peer.number, now)
        elif peer is self._room.host:
            self._inside.succession.host_left(peer, now)

    def _moved(self, peer: Peer, _: Moved, _now: float) -> None:
        if peer is self._room.host:
            self._room.end(Ending.ROOM_MOVED)
