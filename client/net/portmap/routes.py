"""The routing table, as Linux shows it: which gateway serves an address of ours.

``/proc/net/route``, one line for each IPv4 route after a line of heads:

    Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
    eth0  00000000    0101A8C0 0003 0      0   100    00000000 0 0 0

with addresses as hexadecimal words of the machine's own byte order, and
``/proc/net/ipv6_route``, in network order:

    destination length source length next-hop metric refcount use flags Iface

What cannot be read is no route; nothing here raises.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Literal

from client.net.candidates import Address, Network
from client.net.portmap import pcp
from vc_core.record import record

# Specification
UP, GATEWAY, REJECT = 0x1, 0x2, 0x200  # flags of <linux/route.h>
SSDP = ("239.255.255.250", 1900)

# Implementation
MAX_TABLE = 1 << 18  # characters that are looked at


@record
class Route:
    """One way out."""

    interface: str
    network: Network
    gateway: Address | None
    """None when the network is this link itself."""
    metric: int


@record
class Neighbourhood:
    """Where one address of ours lives."""

    host: str
    gateway: str
    """Numeric; of a link-local IPv6 one with ``%`` and the interface."""
    network: Network
    """The link's own network: who answers from elsewhere is not believed."""
    pcp_port: int = pcp.PORT
    ssdp: tuple[str, int] = SSDP


def routes_4(table: str, order: Literal["little", "big"]) -> list[Route]:
    """The routes of ``/proc/net/route``; ``order`` is ``sys.byteorder``."""

    def read(cells: list[str]) -> Route | None:
        def address(cell: str) -> int:
            return int.from_bytes(int(cell, 16).to_bytes(4, order), "big")

        interface, flags, metric = cells[0], int(cells[3], 16), int(cells[6])
        mask = address(cells[7])
        network = ipaddress.IPv4Network((address(cells[1]), mask.bit_count()))
        hop = ipaddress.IPv4Address(address(cells[2])) if flags & GATEWAY else None
        return Route(interface, network, hop, metric) if _usable(flags) else None

    return _routes(table, read)


def routes_6(table: str) -> list[Route]:
    """The routes of ``/proc/net/ipv6_route``."""

    def read(cells: list[str]) -> Route | None:
        flags, metric = int(cells[8], 16), int(cells[5], 16)
        network = ipaddress.IPv6Network((int(cells[0], 16), int(cells[1], 16)))
        hop = ipaddress.IPv6Address(int(cells[4], 16)) if flags & GATEWAY else None
        return Route(cells[9], network, hop, metric) if _usable(flags) else None

    return _routes(table, read)


def neighbourhood(routes: Iterable[Route], host: str) -> Neighbourhood | None:
    """The gateway on the link of ``host``; None when the link leads nowhere."""
    address, routes = ipaddress.ip_address(host), list(routes)
    links = [
        route
        for route in routes
        if route.gateway is None and route.network.prefixlen and address in route.network
    ]
    if not links:
        return None
    link = max(links, key=lambda route: route.network.prefixlen)
    ways = [
        route
        for route in routes
        if route.interface == link.interface
        and route.gateway is not None
        and route.network.prefixlen == 0
        and route.gateway.version == address.version
    ]
    if not ways:
        return None
    gateway = min(ways, key=lambda route: route.metric).gateway
    assert gateway is not None
    scope = f"%{link.interface}" if gateway.version == 6 and gateway.is_link_local else ""
    return Neighbourhood(host, f"{gateway}{scope}", link.network)


def guess(host: str) -> Neighbourhood | None:
    """Where no table can be read: home networks have 256 addresses, the first is the router's."""
    address = ipaddress.ip_address(host)
    if address.version == 6 or not address.is_private or address.is_loopback:
        return None
    network = ipaddress.ip_network(f"{host}/24", strict=False)
    gateway = network[1]
    return None if gateway == address else Neighbourhood(host, str(gateway), network)


def _routes(table: str, read: Callable[[list[str]], Route | None]) -> list[Route]:
    found = []
    for line in table[:MAX_TABLE].splitlines():
        try:
            route = read(line.split())
        except (ValueError, IndexError, OverflowError):  # the heads, or something new
            continue
        if route is not None:
            found.append(route)
    return found


def _usable(flags: int) -> bool:
    return bool(flags & UP) and not flags & REJECT
