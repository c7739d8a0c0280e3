"""The sockets of one server: TCP for WebSocket, UDP for STUN, on the same port.

"0.0.0.0", "::" and "" mean every address of this machine, IPv6 where there is
any; another host means the addresses that it resolves to.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from dataclasses import dataclass, field

from vc_core.errors import CannotListenError

# Implementation
EVERYWHERE = ("", "0.0.0.0", "::")
BACKLOG = 1024
"""Connections that wait to be accepted: everybody comes at once after a restart."""
TRIES = 16
"""How many free ports are tried until TCP and UDP, IPv4 and IPv6 all have the same one."""

_Place = tuple[socket.AddressFamily, str]


@dataclass
class Sockets:
    """Bound sockets; whoever holds this closes what it has not handed on."""

    port: int
    stun_port: int = 0
    """UDP port; 0 if there is none."""
    tcp: list[socket.socket] = field(default_factory=list)
    udp: list[socket.socket] = field(default_factory=list)

    def close(self) -> None:
        """Close all."""
        for one in (*self.tcp, *self.udp):
            one.close()


async def open_sockets(host: str, port: int, *, stun: bool) -> Sockets:
    """Bind everything at ``host`` and ``port`` (0: a free one).

    If the UDP port of that number is taken, STUN gets another one. Raises
    ``CannotListenError``.
    """
    places = await _resolve(host)
    for attempt in range(TRIES):
        try:
            sockets = _bind_tcp(places, port)
        except OSError as error:
            if port or attempt == TRIES - 1 or error.errno != errno.EADDRINUSE:
                raise CannotListenError.at(host, port, error) from error
            continue
        if not stun or _bind_udp(sockets, places, sockets.port):
            return sockets
        if port or attempt == TRIES - 1:
            _bind_udp(sockets, places, 0)
            return sockets
        sockets.close()
    raise AssertionError("the last attempt returns or raises")


def packed(host: str) -> bytes:
    """The 4 or 16 bytes of an address as a socket tells it."""
    return ipaddress.ip_address(host.partition("%")[0]).packed


async def _resolve(host: str) -> list[_Place]:
    if host in EVERYWHERE:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotListenError(f"cannot find the address of {host!r}") from error
    return [(family, str(place[0])) for family, _, _, _, place in found]


def _bind_tcp(places: list[_Place], port: int) -> Sockets:
    """One socket for each place, all on one port."""
    sockets = Sockets(port)
    try:
        for family, host in places:
            with _optional(family, host):
                one = _bound(family, socket.SOCK_STREAM, host, sockets.port)
                sockets.tcp.append(one)
                sockets.port = one.getsockname()[1]
    except OSError:
        sockets.close()
        raise
    if not sockets.tcp:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return sockets


def _bind_udp(sockets: Sockets, places: list[_Place], port: int) -> bool:
    """One socket for each place, all on one port; False if that port is taken."""
    bound: list[socket.socket] = []
    try:
        for family, host in places:
            with _optional(family, host):
                bound.append(_bound(family, socket.SOCK_DGRAM, host, port))
                port = bound[-1].getsockname()[1]
    except OSError:
        for one in bound:
            one.close()
        return False
    sockets.udp, sockets.stun_port = bound, port if bound else 0
    return True


def _optional(family: socket.AddressFamily, host: str) -> contextlib.AbstractContextManager[None]:
    """A machine without IPv6 listens everywhere, too."""
    return _WithoutIpv6() if (family, host) == (socket.AF_INET6, "::") else contextlib.nullcontext()


class _WithoutIpv6(contextlib.AbstractContextManager[None]):
    """Swallows the errors that say that there is no IPv6 here."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        return isinstance(error, OSError) and error.errno in (
            errno.EAFNOSUPPORT,
            errno.EADDRNOTAVAIL,
        )


def _bound(
    family: socket.AddressFamily, kind: socket.SocketKind, host: str, port: int
) -> socket.socket:
    one = socket.socket(family, kind)
    try:
        one.setblocking(False)
        if kind == socket.SOCK_STREAM and os.name == "posix":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((host, port))
        if kind == socket.SOCK_STREAM:
            one.listen(BACKLOG)  # now, since two sockets may be bound but only one may listen
    except BaseException:
        one.close()
        raise
    return one
