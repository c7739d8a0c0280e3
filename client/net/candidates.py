"""Candidates: the addresses that two ends tell each other for the direct rung.

A candidate is one line of RFC 8839, 5.1 without its "candidate:":

    FOUNDATION 1 udp PRIORITY ADDRESS PORT typ host|srflx|relay [raddr A rport P]

Rule 1: a peer's line becomes a canonical line or nothing; it never raises.
Rule 2: only addresses that can belong to one peer: no names (mDNS would be
        asked of our network), no multicast, broadcast or unspecified address,
        no loopback unless both ends share a machine, nothing behind one of our
        own container bridges. Private and carrier-grade addresses are fine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from vc_core.record import record

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Specification
MAX_LINE = 200  # characters of one candidate
MAX_CANDIDATES = 32  # of one end, over all of its descriptions

# Implementation
LINE = re.compile(
    r"(?P<foundation>[A-Za-z0-9+/]{1,32}) 1 (?:udp|UDP) (?P<priority>[0-9]{1,10})"
    r" (?P<address>[0-9A-Fa-f.:]{2,45}) (?P<port>[0-9]{1,5}) typ (?P<kind>host|srflx|relay)"
    r"(?: [!-~ ]*)?"
)
SECRET = {"ufrag": re.compile(r"[A-Za-z0-9+/]{4,256}"), "pwd": re.compile(r"[A-Za-z0-9+/]{22,256}")}
MAX_PRIORITY = (1 << 31) - 1  # RFC 8445, 5.1.2


@record
class Description:
    """What one end tells the other; more may follow until one is ``done`` (RFC 8838)."""

    ufrag: str
    """ICE user name fragment of this connection, 4 to 256 ice-chars."""
    pwd: str
    """ICE password, 22 to 256 ice-chars."""
    candidates: tuple[str, ...]
    """New candidates only, each at most 200 characters of ASCII."""
    done: bool
    """Whether no more candidates will follow, but those of addresses that change later."""
    hard: bool = False
    """Whether its NAT gives another port to each destination, as far as it knows."""

    def usable(self) -> bool:
        """Whether user name and password are of the form that RFC 8445 wants."""
        return bool(SECRET["ufrag"].fullmatch(self.ufrag) and SECRET["pwd"].fullmatch(self.pwd))


def clean(line: str, *, loopback: bool, bridges: Sequence[Network] = ()) -> str | None:
    """The canonical form of a candidate's line, or None if it must be ignored."""
    match = LINE.fullmatch(line) if len(line) <= MAX_LINE else None
    if match is None:
        return None
    try:
        address = ipaddress.ip_address(match["address"])
    except ValueError:
        return None
    port, priority = int(match["port"]), int(match["priority"])
    if not (0 < port < 1 << 16 and 0 < priority <= MAX_PRIORITY):
        return None
    if not reachable(address, loopback=loopback, bridges=bridges):
        return None
    return f"{match['foundation']} 1 udp {priority} {address} {port} typ {match['kind']}"


def reachable(address: Address, *, loopback: bool, bridges: Iterable[Network] = ()) -> bool:
    """Whether ``address`` may be that of another end."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return False  # Python 3.13 judges these like the address within
    if address.is_loopback:
        return loopback
    if address.is_unspecified or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        if address in NOWHERE_4 or address in RESERVED_4:
            return False
    elif address.is_link_local:
        return False
    return not any(address in network for network in bridges)


NOWHERE_4 = ipaddress.IPv4Network("0.0.0.0/8")
RESERVED_4 = ipaddress.IPv4Network("240.0.0.0/4")  # the limited broadcast is in it
