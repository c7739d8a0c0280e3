"""The relay daemon's server: a UDP port, a WebSocket port, and one forwarder behind both.

relay = await serve(Settings(host="127.0.0.1", port=0))
...  # relay.port, relay.tcp_port, relay.pin
relay.drain()
await relay.close()
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections import Counter
from dataclasses import field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.http11 import Request, Response

from relay.callers import CLOSE_TIMEOUT, OPEN_TIMEOUT, Arrival, Caller
from relay.forwarder import Forwarder
from relay.limits import Limits
from relay.sockets import Sockets, open_sockets, packed, port_of
from relay.web import MAX_MESSAGE
from vc_core.arrivals import Arrivals
from vc_core.bucket import customer
from vc_core.record import record

# Implementation
READ_AHEAD = 64
"""Messages of a connection that wait to be handled before it is read no further."""
WAITING = 4
WAITING_OF_ONE = 2
"""One in so many of all connections, and of a customer's, may still be shaking hands."""
PING_INTERVAL = 20.0
"""Seconds of silence after which a connection is asked whether it lives."""


@record
class Settings:
    """How one relay runs."""

    host: str = "0.0.0.0"
    """Where UDP listens; "0.0.0.0", "::" and "" mean everywhere, in both families."""
    port: int = 3478
    tcp: tuple[str, int] | None = None
    """Where WebSocket listens; None: nowhere."""
    tls: ssl.SSLContext | None = None
    """How WebSocket is wrapped; None: plain."""
    secret: bytes | None = None
    """What it shares with signaling servers; None: it is open."""
    limits: Limits = field(default_factory=Limits)
    threads: bool = os.name == "posix"
    """Whether UDP sockets have threads of their own."""


class Relay:
    """A running relay."""

    def __init__(self, settings: Settings, forwarder: Forwarder, sockets: Sockets) -> None:
        self.host = settings.host
        self.port = port_of(sockets.udp)
        self.tcp_port = port_of(sockets.tcp) if sockets.tcp else 0
        """TCP port of WebSocket; 0 for none."""
        self.forwarder = forwarder
        self._listeners: list[WebSocketServer] = []
        self._connections: Counter[bytes] = Counter()
        limits = forwarder.limits
        most, most_of_one = limits.connections, limits.connections_per_customer
        self._arrivals: Arrivals[Arrival] = Arrivals(
            max(1, most // WAITING), max(1, most_of_one // WAITING_OF_ONE)
        )

    def counts(self) -> dict[str, int]:
        """Slots, rooms, datagrams and so on: now and since the start."""
        draining = int(self.forwarder.slots.is_draining)
        connections = self._connections.total()
        return {**self.forwarder.counts(), "connections": connections, "draining": draining}

    def drain(self) -> None:
        """Take nobody new, and tell those who are here to look for another."""
        self.forwarder.drain()

    async def close(self) -> None:
        """Stop; returns within a few seconds."""
        for listener in self._listeners:
            listener.close()
        self.forwarder.close()
        goodbyes = [asyncio.ensure_future(one.wait_closed()) for one in self._listeners]
        if goodbyes:
            await asyncio.wait(goodbyes, timeout=2 * CLOSE_TIMEOUT)

    async def listen(self, sockets: list[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Take WebSocket connections at bound sockets."""

        def arrive(*arguments: Any, **options: Any) -> Any:  # websockets hands it to the loop
            return Arrival(self._arrivals, Caller(*arguments, **options), tls)

        quiet = logging.Logger("vchat.relay.websockets", level=logging.CRITICAL)
        for one in sockets:
            listener = await serve_websockets(
                self._converse,
                sock=one,
                create_connection=arrive,  # type: ignore[arg-type]  # it need be no class
                process_request=self._greet,
                origins=[None],  # no page in a browser
                compression=None,
                max_size=MAX_MESSAGE,
                max_queue=READ_AHEAD,
                open_timeout=OPEN_TIMEOUT,
                close_timeout=CLOSE_TIMEOUT,
                ping_interval=PING_INTERVAL,
                ping_timeout=PING_INTERVAL,
                server_header=None,
                logger=quiet,  # it logs what strangers send as errors, with tracebacks
            )
            self._listeners.append(listener)

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        """Before WebSocket begins: send away whoever is too much."""
        assert isinstance(connection, Caller)
        connection.arrival.over()
        limits, who = self.forwarder.limits, _customer_of(connection)
        if (
            self._connections.total() >= limits.connections
            or self._connections[who] >= limits.connections_per_customer
        ):
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "FULL\n")
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        who = _customer_of(connection)
        self._connections[who] += 1
        try:
            await self.forwarder.converse(connection)
        finally:
            self._connections[who] -= 1
            if not self._connections[who]:
                del self._connections[who]


async def serve(settings: Settings) -> Relay:
    """Start a relay; raises ``CannotListenError``."""
    sockets = await open_sockets((settings.host, settings.port), settings.tcp)
    try:
        relay = Relay(settings, Forwarder(settings.secret, settings.limits), sockets)
        await relay.listen(sockets.tcp, settings.tls)
        relay.forwarder.serve_udp(sockets.udp, threads=settings.threads)
    except BaseException:
        sockets.close()
        raise
    return relay


def _customer_of(connection: ServerConnection) -> bytes:
    peer = connection.remote_address
    return customer(packed(peer[0])) if peer else b""
