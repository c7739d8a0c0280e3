"""Roads: what the driver says of one link's ways and of QUIC over them.

Rule: only the link in use counts. What an older road still says is dropped.
"""

from __future__ import annotations

from vc_core.errors import RemoteProtocolError
from vc_core.events import Warned
from vc_core.ids import LinkId, Member, Way
from vc_core.inside import Inside
from vc_core.link import Link
from vc_core.messages import Road
from vc_core.path import State
from vc_core.peer import GREETING_PAUSE, MESSAGE_COST, Peer
from vc_core.senderkeys import Opened
from vc_core.switchboard import Switchboard


class Roads:
    """Of one member."""

    def __init__(self, inside: Inside, switchboard: Switchboard) -> None:
        self._inside = inside
        self._room = inside.room
        self._switchboard = switchboard

    def find(self, member: Member, link: LinkId) -> tuple[Peer, Link] | None:
        """The member and its link, if that is the one in use."""
        peer = self._room.peers.get(member)
        if peer is None or peer.link is None or peer.link.id != link:
            return None
        return peer, peer.link

    # The ways

    def described(self, peer: Peer, link: Link, road: Road) -> None:
        """Our side of an attempt at a direct pair can be tried at these addresses."""
        path = link.paths.get(link.used) if link.used is not None else None
        if path is not None and path.state is State.ALIVE:
            self._inside.courier.send(peer, road)
        else:  # the stream waits for what these addresses are to mend
            self._inside.courier.send_letter(peer, link, road)

    def receive_probe(self, peer: Peer, link: Link, way: Way, datagram: bytes, now: float) -> None:
        """A probe of one way; dropped unless it verifies."""
        if self._room.ways.receive_probe(peer, link, way, datagram, now):
            peer.alive(now)

    def hear(
        self, member: Member, number: LinkId, way: Way, datagram: bytes, now: float
    ) -> Opened | None:
        """A sealed datagram; None unless it opens."""
        if (found := self.find(member, number)) is None:
            return None
        peer, link = found
        try:
            opened = self._inside.keyring.open(peer, datagram, now)
        except RemoteProtocolError:
            return None
        if opened is not None:
            peer.alive(now)
            self._room.ways.heard(peer, link, way, now)
        return opened

    # The control stream

    def stream_opened(self, peer: Peer, link: Link, now: float) -> None:
        """QUIC stands and both ends know stream 0."""
        if not link.streaming:
            link.streaming = True
            self._inside.streaming(peer, now)

    def receive_stream(self, peer: Peer, link: Link, data: bytes, now: float) -> None:
        """Bytes of stream 0; what the protocol does not allow costs the link."""
        try:
            messages = link.open_records(data)
            if not peer.traffic.take(now, len(data) + MESSAGE_COST * len(messages)):
                raise RemoteProtocolError("more than anybody needs to say")
            for message in messages:
                peer.alive(now)
                self._switchboard.take(peer, message, now)
                if peer.link is not link or self._room.ended:
                    break
        except RemoteProtocolError:
            self._room.tell(Warned("peer-misbehaved", peer.number))
            self.lost(peer, now)

    def lost(self, peer: Peer, now: float) -> None:
        """The link is over; a new one will be made."""
        begun = peer.coming, peer.greeting  # another handshake, which the other side may have ended
        self._room.ways.drop(peer)
        peer.coming, peer.greeting = begun
        peer.next_greeting = now + GREETING_PAUSE
