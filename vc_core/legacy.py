"""The legacy: what whoever takes over needs, told while there is a host to tell it.

the newest room secret     where members look for each other
the estate                 whom hosts have banned, where the host's own server is
"""

from __future__ import annotations

from vc_core.commands import UseServer
from vc_core.courier import Courier
from vc_core.mailboxes import Mailboxes
from vc_core.messages import Estate
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.wire import Record


class Legacy:
    """Of one member: it leaves it as a host, and takes it as a guest."""

    def __init__(self, room: Room, courier: Courier, mailboxes: Mailboxes) -> None:
        self._room = room
        self._courier = courier
        self.mailboxes = mailboxes
        self._server = ""
        """Where we were sent last."""

    def tell(self, peer: Peer) -> None:
        """The host tells one member."""
        for message in self._all():
            self._courier.send(peer, message)

    def share(self) -> None:
        """The host tells everybody."""
        for message in self._all():
            self._courier.send_all(message)

    def _all(self) -> list[Record]:
        room, secret = self._room, self.mailboxes.newest()
        estate = [Estate(room.server, tuple(room.banned))] if room.server or room.banned else []
        return [*([secret] if secret is not None else []), *estate]

    def pass_on(self, peer: Peer) -> None:
        """A guest says where its host's server is to one that cannot hear it from that host."""
        if self._room.host_server:
            self._courier.send(peer, Estate(self._room.host_server, ()))

    def inherit(self, peer: Peer, estate: Estate, now: float) -> None:
        """The host's estate: whom it has banned, and where its server is.

        Others may only say where they have heard that the host's server is, and only to
        one that hears nothing of the host itself.
        """
        room = self._room
        if peer is room.host:
            room.host_server = estate.server
            for sign in estate.banned:
                room.ban(sign)
        elif peer.blocked or (room.fresh(now) and room.fresh_at >= room.host_since):
            return
        if not estate.server or room.hosting or not peer.seat.present:
            return
        if estate.server == self._server or peer.servers.take(now):
            self._server = estate.server
            room.ask(UseServer(estate.server))
