"""The guest's arrival: from the proven code to a place in the room.

It says its name, and the host's first letter is a welcome with the newest entry
or says why there is none. The one entry is believed because the host whose
identity the exchange has proven signed it.
"""

from __future__ import annotations

from vc_core.commands import SendSignal
from vc_core.courier import Courier
from vc_core.entrance import DENIALS, Entrance
from vc_core.entry import Signed, room_name
from vc_core.errors import Ending, RemoteProtocolError
from vc_core.ids import NOBODY, ExchangeId, Member
from vc_core.join import Met
from vc_core.link import Link
from vc_core.messages import Denial, Letter, Profile, Turned, Welcome
from vc_core.record import record
from vc_core.room import Room
from vc_core.roster import Roster
from vc_core.wire import Record


@record
class Welcomed:
    """The room knows its roster now; this link leads to the host."""

    link: Link
    exchange: ExchangeId


class Arrival:
    """Of one guest."""

    def __init__(self, room: Room, courier: Courier, entrance: Entrance) -> None:
        self._room = room
        self._courier = courier
        self._entrance = entrance
        self._met: Met | None = None
        self._link: Link | None = None
        self._carries = False
        """Whether letters go through the exchange."""

    def receive(self, signal: Record, now: float) -> Welcomed | Letter | None:
        """One signal of the server; letters that come after the welcome come out."""
        found = self._entrance.receive(signal, now)
        exchange = self._entrance.exchange
        self.hand_over()  # message 5 goes before the first letter
        if isinstance(found, Met) and exchange is not None:
            self._introduce(found, exchange, now)
        elif isinstance(found, Letter) and exchange is not None:
            if self._room.inside:
                return found
            return self._welcomed(found, exchange)
        self.check()
        return None

    def _introduce(self, met: Met, exchange: ExchangeId, now: float) -> None:
        room = self._room
        leading = room.identity.public.sign < met.identity.sign
        self._met = met
        self._link = Link(NOBODY, room.next_link(), met.tag, met.keys, leading=leading, now=now)
        self._courier.post_letter(exchange, self._link, Profile(room.name))

    def _welcomed(self, letter: Letter, exchange: ExchangeId) -> Welcomed | None:
        link, met = self._link, self._met
        if link is None or met is None:
            return None
        message = link.open_letter(letter)
        if isinstance(message, Turned):
            known = message.reason in set(Denial)
            ending = DENIALS.get(Denial(message.reason)) if known else None
            self._room.end(ending or Ending.FAILED)
            return None
        try:
            self._enter(message, met)
        except RemoteProtocolError:
            self._room.end(Ending.VERIFICATION_FAILED)
            return None
        self._entrance.welcomed()
        self._carries = True
        link.member = self._room.roster.host
        link.secret = self._room.secrets[0]
        return Welcomed(link, exchange)

    def _enter(self, message: Record, met: Met) -> None:
        room = self._room
        if not isinstance(message, Welcome):
            raise RemoteProtocolError("the host's first letter is a welcome")
        roster = Roster.welcome(Signed.parse(message.entry), met.identity.sign)
        own = roster.seat(Member(message.number))
        if own is None or own.identity != room.identity.public or not own.present:
            raise RemoteProtocolError("a welcome for somebody else")
        if own.number == roster.host:
            raise RemoteProtocolError("a host who has our own keys")
        if room_name(message.founder, message.nonce) != roster.entry.room:
            raise RemoteProtocolError("a room that its founder did not name")
        room.number, room.roster, room.secrets = own.number, roster, [message.secret]
        room.secret_number = message.secret_number
        room.founder, room.nonce = message.founder, message.nonce

    def hand_over(self) -> None:
        """What the entrance has to say goes to the server."""
        while self._entrance.signals:
            self._room.ask(SendSignal(self._entrance.signals.popleft()))

    def check(self) -> None:
        """A closed entrance ends everything, as long as we are outside."""
        if self._entrance.ending is not None and not self._room.inside:
            self._room.end(self._entrance.ending)

    def sweep(self) -> None:
        """Forget the exchange with who let us in when it is over, whoever is host now."""
        if self._carries and self._entrance.exchange is None:
            self._carries = False
            for peer in self._room.peers.values():
                peer.exchange = None
