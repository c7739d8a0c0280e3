"""The host as server: its own forwarder, and the addresses at which guests find it.

It shares the port of the embedded signaling server: UDP there, WebSocket beside
it at ``/relay``. Without an embedded server it has a UDP port of its own. Guests
with a direct pair to the host reach it by that pair as well.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from client.net.interfaces import interfaces
from relay.forwarder import Forwarder
from relay.limits import Limits
from relay.sockets import open_sockets, port_of
from vc_core.errors import CannotListenError
from vc_core.grant import SECRET_SIZE
from vc_core.relay_address import Target

if TYPE_CHECKING:
    from client.net.portmap.mapper import Mapper

# Implementation
MAX_ADDRESSES = 8  # that guests are told of


class HostedForwarder:
    """A forwarder for the guests of one room."""

    def __init__(self) -> None:
        self.secret = os.urandom(SECRET_SIZE)
        self.forwarder = Forwarder(self.secret, Limits())
        self._ports: list[tuple[str, int]] = []
        """(scheme, port)"""
        self._mapped: list[Target] = []
        """Where our router lets others in."""
        self._asked: set[tuple[str, str, int]] = set()
        """(protocol, host, port) of ours that routers were asked for."""

    def at_port_of_server(self, port: int) -> None:
        """The embedded signaling server hands over its UDP sockets and ``/relay``."""
        self._ports = [("udp", port), ("ws", port)]

    async def at_own_port(self) -> None:
        """Listen on a free UDP port; without one, guests come by their direct pairs only."""
        try:
            sockets = await open_sockets(("0.0.0.0", 0), None)
        except CannotListenError:
            return
        self._ports = [("udp", port_of(sockets.udp))]
        self.forwarder.serve_udp(sockets.udp)

    @property
    def udp_port(self) -> int | None:
        """The UDP port, for whoever maps it."""
        return next((port for scheme, port in self._ports if scheme == "udp"), None)

    def addresses(self, more: Iterable[Target], *, loopback: bool) -> tuple[str, ...]:
        """Where guests may find it: ``more`` (mapped, advertised) first."""
        hosts = interfaces(loopback=loopback).addresses
        found = [Target(scheme, host, port) for scheme, port in self._ports for host in hosts]
        every = (*more, *self._mapped, *found)
        return tuple(dict.fromkeys(map(str, every)))[:MAX_ADDRESSES]

    async def map_ports(self, mapper: Mapper) -> bool:
        """Ask the routers of our networks to let guests in; whether that changed anything."""
        wanted = {
            ("udp" if scheme == "udp" else "tcp", host, port): scheme
            for host in interfaces(loopback=False).addresses
            for scheme, port in self._ports
        }
        for gone in self._asked - wanted.keys():
            mapper.unmap(*gone)
        self._asked = set(wanted)
        answers = await asyncio.gather(*(mapper.map(*key) for key in wanted))
        before = self._mapped
        self._mapped = [
            Target(scheme, mapping.external_host, mapping.external_port)
            for scheme, mapping in zip(wanted.values(), answers, strict=True)
            if mapping is not None
        ]
        return self._mapped != before

    def close(self) -> None:
        """Stop."""
        self.forwarder.close()
