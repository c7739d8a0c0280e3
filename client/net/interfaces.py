"""This machine's addresses: which of them are offered to a peer, and when they change.

On Linux the kernel tells of changes (rtnetlink(7)), so that nothing runs while
nothing changes; elsewhere a look every two seconds takes well under a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable

import ifaddr

from client.net.candidates import Network, reachable
from vc_core.record import record

# Specification: rtnetlink(7), <linux/rtnetlink.h>
NETLINK_ROUTE = 0
GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR

# Implementation
SETTLING = 0.3  # seconds: an address comes with a few messages, often after another has gone
POLL = 2.0  # seconds between looks where nobody tells
DRAINED = 64  # messages read at a time
BRIDGE = re.compile(r"docker|br-[0-9a-f]{12}$|veth|virbr|cni|lxcbr|lxdbr|podman")
MAX_ADDRESSES = 8  # sockets of one connection; phones and laptops have two to four


@record
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


class Watch:
    """Looks out for changes of ``interfaces(loopback=False).addresses`` until closed."""

    def __init__(self, on_change: Callable[[], None], netlink: socket.socket | None) -> None:
        self._on_change = on_change
        self._netlink = netlink
        self._known = interfaces(loopback=False).addresses
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        if netlink is not None:
            self._loop.add_reader(netlink, self._told)
        else:
            self._timer = self._loop.call_later(POLL, self._look)

    def close(self) -> None:
        """Look no more; may be called again."""
        if self._timer is not None:
            self._timer.cancel()
        if self._netlink is not None:
            self._loop.remove_reader(self._netlink)
            self._netlink.close()
        self._timer = self._netlink = None

    def _told(self) -> None:
        with contextlib.suppress(OSError):  # ENOBUFS: many changes, and one look for all
            for _ in range(DRAINED):
                if self._netlink is not None:
                    self._netlink.recv(65536)
        if self._timer is None:
            self._timer = self._loop.call_later(SETTLING, self._look)

    def _look(self) -> None:
        polling = self._netlink is None
        self._timer = self._loop.call_later(POLL, self._look) if polling else None
        found = interfaces(loopback=False).addresses
        if found != self._known:
            self._known = found
            self._on_change()


def watch(on_change: Callable[[], None]) -> Watch:
    """Call ``on_change`` in the running loop whenever the offered addresses have changed."""
    return Watch(on_change, _netlink())


def _netlink() -> socket.socket | None:
    """Where the kernel tells of changed addresses; None where it does not."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return None
    try:
        told = socket.socket(family, socket.SOCK_RAW, NETLINK_ROUTE)
    except OSError:
        return None
    try:
        told.setblocking(False)
        told.bind((0, GROUPS))
    except OSError:
        told.close()
        return None
    return told
