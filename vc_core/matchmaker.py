"""Makes links: greets members who have none, answers greetings, replaces the dead.

It also sees when the room has outgrown a mesh, or is small again (``vc_core.ways``).

Rule 1: the smaller key greets. A greeting that nobody answered is given up after
        5 s (15 s after many) and made anew; the responder's older link stays in
        use until a letter of the new one opens.
Rule 2: a greeting counts once. Its copies, whoever makes them, are dropped.
Rule 3: what others make up in a member's name costs a hash, and nothing of the
        handshakes that the member may begin.
Rule 4: the host looks for everybody who is absent, a guest now and then for one of
        them: it may live in another half of the room, whose host does not know ours.
"""

from __future__ import annotations

from vc_core.courier import LAST_WORDS, Courier
from vc_core.errors import RemoteProtocolError
from vc_core.ids import Member
from vc_core.keyring import Keyring
from vc_core.link import Link
from vc_core.meet import Greeting, Pair, reply_to
from vc_core.messages import PEER, Bundle, Greet, KeyTaken, Letter, Reply
from vc_core.path import next_beat
from vc_core.peer import MESSAGE_COST, Peer
from vc_core.room import Room
from vc_core.wire import Record

# Specification
BEAT = 0.5  # s between two looks at who needs a link
SEEKING = 20.0  # s between two greetings of a guest to members who are absent
LAST_LETTER = 20.0  # s after its last packet that letters of a link which is over are read


def _still_read(former: Link | None, now: float) -> bool:
    """Whether letters of a link that is over may still be under way."""
    return former is not None and now < former.last_life + LAST_LETTER


class Matchmaker:
    """For one member."""

    def __init__(self, room: Room, courier: Courier, keyring: Keyring, now: float) -> None:
        self._room = room
        self._courier = courier
        self._keyring = keyring
        self._next_look = now
        self._next_search = now + SEEKING
        self._pairs: dict[Member, Pair] = {}

    # Time

    def next_timer(self) -> float:
        """When ``handle_timer`` wants to run."""
        return self._next_look

    def handle_timer(self, now: float) -> None:
        """Greet whoever needs it."""
        if now >= self._next_look:
            self._next_look = next_beat(now, BEAT)
            self._room.ways.crowd(self._room.crowded, now)
            for peer in self._room.peers.values():
                self._forget(peer, now)
                if self._should_greet(peer, now):
                    self._greet(peer, now)
            if now >= self._next_search:
                self._next_search = now + SEEKING
                self._seek(now)

    def hurry(self, now: float) -> None:
        """Look as soon as possible."""
        self._next_look = now

    @staticmethod
    def _forget(peer: Peer, now: float) -> None:
        """The keys of a link that is over; who is absent may have to be told that it is out."""
        if peer.seat.present and not _still_read(peer.former, now):
            peer.former = None

    def _should_greet(self, peer: Peer, now: float) -> bool:
        return self._sought(peer) and self._lacks_link(peer, now) and not peer.waits_for_reply(now)

    def _sought(self, peer: Peer) -> bool:
        """Whether we greet it as soon as it needs a link; else now and then."""
        return peer.seat.present or self._room.hosting or peer is self._room.host

    def _lacks_link(self, peer: Peer, now: float) -> bool:
        may = peer.greets and not peer.blocked and now >= peer.next_greeting
        return may and peer.needs_link(now, crowded=self._room.crowded)

    def _seek(self, now: float) -> None:
        """Greet the absent one for whom we have not looked for longest."""
        away = [
            peer
            for peer in self._room.peers.values()
            if not self._sought(peer) and self._lacks_link(peer, now)
        ]
        if away:
            peer = min(away, key=lambda one: one.sought_at)
            peer.sought_at = now
            self._greet(peer, now)

    def _greet(self, peer: Peer, now: float) -> None:
        room = self._room
        try:
            greeting = Greeting(self._pair(peer), room.kem, room.rng, now)
        except RemoteProtocolError:  # no handshake with such a key
            return
        if self._courier.send_greet(peer, greeting.greet):
            peer.greeting = greeting
            peer.greetings += 1

    def _pair(self, peer: Peer) -> Pair:
        pair = self._pairs.get(peer.number)
        if pair is None or pair.other != peer.seat.identity:  # numbers may pass to somebody else
            here = self._room.peers
            self._pairs = {number: one for number, one in self._pairs.items() if number in here}
            pair = Pair(self._room.identity, peer.seat.identity, self._room.id)
            self._pairs[peer.number] = pair
        return pair

    def _use(self, peer: Peer, link: Link, now: float) -> None:
        """Use a new link; what a host carried on its older one may be lost with that."""
        self._room.use_link(peer, link, now)
        if peer is self._room.host:
            for other in self._room.peers.values():
                if other is not peer:
                    other.doubt_link(now)

    # World in

    def greeted(self, peer: Peer, greet: Greet, mailbox: bytes | None, now: float) -> None:
        """Answer a greeting that the host carried, or that lay in a mailbox.

        ``mailbox`` is the room secret of the latter; the answer is made of it.
        """
        room, pair = self._room, self._pair(peer)
        if peer.blocked or peer.greets or not pair.proves(greet):
            return
        if greet.tag in peer.seen_tags or not peer.greeted.take(now):
            return
        peer.seen_tags.append(greet.tag)
        key = self._keyring.key_for(peer, now)
        bundle = Bundle((PEER.write(key),) if key is not None else ())
        secret = mailbox or room.secrets[0]
        reply, keys = reply_to(greet, pair, secret, bundle, room.kem, room.rng)
        link = Link(
            peer.number,
            room.next_link(),
            greet.tag,
            keys,
            leading=False,
            now=now,
            secret=secret,
        )
        link.told_generation = key.generation if key is not None else 0
        peer.coming = link
        self._courier.send_meet(peer, reply, mailbox)

    def replied(self, peer: Peer, reply: Reply, now: float) -> list[Record]:
        """Finish our greeting; the messages that came with the answer.

        A link that lives again meanwhile stays: its ways carry, those of a new one
        would have to be found.
        """
        room, greeting = self._room, peer.greeting
        if greeting is None:
            return []
        if not peer.needs_link(now, crowded=self._room.crowded):
            peer.greeting = None
            return []
        keys, secret, bundle = greeting.receive(reply, room.secrets)
        messages = [PEER.read(body) for body in bundle.messages]
        link = Link(
            peer.number,
            room.next_link(),
            greeting.tag,
            keys,
            leading=True,
            now=now,
            secret=secret,
        )
        self._use(peer, link, now)
        peer.alive(now)
        # The other side keeps its older link until a letter of this one opens.
        self._courier.send_letter(peer, link, KeyTaken(0))
        return messages

    def letter(self, peer: Peer, letter: Letter, now: float) -> Record:
        """Open a letter; the first one of a coming link puts it in use.

        Of a link that is over only last words count.
        """
        link = peer.link_named(letter.tag)
        if link is None:
            raise RemoteProtocolError("a letter of no link")
        message = link.open_letter(letter)
        over = link is peer.former
        if over and not (isinstance(message, LAST_WORDS) and _still_read(link, now)):
            raise RemoteProtocolError("a letter of a link that is over")
        if not peer.traffic.take(now, len(letter.sealed) + MESSAGE_COST):
            raise RemoteProtocolError("more letters than anybody needs")
        peer.alive(now)
        if link is peer.coming:
            self._use(peer, link, now)
            peer.key_sent = link.told_generation
        return message
