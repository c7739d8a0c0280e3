"""A session: one member in one room, from the first knock to the last word.

World in:   receive_*, road_*, way_*, stream_*, signaling_*, handle_timer
Parts:      office, forwarding, pictures
User in:    say, mute, kick, lock, deputies, invite, accept, leave
Out:        next_command (for the driver), next_event (for people), next_timer
Media:      speak and hear, the short way beside all of it

    outside   Arrival: a guest's way in
    inside    Inside: all parts; Switchboard: messages; Roads: carriers and QUIC
    Office    the way in for others, at whoever hosts

Rule: bytes of one member end that member's link or are dropped; no byte from the
      network raises out of here.
"""

from __future__ import annotations

from contextlib import suppress

from vc_core.admission import Desk
from vc_core.arrival import Arrival, Welcomed
from vc_core.clean import clean_name
from vc_core.commands import Command
from vc_core.courier import Courier
from vc_core.entrance import Entrance
from vc_core.errors import Ending, LocalProtocolError, RemoteProtocolError
from vc_core.events import Event
from vc_core.forwarding import Forwarding
from vc_core.ids import FOUNDER, LinkId, Member, Rng, Rung, Way
from vc_core.inside import Inside
from vc_core.invite import Invitation
from vc_core.join import Kem
from vc_core.keys import Identity
from vc_core.link import Link
from vc_core.mailboxes import Mailboxes
from vc_core.messages import Letter, Road
from vc_core.office import MakeDesk, Office
from vc_core.peer import Peer
from vc_core.pictures import Pictures
from vc_core.roads import Roads
from vc_core.room import Judge, Room
from vc_core.roster import Roster
from vc_core.senderkeys import Opened
from vc_core.signals import Dropped, Grants
from vc_core.switchboard import Switchboard
from vc_core.wire import Record


def _nobody_changed(_name: str, _identity: object) -> bool:
    return False


