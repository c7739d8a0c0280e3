"""The signaling server inside ``vchat host``, and the address that its code names."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from signaling.server import CannotListenError, Server, serve
from signaling.server import Settings as ServerSettings
from vc_core.invite import DEFAULT_PORT


@dataclass(frozen=True)
class Embedded:
    """A running server."""

    server: Server
    url: str
    """How the host itself reaches it."""
    address: str
    """HOST:PORT for the code."""
    loopback: bool
    """Whether it can be reached from this machine only."""


def split_address(text: str, default_port: int) -> tuple[str, int]:
    """HOST:PORT, HOST, :PORT or [V6]:PORT; ``ValueError`` otherwise."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = text, str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not port.isdecimal() or not 0 <= int(port) < 65536:
        raise ValueError(f"no port number: {port}")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_address() -> str:
    """The address by which other machines most likely reach this one.

    Connecting a UDP socket sends nothing; it only asks the routing table.
    """
    for family, target in ((socket.AF_INET, "198.51.100.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
                return str(probe.getsockname()[0])
            except OSError:
                continue
    from client.net.interfaces import interfaces

    found = interfaces(loopback=False).addresses
    return str(found[0]) if found else "127.0.0.1"


async def embed(listen: str | None, advertise: str | None, relays: tuple[str, ...]) -> Embedded:
    """Start the server; ``CannotListenError`` or ``ValueError`` when that fails.

    Without ``listen`` the usual port is taken if it is free, else any.
    """
    if listen is not None:
        host, port = split_address(listen, DEFAULT_PORT)
        server = await serve(ServerSettings(host=host or "0.0.0.0", port=port, relays=relays))
    else:
        host = "0.0.0.0"
        try:
            server = await serve(ServerSettings(port=DEFAULT_PORT, relays=relays))
        except CannotListenError:
            server = await serve(ServerSettings(port=0, relays=relays))
    everywhere = host in ("", "0.0.0.0", "::")
    shown = own_address() if everywhere else host
    loopback = shown in ("127.0.0.1", "::1", "localhost")
    if advertise is not None:
        shown, port = split_address(advertise, server.port)
    else:
        port = server.port
    url = f"ws://{join_address('127.0.0.1' if everywhere else host, server.port)}"
    return Embedded(server, url, join_address(shown, port), loopback)
