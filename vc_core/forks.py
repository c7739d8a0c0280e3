"""Forks: does everybody hear the same story from the host?

Key messages, heartbeats and standings name a place of the roster. Where a named
place differs from ours, a word alone ends nothing: the other side gets our
signed entry for it. Whoever holds two signed entries for one place has the
proof, shows it to everybody, and stops. So a host that tells two stories is
found out as soon as their listeners exchange keys, and a guest that lies about
its place achieves nothing.
"""

from __future__ import annotations

from vc_core.courier import Courier
from vc_core.entry import Signed
from vc_core.errors import Ending
from vc_core.events import Warned
from vc_core.ids import Member
from vc_core.messages import NewEntry, Position
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.roster import Forked, Place

# Implementation
MAX_CLAIMS = 16  # places ahead of ours that are remembered of one member
WARNING_PAUSE = 10.0  # s between two warnings, and two pieces of evidence, to one member


class Forks:
    """For one member."""

    def __init__(self, room: Room, courier: Courier) -> None:
        self._room = room
        self._courier = courier

    def agrees(self, peer: Peer, position: Position, now: float) -> bool:
        """Whether a place that a member names fits our chain, as far as we know."""
        roster = self._room.roster
        place = roster.place(position)
        if place is Place.DIFFERS:
            self._show_evidence(peer, position, now)
        elif position.order > roster.position.order:
            peer.claims[position.order] = position
            while len(peer.claims) > MAX_CLAIMS:
                del peer.claims[next(iter(peer.claims))]
        return place is not Place.DIFFERS

    def check_claims(self, position: Position, now: float) -> None:
        """Our chain grew: compare what members had said about this place of it."""
        for peer in self._room.peers.values():
            claim = peer.claims.pop(position.order, position)
            if claim != position:
                self._show_evidence(peer, position, now)

    def elsewhere(self, peer: Peer) -> bool:
        """Whether a member has named a place of a higher term than ours as its own."""
        return any(term > self._room.roster.entry.term for term, _ in peer.claims)

    def stop(self, fork: Forked) -> None:
        """Two signed entries for one place: show both to everybody and end."""
        for peer in self._room.peers.values():
            for entry in (fork.ours, fork.theirs):
                self._courier.send(peer, NewEntry(entry))
        self._room.end(Ending.ROOM_FORKED)

    def parted(self, peer: Peer, now: float, about: Member, removal: Signed | None = None) -> bool:
        """A half has removed the host of the other: there are two rooms, and people hear of it.

        ``peer`` brought the news ``about`` somebody there. ``removal`` is our entry that did
        it: it is what the other half hears of it by. False within the pause.
        """
        if now - peer.warned_at < WARNING_PAUSE:
            return False
        peer.warned_at = now
        self._room.tell(Warned("roster-differs", about))
        if removal is not None:
            self._courier.send(peer, NewEntry(removal.write_fields()))
        return True

    def _show_evidence(self, peer: Peer, position: Position, now: float) -> None:
        if now - peer.warned_at < WARNING_PAUSE:
            return
        peer.warned_at = now
        evidence = self._room.roster.evidence(position)
        self._courier.send(peer, NewEntry(evidence.write_fields()))
        self._room.tell(Warned("roster-differs", peer.number))
