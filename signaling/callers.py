"""TCP connections until their greeting, through the handshake of TLS if there is one.

Rule: a connection counts from the moment it is accepted (``vc_core.arrivals``), since TLS
costs 45 kB before a word of it has been verified, and each is some hundred objects: where
the server runs in a call, to look through those of thousands holds the voice.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any, Protocol

from websockets.asyncio.server import ServerConnection

from signaling.sockets import packed
from vc_core.arrivals import Arrivals
from vc_core.bucket import customer

# Implementation
OPEN_TIMEOUT = 5.0
"""Seconds for a TLS handshake, and again for the greeting of WebSocket."""
CLOSE_TIMEOUT = 2.0
"""Seconds for the other side to say goodbye."""


class Late(Protocol):
    """What can be told to make room."""

    def hang_up(self) -> None:
        """It took too long while others waited."""


class Caller(ServerConnection):
    """A connection until its greeting, and what stands for it in the count."""

    counted: Late | None = None

    def hang_up(self) -> None:
        """It took too long while others waited."""
        self.transport.abort()


class Arrival(asyncio.Protocol):
    """A connection that was just accepted. Nothing of it is read before it has been counted."""

    def __init__(self, arrivals: Arrivals[Late], caller: Caller, tls: ssl.SSLContext) -> None:
        self._arrivals = arrivals
        self._caller = caller
        self._tls = tls
        caller.counted = self

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
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._caller,
                self._socket,
                ssl=self._tls,
                ssl_handshake_timeout=OPEN_TIMEOUT,
                ssl_shutdown_timeout=CLOSE_TIMEOUT,
            )
        except OSError:  # no TLS, too late, or gone
            self._socket.close()
            self._arrivals.remove(self)

    def hang_up(self) -> None:
        """It took too long while others waited."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
