"""What this machine can offer to a room: a forwarder of its own, relays and STUN that it knows.

A host publishes it to the session; a guest keeps it ready, in case it takes over.
What takes time (routers, the nearest relay) improves the offer later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from client.hosting.forwarder import HostedForwarder
from client.hosting.signaling import split_address
from client.net.nearest import nearest_first
from client.net.portmap.mapper import Mapper
from client.settings import Settings
from vc_core.ids import Rung
from vc_core.relay_address import Target, parse_address, parse_relay

if TYPE_CHECKING:
    from relay.forwarder import Forwarder
    from vc_core.session import Session
    from vc_core.signals import Hello

# Implementation
STUN_PORT = 3478

log = logging.getLogger(__name__)


class Offers:
    """Of one machine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.allow(settings.only)
        self.hosted: HostedForwarder | None = None
        self.mapper: Mapper | None = None
        self.welcome: Hello | None = None
        """The signaling server's first word: it may know relays."""
        self._order: tuple[tuple[str, ...], ...] = ()

    def allow(self, rungs: Iterable[str]) -> None:
        """These may be used from now on."""
        self.allowed = frozenset(Rung[rung.upper()] for rung in rungs)

    @property
    def private(self) -> bool:
        """Whether no other member may learn our address."""
        return self.allowed == {Rung.RELAYED}

    def begin(self) -> None:
        """The event loop runs: a forwarder of our own can."""
        if Rung.HOSTED in self.allowed:
            self.hosted = HostedForwarder()

    @property
    def forwarder(self) -> Forwarder | None:
        """Our own forwarder, if it may be used."""
        return self.hosted.forwarder if self.hosted is not None else None

    async def listen_somewhere(self) -> None:
        """Give our forwarder a port of its own, unless it shares one with a server."""
        if self.hosted is not None and self.hosted.udp_port is None:
            await self.hosted.at_own_port()

    def ask_routers(self, *, loopback: bool) -> None:
        """Routers may be asked for ports from now on, unless all are on this machine."""
        unwanted = loopback or self._settings.no_port_mapping
        if not unwanted and Rung.DIRECT in self.allowed:
            self.mapper = Mapper()

    # Relays

    def _relays(self) -> tuple[tuple[str, ...], ...]:
        """What the person and the signaling server name, each with its addresses."""
        told = self.welcome.relays if self.welcome is not None else ()
        known = dict.fromkeys((*self._settings.relays, *told))
        found = tuple(addresses for text in known if (addresses := _addresses(text)))
        return self._order if set(self._order) == set(found) else found

    @property
    def relay_addresses(self) -> frozenset[str]:
        """All addresses of these relays."""
        return frozenset(text for addresses in self._relays() for text in addresses)

    def stun_servers(self, own: tuple[str, int] | None) -> list[tuple[str, int]]:
        """Whom to ask how the world sees us; ``own`` is that of the signaling server."""
        settings = self._settings
        if settings.no_stun:
            return []
        found = [own] if own is not None else []
        found += [split_address(server, STUN_PORT) for server in settings.stun]
        for addresses in self._relays():
            targets = (target for text in addresses for target in parse_address(text))
            found += [(one.host, one.port) for one in targets if one.transport == "udp"]
        return list(dict.fromkeys(found))

    # Publishing

    def publish(self, session: Session, now: float, loopback: bool, *, signs: bool) -> None:
        """Tell the session all of it; ``signs``: our signaling server may grant slots."""
        hosted, forwarding = self.hosted, session.forwarding
        if forwarding is None:
            return
        if hosted is not None:
            addresses = hosted.addresses(self._advertised(), loopback=loopback)
            forwarding.serve(addresses, hosted.secret, now)
        if Rung.RELAYED in self.allowed:
            signs = signs and self.welcome is not None and self.welcome.grants
            forwarding.use_relays(self._relays(), now, signs=signs)

    def _advertised(self) -> list[Target]:
        """Where the person said that we can be reached."""
        if self.hosted is None or self.hosted.udp_port is None or not self._settings.advertise:
            return []
        host, _ = split_address(self._settings.advertise, 0)
        return [Target("udp", host, self.hosted.udp_port)]

    async def improve(self, *, loopback: bool) -> bool:
        """Find mapped ports and the nearest relay; whether anything changed."""
        before = self._relays()
        mapped, self._order = await asyncio.gather(
            self._map_ports(), nearest_first(before, loopback=loopback)
        )
        return mapped or self._order != before

    async def _map_ports(self) -> bool:
        if self.hosted is None or self.mapper is None:
            return False
        return await self.hosted.map_ports(self.mapper)

    async def close(self) -> None:
        """Give ports back, stop forwarding."""
        if self.mapper is not None:
            await self.mapper.close()
        if self.hosted is not None:
            self.hosted.close()


def _addresses(text: str) -> tuple[str, ...]:
    """The addresses of a relay; none if a server tells us nonsense."""
    try:
        return parse_relay(text)
    except ValueError:
        log.warning("the address of a relay cannot be read")
        return ()
