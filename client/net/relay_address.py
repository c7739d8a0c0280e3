"""Which addresses of forwarders, as hosts name them, may be tried.

Rule: what a peer sends becomes a ``Target`` or nothing; it never raises.
"""

from __future__ import annotations

import ipaddress

from client.net.candidates import reachable
from vc_core.relay_address import Target, parse_address

# Specification
PATH = "/relay"


def targets(addresses: tuple[str, ...], *, loopback: bool) -> list[Target]:
    """What a host's list names and may be tried; the rest is dropped."""
    found: list[Target] = []
    for text in addresses:
        try:
            found += [one for one in parse_address(text) if _may_be_tried(one.host, loopback)]
        except ValueError:
            continue
    return found


def _may_be_tried(host: str, loopback: bool) -> bool:
    try:
        return reachable(ipaddress.ip_address(host), loopback=loopback)
    except ValueError:  # a name: what it resolves to is looked at then
        return True
