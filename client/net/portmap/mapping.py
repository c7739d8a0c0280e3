"""What is asked of a router, what it grants, and what it refuses with.

Rule 1: a router is believed about its own outside and nothing else: an external
        address must be one that somebody could send to.
"""

from __future__ import annotations

import ipaddress

from client.net.candidates import Address, reachable
from vc_core.errors import RemoteProtocolError, VchatError
from vc_core.record import record

# Implementation
LIFETIME = 600
"""Seconds that are asked for: what a crash leaves behind is gone in ten minutes."""
LONGEST = 7 * 86400
"""Seconds; a longer grant is as good as this one."""
NONCE_SIZE = 12
"""Bytes; RFC 6887, 11.1."""

_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("169.254.0.0/16", "192.0.0.0/24", "fc00::/7", "fe80::/10"),
    )
)
"""Private (RFC 1918, 4193), carrier-grade (RFC 6598), link-local, DS-Lite (RFC 6333)."""


class NotMappedError(VchatError):
    """The router grants nothing: it is silent, or it refused."""


@record
class Wanted:
    """A door for one listening port of ours."""

    protocol: str
    """udp or tcp."""
    host: str
    """The numeric address of ours that the port is bound to."""
    port: int
    nonce: bytes
    """12 random bytes; who does not know them cannot change a PCP mapping."""
    external_port: int
    """What we would like; our own port, or the one that we had."""
    external_host: str = ""
    """The address that we had, or empty."""


@record
class Granted:
    """What the router gave."""

    host: str
    """Its external address."""
    port: int
    lifetime: int
    """Seconds; 0 means for good."""


@record
class Mapping:
    """A port of ours, as others can reach it."""

    external_host: str
    external_port: int
    protocol: str
    """udp or tcp."""
    tongue: str
    """How it was asked for: PCP, NAT-PMP or UPnP."""

    @property
    def public(self) -> bool:
        """Whether the whole world can reach it; false behind one more NAT (private, CGNAT)."""
        return is_public(self.external_host)


def is_public(host: str) -> bool:
    """Whether an address is neither private nor carrier-grade nor of this link."""
    address = ipaddress.ip_address(host)
    return not (address.is_loopback or any(address in network for network in _INSIDE))


def external(address: Address) -> str:
    """The text of an external address that a router named."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not reachable(address, loopback=False):
        raise RemoteProtocolError(f"an external address that nobody can have: {address}")
    return str(address)


def granted(host: str, port: int, lifetime: int) -> Granted:
    """A grant of a port that can be one."""
    if not 0 < port < 1 << 16:
        raise RemoteProtocolError(f"an external port that nobody can have: {port}")
    return Granted(host, port, min(lifetime, LONGEST))
