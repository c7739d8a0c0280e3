"""What the answers of STUN servers tell about the network that we sit in (RFC 5780).

    own address ≠ what outside servers see    there is a NAT
    two servers see the same                  one outer port for all destinations
    two servers see different ones            another outer port for each destination

Our servers answer from where they were asked only, so that filtering (who may
send in) is told no better than by sending to ourselves: what comes back unasked
came in as a stranger's would, at least as far as this router treats its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from client.net.portmap.mapping import is_public
from vc_core.record import record

Address = tuple[str, int]


class Ports(Enum):
    """How our socket looks from outside."""

    UNASKED = "there was no server to ask"
    SILENT = "no server answered"
    INSIDE = "all servers that answered are inside like us"
    OPEN = "our own address is seen: there is no NAT"
    STEADY = "one outer port for all destinations"
    CHANGING = "another outer port for each destination"
    UNKNOWN = "there is a NAT; one server alone cannot tell more"


class Echo(Enum):
    """What came back of what we sent to our own outer address."""

    UNTRIED = "there was nothing to be tried"
    STRANGER = "a datagram from an address that we had not called"
    CALLED = "a datagram only from an address that we had called"
    NOTHING = "nothing"


class Prospect(Enum):
    """Whom we can meet directly."""

    ALL = "everybody who can send UDP"
    MOST = "everybody but people whose network changes ports for each destination"
    SOME = "people who can be reached from anywhere"
    NOBODY = "nobody beyond this network"
    UNKNOWN = "it could not be told"


@record
class Sighting:
    """What one server said."""

    name: str
    """How people call the server."""
    asked: Address | None
    """Where it was asked; None: its name has no address of this family."""
    seen: Address | None
    """From where it was asked; None: it did not answer."""
    seconds: float = 0.0
    """Round trip."""


def outside(sightings: Iterable[Sighting]) -> list[Sighting]:
    """What servers say that stand in the public internet; others do not see all of the NAT."""
    return [one for one in sightings if one.seen and one.asked and is_public(one.asked[0])]


def ports(own: Address, sightings: Iterable[Sighting]) -> Ports:
    """What several servers that were asked from one socket say together."""
    sightings = list(sightings)
    answered = outside(sightings)
    seen = {one.seen for one in answered}
    if not any(one.asked for one in sightings):
        return Ports.UNASKED
    if not answered:
        return Ports.INSIDE if any(one.seen for one in sightings) else Ports.SILENT
    if seen == {own}:
        return Ports.OPEN
    if len(seen) > 1:
        return Ports.CHANGING
    return Ports.STEADY if len({one.asked for one in answered}) > 1 else Ports.UNKNOWN


def prospect(seen: Ports, *, mapped: bool) -> Prospect:
    """Whom we can meet; ``mapped``: a router opens ports at a public address."""
    if seen is Ports.SILENT:
        return Prospect.NOBODY
    if mapped or seen is Ports.OPEN:
        return Prospect.ALL
    return {Ports.STEADY: Prospect.MOST, Ports.CHANGING: Prospect.SOME}.get(seen, Prospect.UNKNOWN)
