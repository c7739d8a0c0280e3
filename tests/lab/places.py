"""Places where people are, and what the networks between two of them allow."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.net import Nat, Node, World
from vc_core.record import record


@record
class Place:
    """A kind of network."""

    name: str
    make: Callable[[World], Node]
    """One more such network with a machine in it."""
    nat: Nat | None = None
    """What all its NATs together do; None for public addresses."""
    udp: bool = True
    ip4: bool = True
    ip6: bool = False

    def may_meet(self, other: Place) -> bool:
        """Whether two such networks let packets go directly."""
        family = (self.ip4 and other.ip4) or (self.ip6 and other.ip6)
        if not (family and self.udp and other.udp):
            return False
        strict = (Nat.PORT_RESTRICTED, Nat.SYMMETRIC)
        hard = Nat.SYMMETRIC in (self.nat, other.nat)
        return not (hard and self.nat in strict and other.nat in strict)


def _home(nat: Nat, *, udp: bool = True) -> Callable[[World], Node]:
    return lambda world: world.behind(world.router(nat, udp=udp))


def _under(nat: Nat) -> Callable[[World], Node]:
    return lambda world: world.behind(world.router(Nat.PORT_RESTRICTED, under=world.carrier(nat)))


OPEN = Place("open", lambda world: world.host(ip6=True), ip6=True)
CONE = Place("cone", _home(Nat.FULL_CONE), Nat.FULL_CONE)
HOME = Place("home", _home(Nat.PORT_RESTRICTED), Nat.PORT_RESTRICTED)
SYMMETRIC = Place("symmetric", _home(Nat.SYMMETRIC), Nat.SYMMETRIC)
CARRIER = Place("cgnat", _under(Nat.PORT_RESTRICTED), Nat.PORT_RESTRICTED)
CARRIER_SYMMETRIC = Place("cgnat-sym", _under(Nat.SYMMETRIC), Nat.SYMMETRIC)
NO_UDP = Place("no-udp", _home(Nat.PORT_RESTRICTED, udp=False), Nat.PORT_RESTRICTED, udp=False)
ONLY_6 = Place("ipv6", lambda world: world.host(ip4=False, ip6=True), ip4=False, ip6=True)

PLACES = (OPEN, CONE, HOME, SYMMETRIC, CARRIER, CARRIER_SYMMETRIC, NO_UDP, ONLY_6)
