"""What hosting needs of this machine: a signaling server of our own, desks for guests.

A founder without a configured server opens one at once; whoever takes over opens
one when none answers any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from client.hosting.forwarder import HostedForwarder
from client.hosting.signaling import Embedded, embed
from client.net.lan import Announcer
from client.net.mailbox import SignalingUnreachable
from client.net.post import Post
from client.settings import Settings
from relay.forwarder import Forwarder
from vc_core.admission import Desk
from vc_core.errors import CannotListenError
from vc_core.events import Event
from vc_core.ids import Rng
from vc_core.invite import Invitation, server_url
from vc_core.join import Kem
from vc_core.keys import Identity

log = logging.getLogger(__name__)


class OwnServer:
    """The signaling server that this call keeps, if it does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.running: Embedded | None = None
        self.founded = False
        """Whether the call began with it."""
        self._announcer: Announcer | None = None

    @property
    def loopback(self) -> bool:
        """Whether it can be reached from this machine only."""
        return self.running is not None and self.running.loopback

    @property
    def shown(self) -> str:
        """The URL at which others reach it; empty if it does not run."""
        return f"ws://{self.running.address}" if self.running is not None else ""

    async def open(
        self, *, hosted: HostedForwarder | None, announced: Callable[[str], None], rng: Rng
    ) -> Embedded:
        """Begin with it; ``hosted`` shares its port, and the network is told of it.

        ``announced`` gets the part of the code that works in this network.

        ``CannotListenError`` or ``ValueError`` when that fails.
        """
        self.founded = True
        settings, forwarder = self._settings, hosted.forwarder if hosted is not None else None
        running = await self._start(settings.listen, forwarder)
        if hosted is not None:
            hosted.at_port_of_server(running.server.port)
        if settings.lan and "direct" in settings.only and not running.loopback:
            server = running.server
            self._announcer = Announcer(server.host, server.port, announced, rng=rng)
        return running

    def follow(self, event: Event) -> None:
        """What happens in the room decides what the network is told."""
        if self._announcer is not None:
            self._announcer.follow(event)

    async def _start(self, listen: str | None, forwarder: Forwarder | None) -> Embedded:
        settings = self._settings
        if self.running is None:
            self.running = await embed(
                listen, settings.advertise, settings.relays, settings.relay_secret, forwarder
            )
        return self.running

    async def stand_in(self, *, local: bool) -> Embedded:
        """Start it for a room whose server is gone; ``local``: all are on this machine."""
        listen = self._settings.listen or ("127.0.0.1:0" if local else None)
        return await self._start(listen, None)

    async def replace(self, post: Post) -> str | None:
        """Start it in place of the one that is gone, and use it; its URL, or None."""
        try:
            embedded = await self.stand_in(local=post.local)
            await post.adopt(embedded.url)
        except (CannotListenError, SignalingUnreachable, ValueError) as error:
            log.info("no signaling server of our own: %s", error)
            return None
        return self.shown

    def moved(self) -> str:
        """This machine has other addresses: ``shown``, if that has changed; else empty."""
        before = self.shown
        if self.running is not None:
            self.running = self.running.moved()
        return self.shown if self.shown != before else ""

    async def close(self) -> None:
        """Stop it."""
        if self._announcer is not None:
            await self._announcer.close()
        if self.running is not None:
            await self.running.server.close()


class Desks:
    """Makes desks at the server in use."""

    def __init__(self, settings: Settings, own: OwnServer, post: Post) -> None:
        self._settings = settings
        self._own = own
        self._post = post

    def make(self, identity: Identity, kem: Kem, rng: Rng) -> Desk:
        """One desk; its codes name the server, since none is known to everybody."""
        settings, url, own = self._settings, self._post.url, self._own.running
        if own is not None and url == own.url:
            url = f"ws://{own.address}"
        return Desk(
            identity,
            kem,
            rng,
            url,
            settings.relays,
            guests=settings.guests,
            life=settings.life,
        )


def server_of(invitation: Invitation | None) -> str | None:
    """The server that a code names."""
    servers = invitation.servers if invitation is not None else ()
    return server_url(servers[0]) if servers else None
