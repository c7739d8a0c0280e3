"""The agenda: when something is due for each member, worked out once until it changes.

In a room of many every input would else look at everybody, and every member gets
as many inputs as there are others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vc_core.ids import Member
from vc_core.peer import Peer


class Agenda:
    """Of one member, for all others."""

    def __init__(self, peers: Mapping[Member, Peer], work_out: Callable[[Peer], float]) -> None:
        self._peers = peers
        self._work_out = work_out
        self._due: dict[Member, float] = {}
        """Without those for whom it has changed."""

    def changed(self, peer: Peer) -> None:
        """What is due for a member may be another time now."""
        self._due.pop(peer.number, None)

    def all_changed(self) -> None:
        """So may it be for everybody."""
        self._due.clear()

    def due(self, peer: Peer) -> float:
        """When something is due for a member; infinity for never."""
        due = self._due.get(peer.number)
        if due is None:
            due = self._due[peer.number] = self._work_out(peer)
        return due

    def first(self) -> float:
        """When anything is due."""
        return min(map(self.due, self._peers.values()), default=float("inf"))

    def take_due(self, now: float) -> list[Peer]:
        """For whom something is due, which will be done and changes it."""
        found = [peer for peer in self._peers.values() if now >= self.due(peer)]
        for peer in found:
            self.changed(peer)
        return found
