"""Texts and mute marks of one member, to and from everybody else."""

from __future__ import annotations

from vc_core.chat import TooMuchWaiting, flaw
from vc_core.clean import clean_text
from vc_core.courier import Courier
from vc_core.errors import LocalProtocolError
from vc_core.events import Chatted, Delivered, MemberMuted, Warned
from vc_core.ids import Member
from vc_core.messages import Chat, ChatTaken, Mute
from vc_core.peer import MESSAGE_COST, Peer
from vc_core.room import Room

# Implementation
PACE = 0.05  # s until texts that were held back are tried again
RECORD_COST = 64  # bytes of a text's record besides the text


class Texts:
    """Says and takes for one member.

    Texts leave no faster than the other side is willing to read (``peer.SPEECH``);
    what is more waits in the conversation, which is bounded.
    """

    def __init__(self, room: Room, courier: Courier, now: float) -> None:
        self._room = room
        self._courier = courier
        self._now = now
        self._due = float("inf")

    # Verbs

    def say(self, text: str, to: Member | None) -> bytes:
        """Send a text to everybody present, or to one; its id.

        Whoever is present gets it, if need be when a road stands again. Raises
        ``LocalProtocolError`` when it does not fit, nobody has the number ``to``,
        or everybody who should get it has too much waiting already.
        """
        if why := flaw(text):
            raise LocalProtocolError(why)
        peers = [peer for peer in self._room.present() if to is None or peer.number == to]
        if to is not None and not peers:
            raise LocalProtocolError("no such member")
        id = self._room.rng(8)
        refused = [peer for peer in peers if not self._say(peer, id, text, private=to is not None)]
        for peer in refused:
            self._room.tell(Warned("text-refused", peer.number))
        if refused and len(refused) == len(peers):
            raise LocalProtocolError("nobody takes texts at the moment")
        return id

    def _say(self, peer: Peer, id: bytes, text: str, *, private: bool) -> bool:
        try:
            peer.conversation.say(id, text, private=private)
        except TooMuchWaiting:
            return False
        self._flush(peer)
        return True

    def _flush(self, peer: Peer) -> None:
        """Send what the pace allows."""
        while peer.streaming and (chat := peer.conversation.next_unsent()) is not None:
            size = len(chat.text.encode("utf-8", "replace"))
            if not peer.speech.take(self._now, size + RECORD_COST + MESSAGE_COST):
                self._due = self._now + PACE
                return
            peer.conversation.sent()
            self._courier.send(peer, chat)

    def mute(self, on: bool) -> None:
        """Tell the others that our microphone is off or on."""
        if self._room.muted is not on:
            self._room.muted = on
            self._courier.send_all(Mute(on))

    # World in

    def take(self, peer: Peer, chat: Chat) -> None:
        """A member's text; shown once, acknowledged each time."""
        new, taken = peer.conversation.receive(chat)
        self._courier.send(peer, taken)
        if new:
            text = clean_text(chat.text)
            self._room.tell(Chatted(peer.number, chat.id, text, chat.private))

    def taken(self, peer: Peer, taken: ChatTaken) -> None:
        """A member has our texts up to here."""
        for id in peer.conversation.acknowledged(taken):
            self._room.tell(Delivered(id, peer.number))

    def take_mute(self, peer: Peer, message: Mute) -> None:
        """A member's microphone."""
        if peer.muted is not message.on:
            peer.muted = message.on
            self._room.tell(MemberMuted(peer.number, message.on))

    def opening(self, peer: Peer) -> None:
        """What a fresh control stream carries again."""
        self._courier.send(peer, Mute(self._room.muted))
        peer.conversation.rewind()
        self._flush(peer)

    # Time

    def next_timer(self) -> float:
        """When ``handle_timer`` wants to run; infinity for never."""
        return self._due

    def handle_timer(self, now: float) -> None:
        """Go on with what was held back."""
        self._now = now
        if now >= self._due:
            self._due = float("inf")
            for peer in self._room.peers.values():
                self._flush(peer)
