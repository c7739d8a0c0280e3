"""The signaling server inside ``vchat host``, and the address that its code names."""

from __future__ import annotations

import socket
from dataclasses import replace

from client.net.relay_address import PATH
from relay.forwarder import Forwarder
from signaling.limits import Limits
from signaling.server import Server, serve
from signaling.server import Settings as ServerSettings
from vc_core.errors import CannotListenError
from vc_core.invite import DEFAULT_PORT
from vc_core.record import record

LOOPBACK = "127.0.0.1"
LIMITS = Limits(connections=1_024, greetings=512, idle_customers=512)
"""Of one room. What many connections are made of is looked through by Python now and then, in
one go: with 7 000 of them the voice was held for 0.2 to 0.4 s each time."""


@record
class Embedded:
    """A running server."""

    server: Server
    url: str
    """How the host itself reaches it."""
    address: str
    """HOST:PORT for the code."""
    loopback: bool
    """Whether it can be reached from this machine only."""
    follows: bool = False
    """Whether its address is that of this machine, whatever that is."""

    def moved(self) -> Embedded:
        """The same server, where this machine is now; while that is nowhere, where it was."""
        here = own_address() if self.follows else LOOPBACK
        if here == LOOPBACK:
            return self
        return replace(self, address=join_address(here, self.server.port))


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
    return str(found[0]) if found else LOOPBACK


async def embed(
    listen: str | None,
    advertise: str | None,
    relays: tuple[str, ...],
    relay_secret: bytes | None = None,
    forwarder: Forwarder | None = None,
) -> Embedded:
    """Start the server; ``CannotListenError`` or ``ValueError`` when that fails.

    Without ``listen`` the usual port is taken if it is free, else any. A
    ``forwarder`` gets the UDP port and what comes to the path ``/relay``.
    """
    host, port = (
        ("0.0.0.0", DEFAULT_PORT) if listen is None else split_address(listen, DEFAULT_PORT)
    )
    named = split_address(advertise, 0) if advertise is not None else None
    settings = ServerSettings(
        host=host or "0.0.0.0",
        port=port,
        relays=relays,
        relay_secret=relay_secret,
        limits=LIMITS,
        others={PATH: forwarder.converse} if forwarder is not None else {},
        serve_udp=forwarder.serve_udp if forwarder is not None else None,
    )
    try:
        server = await serve(settings)
    except CannotListenError:
        if listen is not None:
            raise
        server = await serve(replace(settings, port=0))
    everywhere = host in ("", "0.0.0.0", "::")
    here = own_address() if everywhere else host
    loopback = here in (LOOPBACK, "::1", "localhost")
    shown, port = named or (here, 0)
    url = f"ws://{join_address(LOOPBACK if everywhere else host, server.port)}"
    follows = everywhere and named is None
    return Embedded(server, url, join_address(shown, port or server.port), loopback, follows)
