"""The host as server: its own forwarder, and the addresses at which guests find it.

It shares the port of the embedded signaling server: UDP there, WebSocket beside
it at ``/relay``. Without an embedded server it has a UDP port of its own. Guests
with a direct pair to the host reach it by that pair as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from client.net.interfaces import interfaces
from client.net.relay_address import Target
from relay.forwarder import Forwarder
from relay.limits import Limits
from relay.sockets import CannotListenError, open_sockets, port_of
from vc_core.grant import SECRET_SIZE

# Implementation
MAX_ADDRESSES = 8  # that guests are told of


class HostedForwarder:
    """A forwarder for the guests of one room."""

    def __init__(self) -> None:
        self.secret = os.urandom(SECRET_SIZE)
        self.forwarder = Forwarder(self.secret, Limits())
        self._ports: list[tuple[str, int]] = []
        """(scheme, port)"""

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
        return tuple(dict.fromkeys(str(one) for one in (*more, *found)))[:MAX_ADDRESSES]

    def close(self) -> None:
        """Stop."""
        self.forwarder.close()
