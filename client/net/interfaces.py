"""This machine's addresses: which of them are offered to a peer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

import ifaddr

from client.net.candidates import Network, reachable

# Implementation
BRIDGE = re.compile(r"docker|br-[0-9a-f]{12}$|veth|virbr|cni|lxcbr|lxdbr|podman")
MAX_ADDRESSES = 8  # sockets of one connection; phones and laptops have two to four


@dataclass(frozen=True)
class Interfaces:
    """What one look at the network interfaces gave."""

    addresses: tuple[str, ...]
    """Addresses to bind, loopback first."""
    bridges: tuple[Network, ...]
    """Networks of containers and virtual machines on this machine."""
    networks: tuple[Network, ...] = ()
    """Networks that the machine is in, without loopback and bridges."""


def interfaces(*, loopback: bool) -> Interfaces:
    """The addresses of this machine now; takes well under a millisecond.

    Loopback is there only when asked for; never link-local IPv6 (it needs a
    scope that means nothing to a peer) and no bridge of containers.
    """
    addresses: list[str] = ["127.0.0.1", "::1"] if loopback else []
    bridges: list[Network] = []
    networks: list[Network] = []
    for adapter in ifaddr.get_adapters():
        if BRIDGE.match(adapter.name):
            bridges += _networks(adapter.ips)
        else:
            addresses += _offered(adapter.ips)
            networks += [one for one in _networks(adapter.ips) if not one.is_loopback]
    known = tuple(dict.fromkeys(addresses))[:MAX_ADDRESSES]
    return Interfaces(known, tuple(bridges), tuple(networks))


def _plain(ip: ifaddr.IP) -> str:
    return ip.ip if isinstance(ip.ip, str) else ip.ip[0]


def _offered(ips: Iterable[ifaddr.IP]) -> list[str]:
    plain = map(_plain, ips)
    return [ip for ip in plain if reachable(ipaddress.ip_address(ip), loopback=False)]


def _networks(ips: Iterable[ifaddr.IP]) -> list[Network]:
    return [
        network
        for ip in ips
        if not (
            network := ipaddress.ip_network(f"{_plain(ip)}/{ip.network_prefix}", strict=False)
        ).is_link_local
    ]
