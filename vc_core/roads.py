"""Roads: what the driver says of one link's carrier and of QUIC over it.

Rule: only the link in use counts. What an older road still says is dropped.
"""

from __future__ import annotations

from vc_core.commands import SendDatagram, WakeRoad
from vc_core.errors import RemoteProtocolError
from vc_core.events import Warned
from vc_core.ids import LinkId, Member
from vc_core.inside import Inside
from vc_core.ladder import RoadFailed, RoadSilent
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

    # The carrier

    def described(self, peer: Peer, link: Link, road: Road) -> None:
        """Our side can be tried at these addresses."""
        self._inside.courier.send_letter(peer, link, road)

    def failed(self, peer: Peer, link: Link) -> None:
        """The carrier gave up."""
        link.path.open = False
        self._room.told(peer, RoadFailed())

    def receive_probe(self, peer: Peer, link: Link, datagram: bytes, now: float) -> None:
        """A probe of the path; dropped unless it verifies."""
        path = link.path
        silent = path.state is State.SILENT
        carried = peer.ladder.rung != "none" and path.rtt is None
        try:
            path.receive(datagram, now)
        except RemoteProtocolError:
            return
        self._room.alive(peer, link, now)
        if silent:
            self._room.ask(WakeRoad(peer.number, link.id))
        if carried and path.rtt is not None:
            self._room.show_path(peer)
        self._probe(peer, link, now)

    def hear(self, peer: Peer, link: Link, datagram: bytes, now: float) -> Opened | None:
        """A sealed datagram; None unless it opens."""
        try:
            opened = self._inside.keyring.open(peer, datagram, now)
        except RemoteProtocolError:
            return None
        if opened is not None:
            self._room.alive(peer, link, now)
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
        self._room.told(peer, RoadFailed())
        self._room.drop_links(peer)
        peer.next_greeting = now + GREETING_PAUSE

    # Time

    def next_timer(self) -> float:
        """When ``handle_timer`` wants to run; infinity for never."""
        due = float("inf")
        for peer in self._room.peers.values():
            time = peer.link.path.next_timer() if peer.link is not None else None
            if time is not None and time < due:
                due = time
        return due

    def handle_timer(self, now: float) -> None:
        """Probe every path."""
        for peer in self._room.peers.values():
            if peer.link is not None:
                self._probe(peer, peer.link, now)

    def _probe(self, peer: Peer, link: Link, now: float) -> None:
        before = link.path.state
        for datagram in link.path.handle_timer(now):
            self._room.ask(SendDatagram(peer.number, link.id, datagram))
        if before is State.ALIVE and link.path.state is State.SILENT:
            self._room.told(peer, RoadSilent())
