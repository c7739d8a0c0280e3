"""A session: one member in one room, from the first knock to the last word.

World in:   receive_*, road_*, stream_*, handle_timer
User in:    say, mute, kick, lock, invite, accept, leave
Out:        next_command (for the driver), next_event (for people), next_timer
Media:      speak and hear, the short way beside all of it

Rule: bytes of one member end that member's link or are dropped; no byte from the
      network raises out of here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vc_core.admission import Desk, Proven
from vc_core.chat import TooMuchWaiting, fits
from vc_core.clean import clean_text, unique_name
from vc_core.commands import Command, HintRoad, SendDatagram, SendSignal, WakeRoad
from vc_core.courier import Courier, read_meet
from vc_core.entrance import DENIALS, Entrance
from vc_core.errors import Ending, LocalProtocolError, RemoteProtocolError
from vc_core.events import (
    Chatted,
    Delivered,
    Event,
    MemberJoined,
    MemberLeft,
    MemberMuted,
    RoomCodeShown,
    RoomLocked,
    RoomOpened,
    Warned,
)
from vc_core.ids import FOUNDER, NOBODY, ExchangeId, LinkId, Member, Rng
from vc_core.invite import Invitation
from vc_core.join import Kem, Met
from vc_core.keyring import Keyring
from vc_core.keys import Identity
from vc_core.ladder import RoadFailed, RoadSilent
from vc_core.link import Link
from vc_core.matchmaker import Matchmaker
from vc_core.messages import (
    Attest,
    Bye,
    Carry,
    Chat,
    ChatTaken,
    Commit,
    Denial,
    Greet,
    Heartbeat,
    KeyTaken,
    Letter,
    Mute,
    NewEntry,
    NewSecret,
    Position,
    Profile,
    Pulse,
    Reply,
    Reveal,
    Road,
    SenderKey,
    Standing,
    Turned,
    Welcome,
)
from vc_core.path import State as PathState
from vc_core.peer import Peer
from vc_core.room import Judge, Room
from vc_core.roomcode import PATIENCE as CODE_PATIENCE
from vc_core.roomcode import RoomCode
from vc_core.roster import Action, Entry, Forked, Roster, Seat, Signed, room_name
from vc_core.senderkeys import Opened
from vc_core.signals import Dropped
from vc_core.wire import Record

# Specification
PULSE_INTERVAL = 2.0  # s between a guest's nonces
NONCE_LIFE = 10.0  # s that an echoed nonce proves the host alive
VANISHED = 10.0  # s without a sign of life until a member is absent
HOST_PATIENCE = 60.0  # s that a guest waits for a host who fell silent
ROAD_PATIENCE = 20.0  # s that a joiner waits for its first road to the host

REASONS = {Action.LEAVE: "left", Action.KICK: "kicked", Action.ABSENT: "vanished"}


def _nobody_changed(_name: str, _identity: object) -> bool:
    return False


class Session:
    """One member. Made by ``host`` or ``join``."""

    def __init__(
        self, identity: Identity, name: str, kem: Kem, rng: Rng, judge: Judge, now: float
    ) -> None:
        self.room = Room(identity, name, kem, rng, judge)
        self.courier = Courier(self.room)
        self.matchmaker = Matchmaker(self.room, self.courier)
        self.desk: Desk | None = None
        self.entrance: Entrance | None = None
        self._keyring: Keyring | None = None
        self._code: RoomCode | None = None
        self._arrivals: dict[ExchangeId, Link] = {}
        self._proven: dict[ExchangeId, Met] = {}
        self._pulses: dict[bytes, float] = {}
        self._next_pulse = now
        self._fresh_at = now
        self._host_away = False
        self._welcomed_at = now
        self._ready: list[Opened] = []

    # ---- Making ----------------------------------------------------------------

    @classmethod
    def host(
        cls,
        identity: Identity,
        name: str,
        desk: Callable[[Identity, Kem, Rng], Desk],
        kem: Kem,
        rng: Rng,
        now: float,
        judge: Judge = _nobody_changed,
    ) -> Session:
        """A new room. It asks for a code at once."""
        session = cls(identity, name, kem, rng, judge, now)
        room = session.room
        room.number, room.nonce, room.founder = FOUNDER, rng(32), identity.public.sign
        room.secrets = [rng(32)]
        room.roster = Roster.found(identity, unique_name(name, set()), room.nonce)
        session.desk = desk(identity, kem, rng)
        session._begin(now)
        session.desk.invite(now)
        session._flush()
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
        session = cls(identity, name, kem, rng, judge, now)
        session.entrance = Entrance(invitation, identity, kem, rng, now)
        session.entrance.knock()
        session._flush()
        return session

    def _begin(self, now: float) -> None:
        room = self.room
        seat = room.roster.seat(room.number)
        assert seat is not None
        self._fresh_at = self._welcomed_at = now
        self._keyring = Keyring(room, self.courier, self.is_fresh)
        room.tell(RoomOpened(room.id, room.number, seat.name, room.hosting))
        self.courier.attach()
        for other in room.roster.present():
            if other.number != room.number:
                self._joined(other, now)
        self.keyring.rotate(now)
        self._new_code(now)

    @property
    def keyring(self) -> Keyring:
        """Sender keys; only once inside."""
        if self._keyring is None:
            raise LocalProtocolError("there are no sender keys before the welcome")
        return self._keyring

    # ---- Out -------------------------------------------------------------------

    def next_command(self) -> Command | None:
        """What the driver should do next."""
        return self.room.commands.popleft() if self.room.commands else None

    def next_event(self) -> Event | None:
        """What happened next."""
        return self.room.events.popleft() if self.room.events else None

    def ready_media(self) -> list[Opened]:
        """Packets that had waited for their key."""
        ready, self._ready = self._ready, []
        return ready

    def is_fresh(self, now: float) -> bool:
        """Whether the host is known to be alive, or is ourselves."""
        return self.room.hosting or now - self._fresh_at < NONCE_LIFE

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        if self.room.ended:
            return None
        times: list[float | None] = [self.matchmaker.next_timer()]
        if self.desk is not None:
            times.append(self.desk.next_timer())
        if self.entrance is not None:
            times.append(self.entrance.next_timer())
        if self._keyring is not None:
            times.append(self._keyring.next_timer())
        if self.room.inside and not self.room.hosting:
            times.append(self._next_pulse)
        if self.room.hosting:
            times.extend(peer.last_life + VANISHED for peer in self.room.present())
        if self._code is not None and not self._code.named and self._code.words is None:
            times.append(self._code.begun + CODE_PATIENCE)
        times.extend(peer.link.path.next_timer() for peer in self.room.peers.values() if peer.link)
        return min((time for time in times if time is not None), default=None)

    # ---- Media -----------------------------------------------------------------

    def speak(self, kind: int, timestamp: int, payload: bytes, now: float) -> bytes | None:
        """A sealed datagram for every road of ``listeners``; None while we are frozen."""
        if self._keyring is None or self.room.ended:
            return None
        return self._keyring.seal(kind, timestamp, payload, now)

    def listeners(self) -> list[tuple[Member, LinkId]]:
        """Whom voice is sent to."""
        return [
            (peer.number, peer.link.id)
            for peer in self.room.present()
            if peer.link is not None and peer.link.path.open and not peer.blocked
        ]

    def hear(self, member: Member, link: LinkId, datagram: bytes, now: float) -> Opened | None:
        """A sealed datagram from a member's road; None unless it opens."""
        peer, current = self._find(member, link)
        if peer is None or current is None or self._keyring is None:
            return None
        try:
            opened = self._keyring.open(peer, datagram, now)
        except RemoteProtocolError:
            return None
        if opened is not None:
            self.room.alive(peer, current, now)
        return opened

    # ---- World in: signaling -----------------------------------------------------

    def receive_signal(self, signal: Record, now: float) -> None:
        """One signal of the server."""
        if self.room.ended:
            return
        try:
            if isinstance(signal, Dropped):
                self._receive_parcel(signal, now)
            elif self.desk is not None:
                self._at_the_desk(self.desk, signal, now)
            elif self.entrance is not None:
                self._at_the_entrance(self.entrance, signal, now)
        except RemoteProtocolError:
            pass  # one message of an exchange or mailbox that nobody can trust
        self._flush()

    def signaling_lost(self, now: float) -> None:
        """The server is gone; calls go on."""
        self.courier.lost()
        if self.entrance is not None and not self.room.inside:
            self.room.end(Ending.NO_SIGNALING)

    def signaling_back(self, now: float) -> None:
        """The server is there again: take the old places."""
        if self.room.inside:
            self.courier.back()
        if self.desk is not None:
            self.desk.reattach(now)
        self._flush()

    def _receive_parcel(self, signal: Dropped, now: float) -> None:
        found = self.courier.open_parcel(signal.mailbox, signal.body)
        if found is not None:
            sender, message, secret = found
            self._receive_meet(sender, message, secret, now)

    def _at_the_desk(self, desk: Desk, signal: Record, now: float) -> None:
        found = desk.receive(signal, now)
        if isinstance(found, Proven):
            met = found.met
            self._proven[found.exchange] = met
            self._arrivals[found.exchange] = Link(
                NOBODY,
                self.room.next_link(),
                met.tag,
                met.keys,
                leading=self.room.identity.public.sign < met.identity.sign,
                now=now,
            )
        elif found is not None:
            exchange, letter = found
            if exchange in self._arrivals:
                self._arrived(exchange, letter, now)
            else:
                self._receive_exchange_letter(exchange, letter, now)

    def _arrived(self, exchange: ExchangeId, letter: Letter, now: float) -> None:
        link, met = self._arrivals[exchange], self._proven[exchange]
        profile = link.open_letter(letter)
        if not isinstance(profile, Profile) or self.desk is None:
            raise RemoteProtocolError("a newcomer's first letter says its name")
        del self._arrivals[exchange], self._proven[exchange]
        denial = self._verdict(met)
        if denial is not None:
            peer = Peer(Seat.of(NOBODY, met.identity, ""), self.room.id, now)
            peer.exchange = exchange
            self.courier.send_letter(peer, link, Turned(denial))
            return
        self._admit(exchange, link, met, profile.name, now)

    def _verdict(self, met: Met) -> Denial | None:
        assert self.desk is not None
        if self.room.roster.entry.locked:
            return Denial.LOCKED
        if met.identity.sign == self.room.identity.public.sign:
            return Denial.BANNED
        return self.desk.verdict(met.identity.sign)

    def _admit(
        self, exchange: ExchangeId, link: Link, met: Met, name: str, now: float
    ) -> None:
        room = self.room
        assert self.desk is not None
        for seat in room.roster.entry.seats:  # a restarted process: its older self goes
            if seat.sign == met.identity.sign:
                self._extend(Action.LEAVE, seat.number, now)
        number = Member(room.roster.entry.next_number)
        taken = {seat.name for seat in room.roster.entry.seats}
        newcomer = Seat.of(number, met.identity, unique_name(name, taken))
        link.member = number
        self._extend(Action.ADD, number, now, newcomer)
        peer = room.peers[number]
        peer.exchange = exchange
        room.use_link(peer, link)
        welcome = Welcome(
            number, room.founder, room.nonce, room.secrets[0], room.roster.signed.write_fields()
        )
        self.courier.send_letter(peer, link, welcome)
        self.desk.admitted()
        if not peer.blocked:
            self.keyring.announce(peer, now)
        room.open_road(peer, link)

    def _at_the_entrance(self, entrance: Entrance, signal: Record, now: float) -> None:
        found = entrance.receive(signal)
        if isinstance(found, Met):
            assert entrance.exchange is not None
            self._flush()  # message 5 goes before the first letter
            self._proven[entrance.exchange] = found
            leading = self.room.identity.public.sign < found.identity.sign
            number = self.room.next_link()
            link = Link(NOBODY, number, found.tag, found.keys, leading=leading, now=now)
            self._arrivals[entrance.exchange] = link
            host = Peer(Seat.of(NOBODY, found.identity, ""), b"", now)
            host.exchange = entrance.exchange
            self.courier.send_letter(host, link, Profile(self.room.name))
        elif isinstance(found, Letter) and entrance.exchange is not None:
            if entrance.exchange in self._arrivals:
                self._welcomed(entrance, entrance.exchange, found, now)
            else:
                self._receive_exchange_letter(entrance.exchange, found, now)
        if entrance.ending is not None and not self.room.inside:
            self.room.end(entrance.ending)

    def _welcomed(
        self, entrance: Entrance, exchange: ExchangeId, letter: Letter, now: float
    ) -> None:
        link, met = self._arrivals[exchange], self._proven[exchange]
        message = link.open_letter(letter)
        room = self.room
        if isinstance(message, Turned):
            known = message.reason in set(Denial)
            ending = DENIALS.get(Denial(message.reason)) if known else None
            return room.end(ending or Ending.FAILED)
        if not isinstance(message, Welcome):
            raise RemoteProtocolError("the host's first letter is a welcome")
        roster = Roster.welcome(Signed.parse(message.entry), met.identity.sign)
        own = roster.seat(Member(message.number))
        if own is None or own.sign != room.identity.public.sign:
            raise RemoteProtocolError("a welcome for somebody else")
        if room_name(message.founder, message.nonce) != roster.entry.room:
            raise RemoteProtocolError("a room that its founder did not name")
        room.number, room.roster, room.secrets = own.number, roster, [message.secret]
        room.founder, room.nonce = message.founder, message.nonce
        del self._arrivals[exchange], self._proven[exchange]
        entrance.welcomed()
        link.member = roster.host
        self._begin(now)
        host = room.peers[roster.host]
        host.exchange = exchange
        room.use_link(host, link)
        self.keyring.announce(host, now)
        room.open_road(host, link)

    def _receive_exchange_letter(self, exchange: ExchangeId, letter: Letter, now: float) -> None:
        for peer in self.room.peers.values():
            if peer.exchange == exchange:
                self._receive_letter(peer, letter, now)
                return

    # ---- World in: meetings ------------------------------------------------------

    def _receive_meet(self, sender: Member, message: Record, secret: bytes, now: float) -> None:
        peer = self.room.peers.get(sender)
        if peer is None or peer.blocked:
            return
        if isinstance(message, Greet):
            key = self.keyring.key_for(peer, now)
            self.matchmaker.greeted(peer, message, secret, key, now)
        elif isinstance(message, Reply):
            before = peer.link
            for inside in self.matchmaker.replied(peer, message, now):
                self._take(peer, inside, now)
            if peer.link is not before:
                self._linked(peer, now, again=before is not None)
        elif isinstance(message, Letter):
            self._receive_letter(peer, message, now)

    def _receive_letter(self, peer: Peer, letter: Letter, now: float) -> None:
        before = peer.link
        message = self.matchmaker.letter(peer, letter, now)
        if peer.link is not before:
            self._linked(peer, now, again=before is not None)
        if message is not None:
            self._take(peer, message, now)

    def _linked(self, peer: Peer, now: float, *, again: bool) -> None:
        """A new link is in use: say what does not wait for the stream."""
        if again:  # whoever was long in the dark could not follow the counters of an old key
            self.keyring.rotate(now)
        self.keyring.announce(peer, now)
        if self.room.hosting or peer is self.room.host:
            self.courier.send(peer, Standing(self.room.roster.position))
            self._pulse(now)

    # ---- World in: roads ---------------------------------------------------------

    def road_described(self, member: Member, link: LinkId, road: Road, now: float) -> None:
        """Our side of a road can be tried at these addresses."""
        peer, current = self._find(member, link)
        if peer is not None and current is not None:
            self.courier.send_letter(peer, current, road)

    def road_opened(self, member: Member, link: LinkId, now: float) -> None:
        """The carrier can send."""
        _, current = self._find(member, link)
        if current is not None:
            current.path.opened(now)

    def road_failed(self, member: Member, link: LinkId, now: float) -> None:
        """The carrier gave up."""
        peer, current = self._find(member, link)
        if peer is not None and current is not None:
            current.path.open = False
            self.room.told(peer, RoadFailed())

    def stream_opened(self, member: Member, link: LinkId, now: float) -> None:
        """QUIC stands and both ends know stream 0."""
        peer, current = self._find(member, link)
        if peer is None or current is None or current.streaming:
            return
        current.streaming = True
        if peer.exchange is not None and self.desk is not None:
            self.desk.close(peer.exchange)
        peer.exchange = None
        self._opening_words(peer, now)
        self._flush()

    def stream_closed(self, member: Member, link: LinkId, now: float) -> None:
        """QUIC is over; a new link will be made."""
        peer, current = self._find(member, link)
        if peer is not None and current is not None:
            self.room.told(peer, RoadFailed())
            self.matchmaker.lost(peer, now)

    def receive_stream(self, member: Member, link: LinkId, data: bytes, now: float) -> None:
        """Bytes of stream 0."""
        peer, current = self._find(member, link)
        if peer is None or current is None or self.room.ended:
            return
        try:
            for message in current.open_records(data):
                peer.alive(now)
                self._take(peer, message, now)
        except Forked:
            self.room.end(Ending.ROOM_FORKED)
        except RemoteProtocolError:
            self.room.tell(Warned("peer-misbehaved", member))
            self.matchmaker.lost(peer, now)
        self._flush()

    def receive_probe(self, member: Member, link: LinkId, datagram: bytes, now: float) -> None:
        """A probe of the path."""
        peer, current = self._find(member, link)
        if peer is None or current is None:
            return
        path = current.path
        silent, unknown = path.state is PathState.SILENT, path.rtt is None
        try:
            path.receive(datagram, now)
        except RemoteProtocolError:
            return
        self.room.alive(peer, current, now)
        if silent:
            self.room.ask(WakeRoad(member, link))
        if unknown and path.rtt is not None:
            self.room.show_path(peer)
        self._probe(peer, current, now)

    def _find(self, member: Member, link: LinkId) -> tuple[Peer | None, Link | None]:
        peer = self.room.peers.get(member)
        if peer is None or peer.link is None or peer.link.id != link:
            return None, None
        return peer, peer.link

    # ---- Messages ----------------------------------------------------------------

    def _take(self, peer: Peer, message: Record, now: float) -> None:
        if peer.blocked:
            return
        handler = self._HANDLERS.get(type(message))
        if handler is None:
            raise RemoteProtocolError(f"a {type(message).__name__} does not belong here")
        handler(self, peer, message, now)

    def _take_road(self, peer: Peer, road: Road, now: float) -> None:
        if peer.link is not None:
            self.room.ask(HintRoad(peer.number, peer.link.id, road))

    def _take_key(self, peer: Peer, key: SenderKey, now: float) -> None:
        if peer.seat.present and self._agrees(peer, key.position):
            self._ready.extend(self.keyring.learn(peer, key, now))

    def _take_key_taken(self, peer: Peer, message: KeyTaken, now: float) -> None:
        self.keyring.taken(peer, message, now)

    def _take_entry(self, peer: Peer, message: NewEntry, now: float) -> None:
        entry = self.room.roster.receive(message.entry)
        if entry is not None:
            self._apply(entry, now)

    def _take_standing(self, peer: Peer, message: Standing, now: float) -> None:
        if not self._agrees(peer, message.position):
            return
        if self.room.hosting:
            for signed in self.room.roster.since(message.position):
                self.courier.send(peer, NewEntry(signed.write_fields()))
            if not peer.seat.present:
                self._extend(Action.RETURN, peer.number, now)

    def _take_pulse(self, peer: Peer, pulse: Pulse, now: float) -> None:
        if self.room.hosting and peer.seat.present:
            self.courier.send(peer, Heartbeat(pulse.nonce, self.room.roster.position))

    def _take_heartbeat(self, peer: Peer, beat: Heartbeat, now: float) -> None:
        sent = self._pulses.pop(beat.nonce, None)
        if peer is not self.room.host or sent is None or now - sent >= NONCE_LIFE:
            return
        if not self._agrees(peer, beat.position):
            return
        if beat.position.order > self.room.roster.position.order:
            self.courier.send(peer, Standing(self.room.roster.position))
        was_fresh = self.is_fresh(now)
        self._fresh_at = max(self._fresh_at, sent)
        if self._host_away:
            self._host_away = False
            self._show_joined(peer)
        if not was_fresh:
            for other in self.room.present():
                self.keyring.announce(other, now)

    def _take_carry(self, peer: Peer, carry: Carry, now: float) -> None:
        if self.room.hosting:
            if peer.seat.present:
                self.courier.forward(peer, carry)
        elif peer is self.room.host:
            try:
                message = read_meet(carry.body)
                self._receive_meet(Member(carry.member), message, self.room.secrets[0], now)
            except Forked:
                raise
            except RemoteProtocolError:
                pass  # the other member's fault, not the host's who carried it

    def _take_secret(self, peer: Peer, message: NewSecret, now: float) -> None:
        if peer is self.room.host and message.secret != self.room.secrets[0]:
            self.room.secrets = [message.secret, self.room.secrets[0]]
            self.courier.attach()

    def _take_chat(self, peer: Peer, chat: Chat, now: float) -> None:
        new, taken = peer.conversation.receive(chat)
        self.courier.send(peer, taken)
        if new:
            text = clean_text(chat.text)
            self.room.tell(Chatted(peer.number, chat.id, text, chat.private))

    def _take_chat_taken(self, peer: Peer, taken: ChatTaken, now: float) -> None:
        for id in peer.conversation.acknowledged(taken):
            self.room.tell(Delivered(id, peer.number))

    def _take_commit(self, peer: Peer, commit: Commit, now: float) -> None:
        peer.early_commit = commit
        if self._code is not None and self._code.committed(peer.number, commit):
            self._reveal()
        if self._code is not None and peer.early_reveal is not None:
            self._take_reveal(peer, peer.early_reveal, now)

    def _take_reveal(self, peer: Peer, reveal: Reveal, now: float) -> None:
        peer.early_reveal = reveal
        if self._code is not None:
            before = self._code.words
            words = self._code.revealed(peer.number, reveal)
            if words is not None and before is None:
                self.room.tell(RoomCodeShown(words))

    def _take_attest(self, peer: Peer, attest: Attest, now: float) -> None:
        self.keyring.attested(peer, attest, now)

    def _take_mute(self, peer: Peer, message: Mute, now: float) -> None:
        if peer.muted is not message.on:
            peer.muted = message.on
            self.room.tell(MemberMuted(peer.number, message.on))

    def _take_bye(self, peer: Peer, message: Bye, now: float) -> None:
        if self.room.hosting:
            self._extend(Action.LEAVE, peer.number, now)
        elif peer is self.room.host:
            self.room.tell(MemberLeft(peer.number, peer.seat.name, "left"))
            self.room.end(Ending.HOST_LEFT)

    _HANDLERS: dict[type[Record], Callable[[Session, Peer, Any, float], None]] = {
        Road: _take_road,
        SenderKey: _take_key,
        KeyTaken: _take_key_taken,
        NewEntry: _take_entry,
        Standing: _take_standing,
        Pulse: _take_pulse,
        Heartbeat: _take_heartbeat,
        Carry: _take_carry,
        NewSecret: _take_secret,
        Chat: _take_chat,
        ChatTaken: _take_chat_taken,
        Commit: _take_commit,
        Reveal: _take_reveal,
        Attest: _take_attest,
        Mute: _take_mute,
        Bye: _take_bye,
    }

    def _agrees(self, peer: Peer, position: Position) -> bool:
        """Whether a named place fits our chain.

        A word alone ends nothing: the other side gets our signed entry for that
        place, and whoever then holds two signed entries stops.
        """
        try:
            known = self.room.roster.knows(position)
        except Forked:
            evidence = self.room.roster.evidence(position)
            self.courier.send(peer, NewEntry(evidence.write_fields()))
            self.room.tell(Warned("roster-differs", peer.number))
            return False
        if not known and len(peer.claims) < 16:
            peer.claims[position.order] = position
        return True

    # ---- The roster --------------------------------------------------------------

    def _extend(
        self, action: Action, subject: Member, now: float, newcomer: Seat | None = None
    ) -> None:
        """The host's next entry: tell everybody, the one it is about included."""
        room = self.room
        signed = room.roster.extend(room.identity, action, subject, newcomer)
        message = NewEntry(signed.write_fields())
        for peer in room.peers.values():
            self.courier.send(peer, message)
        self._apply(room.roster.entry, now)

    def _apply(self, entry: Entry, now: float) -> None:
        """Draw the consequences of the newest entry."""
        room, action, subject = self.room, Action(entry.action), entry.subject
        for peer in room.peers.values():
            seat = entry.seat(peer.number)
            peer.seat = seat or peer.seat
            claim = peer.claims.pop(room.roster.position.order, None)
            if claim is not None and claim != room.roster.position:
                self.courier.send(peer, NewEntry(room.roster.signed.write_fields()))
                room.tell(Warned("roster-differs", peer.number))
        if action in (Action.LOCK, Action.UNLOCK):
            room.tell(RoomLocked(entry.locked))
        elif subject == room.number:
            self._about_ourselves(action, now)
        elif action in (Action.ADD, Action.RETURN):
            seat = entry.seat(subject)
            assert seat is not None
            self._joined(seat, now)
        else:
            self._left(action, subject, now)
        if not room.ended:
            self.keyring.rotate(now, subject)
            self._new_code(now)

    def _about_ourselves(self, action: Action, now: float) -> None:
        if action in (Action.LEAVE, Action.KICK):
            self.room.end(Ending.KICKED if action is Action.KICK else Ending.LEFT)
            return
        for peer in self.room.peers.values():
            if peer is not self.room.host:  # we were away: they have dropped their links
                self.room.drop_links(peer)
                peer.next_greeting = now

    def _joined(self, seat: Seat, now: float) -> None:
        peer = self.room.peers.get(seat.number) or self.room.add_peer(seat, now)
        peer.last_life = now
        peer.next_greeting = now if self.room.hosting or peer is not self.room.host else now + 5.0
        self._show_joined(peer)
        if self.room.hosting and len(self.room.secrets) > 1:
            self.courier.send(peer, NewSecret(self.room.secrets[0]))

    def _show_joined(self, peer: Peer) -> None:
        seat = peer.seat
        hosting = peer is self.room.host
        self.room.tell(MemberJoined(seat.number, seat.name, seat.identity, hosting))
        if peer.blocked:
            self.room.tell(Warned("identity-changed", seat.number))

    def _left(self, action: Action, subject: Member, now: float) -> None:
        room = self.room
        peer = room.peers.get(subject)
        if peer is None:
            return
        room.tell(MemberLeft(subject, peer.seat.name, REASONS[action]))
        self.keyring.gone(subject, now)
        if action is not Action.ABSENT or not room.hosting:
            room.drop_links(peer)
        if action is Action.ABSENT:
            peer.next_greeting = now
            return
        del room.peers[subject]
        if room.hosting:
            self._new_secret()

    def _new_secret(self) -> None:
        room = self.room
        away = any(not seat.present for seat in room.roster.entry.seats)
        room.secrets = [room.rng(32), *(room.secrets[:3] if away else room.secrets[:1])]
        for peer in room.present():
            self.courier.send(peer, NewSecret(room.secrets[0]))
        self.courier.attach()

    # ---- The room code -----------------------------------------------------------

    def _new_code(self, now: float) -> None:
        room = self.room
        if self._code is not None and self._code.roster == room.roster.hash:
            return
        keys = {seat.number: seat.sign for seat in room.roster.present()}
        if room.number not in keys or len(keys) < 2:
            self._code = None
            return
        self._code = RoomCode(room.roster.hash, room.number, keys, room.rng, now)
        for peer in room.present():
            self.courier.send(peer, self._code.commit)
        for peer in list(room.present()):
            if peer.early_commit is not None:
                self._take_commit(peer, peer.early_commit, now)

    def _reveal(self) -> None:
        reveal = self._code.reveal if self._code is not None else None
        if reveal is not None:
            for peer in self.room.present():
                self.courier.send(peer, reveal)

    # ---- Opening words -----------------------------------------------------------

    def _opening_words(self, peer: Peer, now: float) -> None:
        """What a fresh control stream carries first."""
        room = self.room
        self.courier.send(peer, Standing(room.roster.position))
        if room.hosting and len(room.secrets) > 1:
            self.courier.send(peer, NewSecret(room.secrets[0]))
        self.keyring.announce(peer, now)
        if room.muted:
            self.courier.send(peer, Mute(True))
        if self._code is not None:
            self.courier.send(peer, self._code.commit)
            reveal = self._code.reveal
            if reveal is not None:
                self.courier.send(peer, reveal)
        for chat in peer.conversation.unacknowledged():
            self.courier.send(peer, chat)

    # ---- User in -----------------------------------------------------------------

    def say(self, text: str, to: Member | None = None) -> bytes:
        """Send a text to everybody here, or to one; its id.

        Raises ``LocalProtocolError`` when it does not fit, nobody is there to
        take it, or too much waits already.
        """
        if not fits(text):
            raise LocalProtocolError("a text has 1 byte to 16 KiB")
        peers = [p for p in self.room.present() if to is None or p.number == to]
        if to is not None and not peers:
            raise LocalProtocolError("no such member")
        id = self.room.rng(8)
        refused = 0
        for peer in peers:
            try:
                chat = peer.conversation.say(id, text, private=to is not None)
            except TooMuchWaiting:
                refused += 1
                self.room.tell(Warned("text-refused", peer.number))
                continue
            if peer.streaming:
                self.courier.send(peer, chat)
        if refused and refused == len(peers):
            raise LocalProtocolError("nobody takes texts at the moment")
        return id

    def mute(self, on: bool) -> None:
        """Tell the others that our microphone is off or on."""
        if self.room.muted is not on:
            self.room.muted = on
            for peer in self.room.present():
                self.courier.send(peer, Mute(on))

    def kick(self, member: Member, now: float) -> None:
        """Remove a member, ban its identity, end the open code (host only)."""
        desk, peer = self._hosts_desk(), self.room.peers.get(member)
        if peer is None:
            raise LocalProtocolError("no such member")
        desk.ban(peer.seat.sign)
        self._extend(Action.KICK, member, now)
        self._flush()

    def lock(self, on: bool, now: float) -> None:
        """Take nobody in any more, or again (host only)."""
        self._hosts_desk()
        if self.room.roster.entry.locked is not on:
            self._extend(Action.LOCK if on else Action.UNLOCK, self.room.number, now)

    def invite(self, now: float) -> None:
        """A new code (host only)."""
        self._hosts_desk().invite(now)
        self._flush()

    def accept(self, member: Member, now: float) -> None:
        """The person trusts a changed key."""
        peer = self.room.peers.get(member)
        if peer is None:
            raise LocalProtocolError("no such member")
        if peer.blocked:
            peer.blocked = False
            peer.next_greeting = now
            if peer.link is not None:
                self.keyring.announce(peer, now)
                self.room.open_road(peer, peer.link)

    def leave(self, now: float) -> None:
        """Say good-bye and end."""
        for peer in self.room.peers.values():
            self.courier.send(peer, Bye())
        if self.desk is not None:
            self.desk.ban(b"")  # nobody comes in any more
        self._flush()
        self.room.end(Ending.LEFT)

    def _hosts_desk(self) -> Desk:
        if self.desk is None or not self.room.hosting:
            raise LocalProtocolError("only the host can do this")
        return self.desk

    # ---- Time --------------------------------------------------------------------

    def handle_timer(self, now: float) -> None:
        """Everything that is due."""
        if self.room.ended:
            return
        if self.desk is not None:
            self.desk.handle_timer(now)
        if self.entrance is not None:
            self.entrance.handle_timer(now)
            if self.entrance.ending is not None and not self.room.inside:
                self.room.end(self.entrance.ending)
        if self.room.inside:
            self._watch(now)
        self._flush()

    def _watch(self, now: float) -> None:
        for peer in self.room.peers.values():
            if peer.link is not None:
                self._probe(peer, peer.link, now)
        self.keyring.handle_timer(now)
        if self.room.hosting:
            for peer in list(self.room.present()):
                if now >= peer.last_life + VANISHED:
                    self._extend(Action.ABSENT, peer.number, now)
        else:
            self._watch_host(now)
        self.matchmaker.handle_timer(now)
        self._name_the_silent(now)

    def _probe(self, peer: Peer, link: Link, now: float) -> None:
        before = link.path.state
        for datagram in link.path.handle_timer(now):
            self.room.ask(SendDatagram(peer.number, link.id, datagram))
        if before is PathState.ALIVE and link.path.state is PathState.SILENT:
            self.room.told(peer, RoadSilent())

    def _watch_host(self, now: float) -> None:
        host = self.room.host
        if host is None:
            return
        if now >= self._next_pulse:
            self._pulse(now)
        silent = now - max(self._fresh_at, host.last_life)
        if silent >= VANISHED and not self._host_away:
            self._host_away = True
            self.room.tell(MemberLeft(host.number, host.seat.name, "vanished"))
            self.room.tell(Warned("host-silent", host.number))
        if silent >= HOST_PATIENCE:
            self.room.end(Ending.HOST_LOST)
        never = host.link is not None and host.ladder.rung == "none" and not host.streaming
        if never and self._never_carried(host) and now - self._welcomed_at >= ROAD_PATIENCE:
            self.room.end(Ending.NO_ROAD)

    @staticmethod
    def _never_carried(host: Peer) -> bool:
        return host.link is not None and host.link.path.state is PathState.UNTRIED

    def _pulse(self, now: float) -> None:
        host = self.room.host
        if host is None:
            return
        self._next_pulse = now + PULSE_INTERVAL
        self._pulses = {n: t for n, t in self._pulses.items() if now - t < NONCE_LIFE}
        nonce = self.room.rng(8)
        if self.courier.send(host, Pulse(nonce)):
            self._pulses[nonce] = now

    def _name_the_silent(self, now: float) -> None:
        code = self._code
        if code is None or code.named or code.words is not None:
            return
        if now >= code.begun + CODE_PATIENCE:
            code.named = True
            for member in code.missing():
                self.room.tell(Warned("room-code-missing", member))

    def _flush(self) -> None:
        """Hand over what desk and entrance have to say."""
        for part in (self.desk, self.entrance):
            while part is not None and part.signals:
                signal = part.signals.popleft()
                if self.courier.signaling:
                    self.room.ask(SendSignal(signal))
        while self.desk is not None and self.desk.events:
            self.room.tell(self.desk.events.popleft())