class Session:
    """One member. Made by ``host`` or ``join``."""

    def __init__(self, room: Room, desk: MakeDesk | None = None) -> None:
        self.room = room
        self.entrance: Entrance | None = None
        self._mailboxes = Mailboxes(room)
        self._courier = Courier(room, self._mailboxes)
        self._make_desk = desk
        self._office: Office | None = None
        self._arrival: Arrival | None = None
        self._inside: Inside | None = None

    # ---- Making ----------------------------------------------------------------

    @classmethod
    def host(
        cls,
        identity: Identity,
        name: str,
        desk: MakeDesk,
        kem: Kem,
        rng: Rng,
        now: float,
        judge: Judge = _nobody_changed,
    ) -> Session:
        """A new room. It asks for a code at once."""
        room = Room(identity, clean_name(name), kem, rng, judge)
        room.number, room.nonce, room.founder = FOUNDER, rng(32), identity.public.sign
        room.secrets = [rng(32)]
        room.roster = Roster.found(identity, room.name, room.nonce)
        session = cls(room, desk)
        session._begin(now)
        session._settle(now)
        return session

    @classmethod
    def join(
        cls,
        invitation: Invitation,
        identity: Identity,
        name: str,
        kem: Kem,
        rng: Rng,
        now: float,
        judge: Judge = _nobody_changed,
    ) -> Session:
        """Knock with an invitation."""
        session = cls(Room(identity, clean_name(name), kem, rng, judge))
        session.entrance = Entrance(invitation, identity, kem, rng, now)
        session._arrival = Arrival(session.room, session._courier, session.entrance)
        session.entrance.knock()
        session._settle(now)
        return session

    def prepare(self, desk: MakeDesk) -> None:
        """What a desk is made of, for the day on which a guest takes over."""
        self._make_desk = desk

    def _begin(self, now: float) -> Inside:
        self._inside = Inside(self.room, self._courier, self._mailboxes, now)
        self._switchboard = Switchboard(self._inside)
        self._roads = Roads(self._inside, self._switchboard)
        founder = self.room.hosting
        self._office = Office(self._inside, self._make_desk, founder=founder)
        self._inside.begin(now)
        return self._inside

    @property
    def forwarding(self) -> Forwarding | None:
        """What forwarders do and are told goes here; None while we are outside."""
        inside = self._inside
        return inside.forwarding if inside is not None and not self.room.ended else None

    @property
    def pictures(self) -> Pictures | None:
        """Streams of pictures, ours and others'; None while we are outside."""
        inside = self._inside
        return inside.pictures if inside is not None and not self.room.ended else None

    @property
    def office(self) -> Office | None:
        """What becomes of a server of our own goes here; None while we are outside."""
        return self._office if not self.room.ended else None

    @property
    def desk(self) -> Desk | None:
        """The host's desk; None while somebody else hosts."""
        return self._office.desk if self._office is not None else None

    # ---- Out -------------------------------------------------------------------

    def next_command(self) -> Command | None:
        """What the driver should do next."""
        return self.room.commands.popleft() if self.room.commands else None

    def next_event(self) -> Event | None:
        """What happened next."""
        return self.room.events.popleft() if self.room.events else None

    def ready_media(self) -> list[Opened]:
        """Packets that had waited for their key."""
        inside = self._inside
        if inside is None or not inside.keyring.ready:
            return []
        ready, inside.keyring.ready = inside.keyring.ready, []
        return ready

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        if self.room.ended:
            return None
        doors = (self._office, self.entrance)
        times = [door.next_timer() for door in doors if door is not None]
        if self._inside is not None:
            times += (self._inside.next_timer(), self.room.ways.next_timer())
        return min((time for time in times if time is not None), default=float("inf"))

    # ---- Media -----------------------------------------------------------------

    def speak(self, kind: int, timestamp: int, payload: bytes, now: float) -> bytes | None:
        """A sealed datagram for every road of ``listeners``; None while we are frozen."""
        if self._inside is None or self.room.ended:
            return None
        return self._inside.keyring.seal(kind, timestamp, payload, now)

    def spread_by(self) -> int | None:
        """The forwarder that voice goes to once, to be copied; None in a small room."""
        return self.room.audience.spread_by()

    def listeners(self, spread: int | None = None) -> list[tuple[Member, LinkId]]:
        """Whom voice is sent to one by one: all, or who is not reached by ``spread``."""
        return self.room.audience.listeners(spread)

    def hear(
        self, member: Member, link: LinkId, way: Way, datagram: bytes, now: float
    ) -> Opened | None:
        """A sealed datagram that came from a member by one way; None unless it opens."""
        if self._inside is None or self.room.ended:
            return None
        return self._roads.hear(member, link, way, datagram, now)

    # ---- World in: signaling -----------------------------------------------------

    def receive_signal(self, signal: Record, now: float) -> None:
        """One signal of the server."""
        if self.room.ended:
            return
        with suppress(RemoteProtocolError):  # the server's or a stranger's bytes: nobody to blame
            self._receive_signal(signal, now)
        self._settle(now)

    def _receive_signal(self, signal: Record, now: float) -> None:
        if isinstance(signal, Dropped):
            parcel = self._mailboxes.open(signal.mailbox, signal.body)
            if parcel is not None:
                self._switchboard.take_meet(parcel[0], parcel[1], now, parcel[2])
        elif isinstance(signal, Grants):
            if self._inside is not None:
                self._inside.forwarding.granted(signal, now)
        elif self._office is not None and self._office.reception is not None:
            letter = self._office.reception.receive(signal, now)
            if letter is not None:
                self._switchboard.take_exchange_letter(letter, now)
        elif self._arrival is not None:
            self._arrive(self._arrival, signal, now)

    def _arrive(self, arrival: Arrival, signal: Record, now: float) -> None:
        found = arrival.receive(signal, now)
        if isinstance(found, Welcomed):
            self._begin(now).meet_host(found.link, found.exchange, now)
        elif isinstance(found, Letter):
            self._switchboard.take_exchange_letter(found, now)

    def signaling_lost(self, now: float) -> None:
        """The server is gone; calls go on."""
        self._mailboxes.lost()
        for peer in self.room.peers.values():
            peer.exchange = None
        if self._office is not None:
            self._office.server_lost(now)
        if not self.room.inside:
            self.room.end(Ending.NO_SIGNALING)

    def signaling_back(self, now: float) -> None:
        """The server is there again: take the old places."""
        if self.room.inside and not self.room.ended:
            self._mailboxes.back()
            if self._office is not None:
                self._office.server_back(now)
        self._settle(now)

    # ---- World in: roads ---------------------------------------------------------

    def _find(self, member: Member, link: LinkId) -> tuple[Peer, Link] | None:
        here = self._inside is not None and not self.room.ended
        return self._roads.find(member, link) if here else None

    def road_described(self, member: Member, link: LinkId, road: Road) -> None:
        """Our side of an attempt at a direct pair can be tried at these addresses."""
        found = self._find(member, link)
        if found is not None:
            self._roads.described(*found, road)

    def way_opened(self, member: Member, link: LinkId, way: Way, now: float) -> None:
        """A direct pair was found."""
        found = self._find(member, link)
        if found is not None:
            self.room.ways.opened(*found, way, now)

    def way_failed(self, member: Member, link: LinkId, way: Way, word: str, now: float) -> None:
        """An attempt found no pair, or the pair is dead; ``word`` says why."""
        found = self._find(member, link)
        if found is not None:
            self.room.ways.failed(*found, way, word, now)

    def stream_opened(self, member: Member, link: LinkId, now: float) -> None:
        """QUIC stands and both ends know stream 0."""
        found = self._find(member, link)
        if found is not None:
            if self._office is not None:
                self._office.streaming(found[0], now)
            self._roads.stream_opened(*found, now)
            self._settle(now)

    def stream_closed(self, member: Member, link: LinkId, now: float) -> None:
        """QUIC is over; a new link will be made."""
        found = self._find(member, link)
        if found is not None:
            self._roads.lost(found[0], now)

    def receive_stream(self, member: Member, link: LinkId, data: bytes, now: float) -> None:
        """Bytes of stream 0."""
        found = self._find(member, link)
        if found is not None:
            self._roads.receive_stream(*found, data, now)
            self._keep_office(now)

    def receive_probe(
        self, member: Member, link: LinkId, way: Way, datagram: bytes, now: float
    ) -> None:
        """A probe of one way."""
        found = self._find(member, link)
        if found is not None:
            self.room.look(now)
            self._roads.receive_probe(*found, way, datagram, now)

    # ---- User in -----------------------------------------------------------------

    def say(self, text: str, to: Member | None = None) -> bytes:
        """Send a text to everybody here, or to one; its id (see ``vc_core.texts``)."""
        return self._here().texts.say(text, to)

    def mute(self, on: bool) -> None:
        """Tell the others that our microphone is off or on; before the welcome, later."""
        if self._inside is None:
            self.room.muted = on
        elif not self.room.ended:
            self._inside.texts.mute(on)

    def kick(self, member: Member, now: float) -> None:
        """Remove a member, ban its identity, end the open code (host only)."""
        self._hosts_office().kick(self._peer(member), now)
        self._settle(now)

    def lock(self, on: bool, now: float) -> None:
        """Take nobody in any more, or again (host only)."""
        self._hosts_office().lock(on, now)

    def allow(self, rungs: frozenset[Rung], now: float) -> None:
        """Which rungs may be used, from now on."""
        self.room.ways.allow(rungs, now)
        if self._inside is not None and not self.room.ended:
            self._inside.forwarding.allowed(now)

    def invite(self, now: float) -> None:
        """A new code (host only)."""
        self._hosts_office().invite(now)
        self._settle(now)

    def deputies(self, members: tuple[Member, ...], now: float) -> None:
        """Name who takes over, in this order, at most two; nobody: the room ends with us."""
        self._hosts_office()
        self._here().succession.name(members, now)

    def accept(self, member: Member, now: float) -> None:
        """The person trusts a changed key."""
        self._here().accept(self._peer(member), now)

    def leave(self, now: float) -> None:
        """Say good-bye and end; a host names who goes on."""
        if self._inside is not None and not self.room.ended:
            self._inside.succession.leave(now)
        if self._office is not None:
            self._office.shut()
        self._settle(now)
        self.room.end(Ending.LEFT)

    def _here(self) -> Inside:
        if self._inside is None or self.room.ended:
            raise LocalProtocolError("this is possible inside a room only")
        return self._inside

    def _hosts_office(self) -> Office:
        if self._office is None or not self.room.hosting or self.room.ended:
            raise LocalProtocolError("only the host can do this")
        return self._office

    def _peer(self, member: Member) -> Peer:
        peer = self.room.peers.get(member)
        if peer is None:
            raise LocalProtocolError("no such member")
        return peer

    # ---- Time --------------------------------------------------------------------

    def handle_timer(self, now: float) -> None:
        """Everything that is due."""
        if self.room.ended:
            return
        if self._office is not None:
            self._office.handle_timer(now)
        if self.entrance is not None:
            self.entrance.handle_timer(now)
        if self._inside is not None:
            self.room.look(now)
            self.room.ways.handle_timer(now)
            self._inside.handle_timer(now)
        self._settle(now)

    def _keep_office(self, now: float) -> None:
        """Whoever hosts has an office, and nobody else."""
        if self._office is not None:
            self._office.look(now)
            self._office.settle()
            if self.room.hosting:
                self._arrival = self.entrance = None

    def _settle(self, now: float) -> None:
        """Hand over what desk and entrance have to say, and forget ended exchanges."""
        if self._arrival is not None:
            self._arrival.hand_over()
            self._arrival.check()
            self._arrival.sweep()
        self._keep_office(now)
