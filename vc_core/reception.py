"""The host's reception: whoever has proven the code is let in, or turned away.

Desk      proves who holds the code
Profile   the newcomer's first letter: the name it would like
ADD       everybody learns of it, then it gets the newest entry and keys
Turned    instead: banned, locked, full, used up
"""

from __future__ import annotations

from vc_core.admission import Desk, Proven
from vc_core.clean import unique_name
from vc_core.courier import Courier
from vc_core.entry import Action, Seat
from vc_core.errors import RemoteProtocolError
from vc_core.forwarding import Forwarding
from vc_core.ids import NOBODY, ExchangeId, Member
from vc_core.join import Met
from vc_core.keyring import Keyring
from vc_core.link import Link
from vc_core.messages import MAX_MEMBERS, Denial, Letter, Profile, Turned, Welcome
from vc_core.registrar import Registrar
from vc_core.room import Room
from vc_core.wire import Record


class Reception:
    """For one host."""

    def __init__(
        self,
        room: Room,
        courier: Courier,
        desk: Desk,
        registrar: Registrar,
        keyring: Keyring,
        forwarding: Forwarding,
    ) -> None:
        self._room = room
        self._courier = courier
        self._desk = desk
        self._registrar = registrar
        self._keyring = keyring
        self._forwarding = forwarding
        self._arrivals: dict[ExchangeId, tuple[Link, Met]] = {}
        """Who has proven the code and not said a name yet."""

    def receive(self, signal: Record, now: float) -> Letter | None:
        """One signal of the server; a letter of somebody who is in already comes out."""
        found = self._desk.receive(signal, now)
        if isinstance(found, Proven):
            leading = self._room.identity.public.sign < found.met.identity.sign
            met, number = found.met, self._room.next_link()
            link = Link(NOBODY, number, met.tag, met.keys, leading=leading, now=now)
            self._arrivals[found.exchange] = link, met
        elif found is not None and found[0] in self._arrivals:
            self._arrived(*found, now)
        elif found is not None:
            return found[1]
        return None

    def _arrived(self, exchange: ExchangeId, letter: Letter, now: float) -> None:
        link, met = self._arrivals[exchange]
        profile = link.open_letter(letter)
        del self._arrivals[exchange]
        if not isinstance(profile, Profile):
            self._desk.close(exchange)
            raise RemoteProtocolError("a newcomer's first letter says its name")
        denial = self._verdict(exchange, met)
        if denial is None:
            self._admit(exchange, link, met, profile.name, now)
        else:
            self._courier.post_letter(exchange, link, Turned(denial))
            self._desk.close(exchange)

    def _verdict(self, exchange: ExchangeId, met: Met) -> Denial | None:
        entry = self._room.roster.entry
        if entry.locked:
            return Denial.LOCKED
        own = self._room.identity.public.sign
        if met.identity.sign == own or met.identity.sign in self._room.banned:
            return Denial.BANNED
        again = any(seat.sign == met.identity.sign for seat in entry.seats)
        if len(entry.seats) - again >= MAX_MEMBERS or entry.next_number >= NOBODY:
            return Denial.FULL
        return self._desk.verdict(exchange, met.identity.sign)

    def _admit(self, exchange: ExchangeId, link: Link, met: Met, name: str, now: float) -> None:
        room = self._room
        for seat in room.roster.entry.seats:  # a restarted process: its older self goes
            if seat.sign == met.identity.sign:
                self._registrar.extend(Action.LEAVE, seat.number, now)
        entry = room.roster.entry
        number = Member(entry.next_number)
        free_name = unique_name(name, {seat.name for seat in entry.seats})
        newcomer = Seat.of(number, met.identity, free_name)
        link.member = number
        link.secret = room.secrets[0]
        self._registrar.extend(Action.ADD, number, now, newcomer)
        peer = room.peers[number]
        peer.exchange = exchange
        signed = room.roster.signed.write_fields()
        welcome = Welcome(
            number, room.founder, room.nonce, room.secret_number, room.secrets[0], signed
        )
        self._courier.send_letter(peer, link, welcome)
        self._desk.admitted()
        room.use_link(peer, link, now)
        self._keyring.announce(peer, now)
        self._forwarding.joined(peer, now)

    def close(self) -> None:
        """Nobody reads here any more: letters to those who have come go another way."""
        for peer in self._room.peers.values():
            if peer.exchange is not None:
                self._desk.close(peer.exchange)

    def sweep(self) -> None:
        """Forget what belonged to exchanges that are over."""
        for exchange in [one for one in self._arrivals if not self._desk.holds(one)]:
            del self._arrivals[exchange]
        for peer in self._room.peers.values():
            if peer.exchange is not None and not self._desk.holds(peer.exchange):
                peer.exchange = None
