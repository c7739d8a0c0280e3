"""Inside: everything that works once one's own place in the room is certain.

    Courier      how a message gets to a member        Mailboxes   when nothing else stands
    Matchmaker   links to everybody                    Keyring     sender keys, sealing
    Forwarding   forwarders of the room            Pictures    streams and who watches them
    Registrar    the roster and what follows from it   Forks       one story for everybody?
    Legacy       what the next host needs
    Heartbeats   who is alive                          Succession  who hosts, when the host is gone
    Comparison   the room code                         Texts       what people write

Parts are given their neighbours here and nowhere else; what one needs stands
above it.
"""

from __future__ import annotations

from vc_core.comparison import Comparison
from vc_core.courier import Courier
from vc_core.events import RoomOpened
from vc_core.forks import Forks
from vc_core.forwarding import Forwarding
from vc_core.heartbeat import Heartbeats
from vc_core.ids import ExchangeId
from vc_core.keyring import Keyring
from vc_core.legacy import Legacy
from vc_core.link import Link
from vc_core.mailboxes import Mailboxes
from vc_core.matchmaker import Matchmaker
from vc_core.peer import Peer
from vc_core.pictures import Pictures
from vc_core.registrar import Registrar
from vc_core.room import Room
from vc_core.succession import Succession
from vc_core.texts import Texts


class Inside:
    """The parts of one member's room."""

    def __init__(self, room: Room, courier: Courier, mailboxes: Mailboxes, now: float) -> None:
        room.fresh_at = now
        self.room = room
        self.courier = courier
        self.mailboxes = mailboxes
        self.keyring = Keyring(room, courier)
        self.comparison = Comparison(room, courier)
        self.forks = Forks(room, courier)
        self.texts = Texts(room, courier, now)
        self.matchmaker = Matchmaker(room, courier, self.keyring, now)
        self.forwarding = Forwarding(room, courier)
        self.pictures = Pictures(room, courier, self.keyring)
        self.legacy = Legacy(room, courier, mailboxes)
        self.registrar = Registrar(
            room,
            courier,
            self.legacy,
            self.keyring,
            self.comparison,
            self.matchmaker,
            self.forks,
        )
        self.heartbeats = Heartbeats(room, courier, self.keyring, self.registrar, self.forks)
        self.succession = Succession(
            room, courier, self.registrar, self.heartbeats, self.forwarding
        )

    def begin(self, now: float) -> None:
        """Say where we are and who else is here."""
        room = self.room
        seat = room.roster.seat(room.number)
        assert seat is not None
        room.tell(RoomOpened(room.id, room.number, seat.name, room.hosting))
        self.mailboxes.attach()
        for other in room.roster.present():
            if other.number != room.number:
                self.registrar.joined(other, now)
        for absent in room.roster.entry.seats:
            if not absent.present:
                room.add_peer(absent, now)
        self.keyring.rotate(now)
        self.comparison.begin(now)

    def meet_host(self, link: Link, exchange: ExchangeId, now: float) -> None:
        """A guest has come with a link to its host."""
        host = self.room.host
        assert host is not None
        host.exchange = exchange
        self.room.use_link(host, link, now)
        self.keyring.announce(host, now)

    def accept(self, peer: Peer, now: float) -> None:
        """The person trusts a changed key: look for roads to that member."""
        if peer.blocked:
            peer.blocked = False
            self.keyring.announce(peer, now)
            self.room.ways.open(peer, now)
            self.matchmaker.hurry(now)

    # A new link, a new stream

    def linked(self, peer: Peer, now: float) -> None:
        """A new link is in use: say what does not wait for its stream."""
        if peer.links > 1:  # who was long in the dark cannot follow an old key's counters
            self.keyring.rotate(now, lazily=True)
        self.keyring.announce(peer, now)
        if self.room.hosting or peer is self.room.host:
            self.registrar.opening(peer)
            self.heartbeats.pulse(now)
            self.forwarding.opening(peer, now)
        elif not peer.seat.present:  # of another half, perhaps, or one that the host has not heard
            self.registrar.opening(peer)

    def streaming(self, peer: Peer, now: float) -> None:
        """A fresh control stream: say everything that may have been lost before."""
        self.registrar.opening(peer)
        self.keyring.opening(peer, now)
        self.forwarding.opening(peer, now)
        self.comparison.opening(peer)
        self.texts.opening(peer)
        self.pictures.opening(peer)

    # Time

    def next_timer(self) -> float:
        """When ``handle_timer`` wants to run."""
        due = self.matchmaker.next_timer()
        for time in (
            self.courier.next_timer(),
            self.keyring.next_timer(),
            self.heartbeats.next_timer(),
            self.succession.next_timer(),
            self.comparison.next_timer(),
            self.texts.next_timer(),
            self.forwarding.next_timer(),
        ):
            if time is not None and time < due:
                due = time
        return due

    def handle_timer(self, now: float) -> None:
        """Everything that is due."""
        self.courier.handle_timer(now)
        self.keyring.handle_timer(now)
        self.heartbeats.handle_timer(now)
        self.succession.handle_timer(now)
        self.matchmaker.handle_timer(now)
        self.comparison.handle_timer(now)
        self.texts.handle_timer(now)
        self.forwarding.handle_timer(now)
