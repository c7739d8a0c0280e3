"""The relay's UDP port: in this version it answers STUN Binding and forwards nothing.

relay = await serve("0.0.0.0", 3478)
...  # relay.host, relay.port
relay.close()
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from typing import Any, cast

from vc_core.errors import VchatError
from vc_core.stun_binding import StunResponder

# Implementation
EVERYWHERE = ("", "0.0.0.0", "::")
TRIES = 16
"""How many free ports are tried until IPv4 and IPv6 have the same one."""
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class CannotListenError(VchatError):
    """The relay cannot start where it was told to."""


class Relay:
    """A running relay."""

    def __init__(self, host: str, port: int, transports: list[asyncio.DatagramTransport]) -> None:
        self.host = host
        self.port = port
        self._transports = transports

    def close(self) -> None:
        """Stop."""
        for transport in self._transports:
            transport.close()


class _Protocol(asyncio.DatagramProtocol):
    """One UDP socket of the relay."""

    def __init__(self, responder: StunResponder, loop: asyncio.AbstractEventLoop) -> None:
        self._responder = responder
        self._loop = loop
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Answer, if it is a question."""
        host = ipaddress.ip_address(addr[0].partition("%")[0]).packed
        answer = self._responder.receive_datagram(data, (host, addr[1]), self._loop.time())
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)

    def error_received(self, exc: Exception) -> None:
        """ICMP says that somebody who asked is gone; that is the asker's affair."""


async def serve(host: str, port: int) -> Relay:
    """Answer at ``host`` ("0.0.0.0", "::" and "" mean everywhere) and UDP ``port``.

    Port 0 picks a free one. Raises ``CannotListenError``.
    """
    sockets = await _bind(host, port)
    loop = asyncio.get_running_loop()
    responder = StunResponder(loop.time())
    transports: list[asyncio.DatagramTransport] = []
    for one in sockets:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Protocol(responder, loop), sock=one
        )
        transports.append(transport)
    return Relay(host, sockets[0].getsockname()[1], transports)


async def _bind(host: str, port: int) -> list[socket.socket]:
    places = await _resolve(host)
    for attempt in range(TRIES):
        try:
            return _bind_all(places, port)
        except OSError as error:
            if port or attempt == TRIES - 1 or error.errno != errno.EADDRINUSE:
                why = os.strerror(error.errno).lower() if error.errno else str(error)
                raise CannotListenError(f"cannot listen on {host} port {port}: {why}") from error
    raise AssertionError("the last attempt returns or raises")


async def _resolve(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host in EVERYWHERE:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise CannotListenError(f"cannot find the address of {host!r}") from error
    return [(family, str(place[0])) for family, _, _, _, place in found]


def _bind_all(places: list[tuple[socket.AddressFamily, str]], port: int) -> list[socket.socket]:
    """One socket for each place, all on one port; IPv6 "::" only where there is IPv6."""
    with contextlib.ExitStack() as undo:
        sockets: list[socket.socket] = []
        for family, host in places:
            try:
                one = undo.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                one.setblocking(False)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind((host, port))
            except OSError as error:
                if host == "::" and sockets and error.errno in NO_IPV6:
                    continue
                raise
            port = one.getsockname()[1]
            sockets.append(one)
        undo.pop_all()
    return sockets
