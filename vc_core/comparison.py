"""Comparison: a room code for each roster, and who did not help to make it.

A round is n² messages, twice. Where many come one after another it waits until the
roster has rested for a while, so that all of them cost one round.

Commitments and nonces may overtake the roster entry that they belong to; the
newest few of each member are kept until their roster is ours.
"""

from __future__ import annotations

from contextlib import suppress

from vc_core.courier import Courier
from vc_core.errors import RemoteProtocolError
from vc_core.events import RoomCodeShown, Warned
from vc_core.ids import Member
from vc_core.messages import Commit, Reveal
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.roomcode import PATIENCE, RoomCode

# Specification
SMALL = 8  # members up to which a round begins at once
REST = 0.1  # s for each further one that the roster must have rested before

# Implementation
KEPT_EARLY = 4  # rosters ahead of ours for which one member's messages are kept


class Comparison:
    """The rounds of one member."""

    def __init__(self, room: Room, courier: Courier) -> None:
        self._room = room
        self._courier = courier
        self._round: RoomCode | None = None
        self._begin_at = float("inf")
        self._early: dict[Member, dict[bytes, list[Commit | Reveal]]] = {}

    @property
    def words(self) -> tuple[str, ...] | None:
        """The room code of this roster, once everybody has revealed."""
        return self._round.words if self._round is not None else None

    def begin(self, now: float) -> None:
        """A round for the newest roster, unless it runs already; in a large room, soon."""
        roster = self._room.roster
        if self._round is not None and self._round.roster == roster.hash:
            return
        self._round = None
        self._begin_at = now + REST * max(0, len(roster.present()) - SMALL)
        if self._begin_at <= now:
            self._begin(now)

    def _begin(self, now: float) -> None:
        room = self._room
        self._begin_at = float("inf")
        keys = {seat.number: seat.sign for seat in room.roster.present()}
        if room.number in keys and len(keys) > 1:
            self._round = RoomCode(room.roster.hash, room.number, keys, room.rng, now)
            self._courier.send_all(self._round.commit)
            for peer in list(room.present()):
                self._take_early(peer)

    def _take_early(self, peer: Peer) -> None:
        kept = self._early.get(peer.number, {}).pop(self._room.roster.hash, [])
        for message in kept:
            with suppress(RemoteProtocolError):  # it counts as not sent
                self.take(peer, message)

    def take(self, peer: Peer, message: Commit | Reveal) -> None:
        """A commitment or a nonce; ``RemoteProtocolError`` if it contradicts an earlier one."""
        code = self._round
        if code is None or message.roster != code.roster:
            self._keep(peer.number, message)
        elif isinstance(message, Reveal):
            before = code.words
            words = code.revealed(peer.number, message)
            if words is not None and before is None:
                self._room.tell(RoomCodeShown(words))
        elif code.committed(peer.number, message) and code.reveal is not None:
            self._courier.send_all(code.reveal)

    def _keep(self, member: Member, message: Commit | Reveal) -> None:
        kept = self._early.setdefault(member, {})
        of_roster = kept.setdefault(message.roster, [])
        if all(type(message) is not type(other) for other in of_roster):
            of_roster.append(message)
        while len(kept) > KEPT_EARLY:
            del kept[next(iter(kept))]

    def opening(self, peer: Peer) -> None:
        """What a fresh control stream repeats."""
        if self._round is not None:
            self._courier.send(peer, self._round.commit)
            if self._round.reveal is not None:
                self._courier.send(peer, self._round.reveal)

    def gone(self, member: Member) -> None:
        """A member stands in the roster no more."""
        self._early.pop(member, None)

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        code = self._round
        if code is None:
            return self._begin_at
        return min((at for at, _ in self._awaited(code)), default=None)

    def _awaited(self, code: RoomCode) -> list[tuple[float, Member]]:
        """When to name whom: not before its control stream could have brought its part."""
        peers = self._room.peers
        return [
            (max(code.begun, peers[member].steady_since) + PATIENCE, member)
            for member in code.missing()
            if member not in code.named and member in peers and peers[member].streaming
        ]

    def handle_timer(self, now: float) -> None:
        """Begin what is due; name those who did not reveal in time, once."""
        if now >= self._begin_at:
            self._begin(now)
        if (code := self._round) is not None:
            for due, member in self._awaited(code):
                if now >= due:
                    code.named.add(member)
                    self._room.tell(Warned("room-code-missing", member))
