"""The audience: who hears our voice, and how many copies of it leave this machine.

a small room   one for each listener, the way in use
a crowd        one for the forwarder that reaches most, which copies it, and one
               for each listener whom it does not reach
"""

from __future__ import annotations

from collections.abc import Mapping

from vc_core.berths import reaches
from vc_core.ids import LinkId, Member
from vc_core.peer import Peer
from vc_core.ways import Ways


class Audience:
    """Of one member."""

    def __init__(self, peers: Mapping[Member, Peer], ways: Ways) -> None:
        self._peers = peers
        self._ways = ways

    def spread_by(self) -> int | None:
        """The forwarder that copies for all; None where voice goes to each by itself."""
        if not self._ways.crowded:
            return None
        links = (peer.link for peer in self._peers.values())
        return self._ways.berths.spread_by(link for link in links if link is not None)

    def listeners(self, spread: int | None) -> list[tuple[Member, LinkId]]:
        """Whom voice is sent to one by one: all, or who is not reached by ``spread``."""
        copied = self._ways.berths.way(spread) if spread is not None else None
        return [
            (peer.seat.number, peer.link.id)
            for peer in self._peers.values()
            if peer.link is not None
            and peer.link.used is not None
            and not (copied is not None and reaches(peer.link, copied))
            and peer.seat.present
            and not peer.blocked
        ]

    def loss(self) -> float:
        """The highest share of our packets that is lost on a way in use."""
        links = [peer.link for peer in self._peers.values() if peer.link is not None]
        paths = [link.paths.get(link.used) for link in links if link.used is not None]
        return max((path.loss_out for path in paths if path is not None), default=0.0)
