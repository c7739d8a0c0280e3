"""The sockets of a relay: UDP and TCP, one for each family, with large buffers.

"0.0.0.0", "::" and "" mean every address of this machine, IPv6 where there is
any; another host means the first address of each family that it resolves to.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from dataclasses import dataclass, field

from vc_core.errors import CannotListenError

# Implementation
EVERYWHERE = ("", "0.0.0.0", "::")
BUFFER = 4 * 1024 * 1024
"""Bytes that the kernel keeps for us; by default it loses bursts of pictures."""
LONGEST = 2048
"""Bytes that are read of one datagram; whatever is longer is none of ours."""
BACKLOG = 1024
TRIES = 16
"""How many free ports are tried until all sockets have the same one."""
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_FORCE = {socket.SO_RCVBUF: 33, socket.SO_SNDBUF: 32}
"""Linux: root may go beyond the limit of the system (SO_RCVBUFFORCE, SO_SNDBUFFORCE)."""

Place = tuple[socket.AddressFamily, str]


@dataclass
class Sockets:
    """Bound sockets; whoever holds this closes them."""

    udp: list[socket.socket] = field(default_factory=list)
    tcp: list[socket.socket] = field(default_factory=list)

    def close(self) -> None:
        """Close all."""
        for one in (*self.udp, *self.tcp):
            one.close()


async def open_sockets(udp: tuple[str, int], tcp: tuple[str, int] | None) -> Sockets:
    """Bind at two places (port 0: a free one, the same for both if both are 0).

    Raises ``CannotListenError``.
    """
    places = await resolve(udp[0])
    tcp_places = await resolve(tcp[0]) if tcp else []
    for attempt in range(TRIES):
        sockets = Sockets()
        at = udp
        try:
            sockets.udp = _bind_all(places, udp[1], socket.SOCK_DGRAM)
            if tcp:
                at = (tcp[0], tcp[1] or (0 if udp[1] else port_of(sockets.udp)))
                sockets.tcp = _bind_all(tcp_places, at[1], socket.SOCK_STREAM)
        except OSError as error:
            sockets.close()
            free = udp[1] == 0 or (tcp is not None and tcp[1] == 0)
            if attempt == TRIES - 1 or not free or error.errno != errno.EADDRINUSE:
                raise CannotListenError.at(*at, error) from error
            continue
        return sockets
    raise AssertionError("the last attempt returns or raises")


def packed(host: str) -> bytes:
    """The 4 or 16 bytes of an address as a socket tells it."""
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return socket.inet_pton(socket.AF_INET, host)


def port_of(sockets: list[socket.socket]) -> int:
    """The port that they share."""
    return int(sockets[0].getsockname()[1])


def enlarge(one: socket.socket, size: int = BUFFER) -> None:
    """Ask for large buffers; whatever the system allows will do."""
    for option, force in _FORCE.items():
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, option, size)
        if one.getsockopt(socket.SOL_SOCKET, option) < size and os.name == "posix":
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, force, size)


async def resolve(host: str) -> list[Place]:
    """At most one address for each family."""
    if host in EVERYWHERE:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise CannotListenError(f"cannot find the address of {host!r}") from error
    return list({family: str(place[0]) for family, _, _, _, place in reversed(found)}.items())


def _bind_all(places: list[Place], port: int, kind: socket.SocketKind) -> list[socket.socket]:
    """One socket for each place, all on one port; IPv6 "::" only where there is IPv6."""
    with contextlib.ExitStack() as undo:
        sockets: list[socket.socket] = []
        for family, host in places:
            try:
                one = undo.enter_context(socket.socket(family, kind))
                _bind(one, host, port)
            except OSError as error:
                if host == "::" and sockets and error.errno in NO_IPV6:
                    continue
                raise
            port = one.getsockname()[1]
            sockets.append(one)
        undo.pop_all()
    return sockets


def _bind(one: socket.socket, host: str, port: int) -> None:
    one.setblocking(False)
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if one.type == socket.SOCK_DGRAM:
        enlarge(one)
    elif os.name == "posix":
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((host, port))
    if one.type == socket.SOCK_STREAM:
        one.listen(BACKLOG)
