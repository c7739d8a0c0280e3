"""Makes links: greets members who have none, answers greetings, replaces the dead.

Rule: the smaller key greets. A greeting that nobody answered is given up after
      5 s and made anew; the responder's older link stays in use until a letter
      of the new one opens.
"""

from __future__ import annotations

from vc_core.courier import Courier
from vc_core.ids import Member
from vc_core.link import Link
from vc_core.meet import Greeting, initiates, reply_to
from vc_core.messages import PEER, Bundle, Greet, KeyTaken, Letter, Reply, SenderKey
from vc_core.peer import GREETING_LIFE, GREETING_PAUSE, Peer
from vc_core.room import Room
from vc_core.wire import Record


class Matchmaker:
    """For one member."""

    def __init__(self, room: Room, courier: Courier) -> None:
        self._room = room
        self._courier = courier

    def handle_timer(self, now: float) -> None:
        """Greet whoever needs it."""
        for peer in self._room.peers.values():
            if self._should_greet(peer, now):
                self._greet(peer, now)

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run: a beat is enough."""
        return min((peer.next_greeting for peer in self._candidates()), default=None)

    def _candidates(self) -> list[Peer]:
        own = self._room.identity.public
        return [
            peer
            for peer in self._room.peers.values()
            if not peer.blocked
            and (peer.seat.present or peer is self._room.host or self._room.hosting)
            and initiates(own, peer.seat.identity)
        ]

    def _should_greet(self, peer: Peer, now: float) -> bool:
        if peer not in self._candidates() or now < peer.next_greeting:
            return False
        peer.next_greeting = now + GREETING_PAUSE
        waiting = peer.greeting is not None and now - peer.greeting.begun < GREETING_LIFE
        return peer.needs_link(now) and not waiting and peer.coming is None

    def _greet(self, peer: Peer, now: float) -> None:
        room = self._room
        greeting = Greeting(room.identity, peer.seat.identity, room.id, room.kem, room.rng, now)
        if self._courier.send_meet(peer, greeting.greet):
            peer.greeting = greeting
            if not peer.seat.present:  # an absent member may know an older room secret only
                for secret in room.secrets[1:]:
                    self._courier.send_meet(peer, greeting.greet, secret)

    def greeted(
        self, peer: Peer, greet: Greet, secret: bytes, key: SenderKey | None, now: float
    ) -> None:
        """Answer a greeting; ``key`` is our sender key if it may go out."""
        room = self._room
        if peer.blocked or initiates(room.identity.public, peer.seat.identity):
            return
        bundle = Bundle((PEER.write(key),) if key is not None else ())
        reply, keys = reply_to(
            greet, room.identity, peer.seat.identity, room.id, secret, bundle, room.kem, room.rng
        )
        if peer.coming is not None:
            room.close_road(peer, peer.coming)
        link = Link(peer.number, room.next_link(), greet.tag, keys, leading=False, now=now)
        link.told_generation = key.generation if key is not None else 0
        peer.coming = link
        by_mailbox = secret if self._by_mailbox(peer) else None
        self._courier.send_meet(peer, reply, by_mailbox)

    def _by_mailbox(self, peer: Peer) -> bool:
        return peer is self._room.host or self._room.hosting or not peer.seat.present

    def replied(self, peer: Peer, reply: Reply, now: float) -> list[Record]:
        """Finish our greeting; the messages that came with the answer."""
        greeting = peer.greeting
        if greeting is None:
            return []
        keys, bundle = greeting.receive(reply, self._room.secrets)
        messages = [PEER.read(body) for body in bundle.messages]
        link = Link(
            peer.number, self._room.next_link(), greeting.tag, keys, leading=True, now=now
        )
        self._room.use_link(peer, link)
        peer.alive(now)
        # The other side keeps its older link until a letter of this one opens.
        self._courier.send_letter(peer, link, KeyTaken(0))
        self._room.open_road(peer, link)
        return messages

    def letter(self, peer: Peer, letter: Letter, now: float) -> Record | None:
        """Open a letter; the first one of a coming link puts it in use."""
        link = peer.link_named(letter.tag)
        if link is None:
            return None
        message = link.open_letter(letter)
        peer.alive(now)
        if link is peer.coming:
            self._room.use_link(peer, link)
            peer.key_sent = link.told_generation
            self._room.open_road(peer, link)
        return message

    def lost(self, peer: Peer, now: float) -> None:
        """The link in use is over."""
        self._room.drop_links(peer)
        peer.next_greeting = now + GREETING_PAUSE

    def hurry(self, member: Member, now: float) -> None:
        """Greet a member as soon as possible."""
        peer = self._room.peers.get(member)
        if peer is not None:
            peer.next_greeting = now
