"""TCP connections until they are WebSocket: the handshake of TLS, and the greeting.

Rule: a connection counts from the moment it is accepted (``vc_core.arrivals``), since TLS
costs 45 kB before a word of it has been verified.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any

from websockets.asyncio.server import ServerConnection

from relay.sockets import packed
from vc_core.arrivals import Arrivals
from vc_core.bucket import customer

# Implementation
OPEN_TIMEOUT = 5.0
"""Seconds for a TLS handshake, and again for the greeting of WebSocket."""
CLOSE_TIMEOUT = 1.0
"""Seconds for the other side to say goodbye."""


class Caller(ServerConnection):
    """A WebSocket connection that knows when it has arrived."""

    arrival: Arrival

    def connection_lost(self, exc: Exception | None) -> None:
        self.arrival.over()
        super().connection_lost(exc)


class Arrival(asyncio.Protocol):
    """A connection that was just accepted. Nothing of it is read before it has been counted."""

    def __init__(
        self, arrivals: Arrivals[Arrival], caller: Caller, tls: ssl.SSLContext | None
    ) -> None:
        self._arrivals = arrivals
        self._caller = caller
        self._tls = tls
        caller.arrival = self

    def connection_made(self, transport: Any) -> None:
        """Count it, and begin anew with its socket: a loop tells no address before TLS."""
        peer = transport.get_extra_info("peername")
        if peer:  # else it is gone already
            self._socket: socket.socket = transport.get_extra_info("socket").dup()
            late = self._arrivals.add(self, customer(packed(peer[0])))
            if late is not None:
                late.hang_up()
            self._opening = asyncio.ensure_future(self._open())
        transport.abort()

    async def _open(self) -> None:
        timeouts = (OPEN_TIMEOUT, CLOSE_TIMEOUT) if self._tls else (None, None)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._caller,
                self._socket,
                ssl=self._tls,
                ssl_handshake_timeout=timeouts[0],
                ssl_shutdown_timeout=timeouts[1],
            )
        except OSError:  # no TLS, too late, or gone
            self._socket.close()
            self.over()

    def hang_up(self) -> None:
        """It took too long while others waited."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def over(self) -> None:
        """Its greeting came, or it is gone."""
        self._arrivals.remove(self)
