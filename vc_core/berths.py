"""Berths: the forwarders at which we have a slot, and which of them serves what.

chosen      over these a path to each member is opened unasked
spread_by   this one copies voice for all, in a room too large for a mesh
"""

from __future__ import annotations

from collections.abc import Iterable

from vc_core.ids import Rung, Way
from vc_core.link import Link
from vc_core.path import State
from vc_core.record import record

# Specification
PROBED_FORWARDERS = 2  # over which paths are opened unasked


@record
class Berth:
    """A forwarder that has given us our slot."""

    rung: Rung
    transport: str
    """udp or tcp."""
    ending: bool = False
    """Whether it ends soon: what lives besides is used rather."""


def reaches(link: Link, way: Way) -> bool:
    """Whether what is sent a way comes to a member, as far as we know."""
    path = link.paths.get(way)
    return path is not None and path.state is State.ALIVE


class Berths:
    """Of one member, by the forwarders' numbers."""

    def __init__(self) -> None:
        self.named: tuple[int, ...] = ()
        """Forwarders as the host names them, the best first; we need not be attached."""
        self._held: dict[int, Berth] = {}
        self._gone: set[int] = set()
        """Forwarders that did not answer, or do no more."""
        self.words: dict[Rung, str] = {}
        """Why we have none of a rung, for members to come."""

    # Getters

    def __contains__(self, number: int) -> bool:
        return number in self._held

    def get(self, number: int) -> Berth | None:
        """The berth at a forwarder, if we have one."""
        return self._held.get(number)

    @property
    def order(self) -> tuple[int, ...]:
        """As they are named, but those behind that end soon."""
        return tuple(sorted(self.named, key=self.ends))

    def ends(self, number: int) -> bool:
        """Whether a forwarder that we are attached to ends soon."""
        berth = self._held.get(number)
        return berth is not None and berth.ending

    @property
    def promising(self) -> bool:
        """Whether any forwarder that the host names carries for us, or may do so soon."""
        return not self._gone.issuperset(self.named)

    def way(self, number: int) -> Way:
        """The way over a forwarder at which we have a berth."""
        return Way(self._held[number].rung, number)

    def transport(self, way: Way | None) -> str:
        """udp or tcp: what carries packets that go a way."""
        berth = self._held.get(way.number) if way and way.rung is not Rung.DIRECT else None
        return berth.transport if berth is not None else "udp"

    def chosen(self) -> list[Way]:
        """The first of the host's order that we are attached to."""
        known = [number for number in self.order if number in self._held]
        return [self.way(number) for number in known[:PROBED_FORWARDERS]]

    def spare(self, way: Way) -> bool:
        """Whether a way leads over the host's own forwarder though a relay carries."""
        return way.rung is Rung.HOSTED and any(one.rung is Rung.RELAYED for one in self.chosen())

    # World in

    def take(self, number: int, berth: Berth) -> None:
        """A forwarder has given us our slot, or moved us to another transport."""
        self._held[number] = berth
        self.words.pop(berth.rung, None)
        self._gone.discard(number)

    def give_up(self, number: int) -> Way | None:
        """A forwarder is gone for us; the way that led over it."""
        berth = self._held.pop(number, None)
        self._gone = {number, *self._gone}.intersection(self.named)
        return Way(berth.rung, number) if berth is not None else None

    # Voice of many

    def spread_by(self, links: Iterable[Link]) -> int | None:
        """The forwarder that reaches most.

        Of several that reach as many a relay is taken before the host's own, and
        then the first of the host's order.
        """
        known, order = list(links), self.order

        def worth(number: int) -> tuple[int, bool, bool, int]:
            way = self.way(number)
            reached = sum(reaches(link, way) for link in known)
            place = order.index(number) if number in order else len(order)
            relayed = self._held[number].rung is Rung.RELAYED
            return reached, not self.ends(number), relayed, -place

        return max(self._held, key=worth, default=None)
