"""Succession: a room survives its host.

    3 s of silence          the host is missed: media goes on under the keys that are told,
                            and no new key goes out to anybody
    8 s                     a deputy asks the others whether they hear the host
    10 s + 3 s * number     the deputy takes over, unless somebody does hear it
    30 s                    a deputy who hears nobody at all takes over as well: until
                            then it is more likely that it is cut off itself

Rule 1: silence is no fresh heartbeat and no sign of life on any road. Time in
        which this process slept does not count.
Rule 2: a host that leaves politely names its successor, who does not wait.
Rule 3: media freezes when the last deputy's time has passed, as without deputies
        after 10 s.
"""

from __future__ import annotations

from enum import Enum

from vc_core.courier import Courier
from vc_core.entry import MAX_DEPUTIES, Action
from vc_core.errors import Ending, LocalProtocolError
from vc_core.events import MemberLeft
from vc_core.forwarding import Forwarding
from vc_core.heartbeat import PULSE_INTERVAL, VANISHED, Heartbeats
from vc_core.ids import Member
from vc_core.machine import Table, step
from vc_core.messages import Bye, Heard, Missed, Standing
from vc_core.peer import LINK_DEATH, Peer
from vc_core.record import record
from vc_core.registrar import Registrar
from vc_core.room import NONCE_LIFE, Room

# Specification
PATIENCE = VANISHED  # s of silence until the first deputy takes over
TURN = 3.0  # s more for each deputy before it
ASKING = 8.0  # s of silence after which the others are asked
RECENT = 5.0  # s: who sent an answered nonce within them does hear the host
ALONE = 30.0  # s of silence until a deputy who hears nobody takes over
SLACK = 2.0  # s that the entry of the last deputy may take to come

# Implementation
ASKING_PAUSE = 1.0  # s between two questions
BELIEVED = 5.0  # s that one answer keeps a deputy from taking over: longer than LINK_DEATH, so that
# who was dropped by those who hear the host does not take them for dead


class State(Enum):
    """Who is the host, for us."""

    FOLLOWING = "the host is heard"
    WAITING = "the host is silent: the deputies take over in their order"
    HOSTING = "we sign the roster"
    YIELDED = "somebody else hosts our room and has not answered us yet"


@record
class Founded:
    """We opened the room."""


@record
class FellSilent:
    """Nothing was heard of the host for 3 s, or it said good-bye."""


@record
class Answered:
    """The host gives signs of life."""


@record
class TookOver:
    """Our TAKEOVER stands in the chain."""


@record
class Followed:
    """The chain that we follow has another host than before."""


MOVES: Table[State] = {
    State.FOLLOWING: {
        Founded: State.HOSTING,
        FellSilent: State.WAITING,
        Followed: State.FOLLOWING,
        TookOver: State.HOSTING,
    },
    State.WAITING: {
        Answered: State.FOLLOWING,
        Followed: State.FOLLOWING,
        TookOver: State.HOSTING,
    },
    State.HOSTING: {Followed: State.YIELDED},
    State.YIELDED: {
        Answered: State.FOLLOWING,
        FellSilent: State.WAITING,
        Followed: State.YIELDED,
        TookOver: State.HOSTING,
    },
}


class Succession:
    """Of one member."""

    def __init__(
        self,
        room: Room,
        courier: Courier,
        registrar: Registrar,
        heartbeats: Heartbeats,
        forwarding: Forwarding,
    ) -> None:
        self.state = State.FOLLOWING
        self._room = room
        self._courier = courier
        self._registrar = registrar
        self._heartbeats = heartbeats
        self._forwarding = forwarding
        self._host = room.roster.host
        self._left_at = float("-inf")
        self._asked_at = float("-inf")
        self._denied_at = float("-inf")
        """When somebody last said that it hears the host."""
        if room.hosting:
            self._move(Founded())

    def _move(self, what: object) -> None:
        self.state = step(MOVES, self.state, what)

    # The host's will

    def name(self, deputies: tuple[Member, ...], now: float) -> None:
        """The host names who takes over, in this order."""
        here = {peer.number for peer in self._room.present()}
        if len(set(deputies)) != len(deputies) or not here.issuperset(deputies):
            raise LocalProtocolError("deputies are different members who are here")
        if len(deputies) > MAX_DEPUTIES:
            raise LocalProtocolError(f"a room has at most {MAX_DEPUTIES} deputies")
        self._registrar.extend(Action.DEPUTIES, self._room.number, now, deputies=deputies)

    def leave(self, now: float) -> None:
        """Say good-bye; if that leaves anybody to talk to, a host's first deputy goes on."""
        room = self._room
        if room.hosting:
            self._hand_over(now)
        for peer in room.peers.values():
            if not self._follows_others(peer):
                last = room.hosting or peer is room.host  # nobody else removes us for it
                (self._courier.part if last else self._courier.send)(peer, Bye())

    def _hand_over(self, now: float) -> None:
        here = {peer.number for peer in self._room.present()}
        deputies = [Member(one) for one in self._room.roster.entry.deputies if one in here]
        if deputies and len(here) > 1:
            self._registrar.extend(Action.HANDOVER, deputies[0], now)

    def _follows_others(self, peer: Peer) -> bool:
        """Whether our good-bye means nothing to a member: it is away, and the room goes on.

        An older host, which does not know yet that it is none, would take us for a guest
        that leaves, and then for one whom its chain has removed.
        """
        room = self._room
        goes_on = not room.hosting or room.roster.entry.successor is not None
        return goes_on and not peer.seat.present and peer is not room.host

    # World in

    def host_left(self, host: Peer, now: float) -> None:
        """The host said good-bye: the room goes on if there is somebody to go on with."""
        room = self._room
        others = any(peer is not host for peer in room.present())
        if not others or not room.roster.entry.deputies:
            room.tell(MemberLeft(host.number, host.name, "left"))
            room.end(Ending.HOST_LEFT)
        else:
            room.host_left, self._left_at = True, now
            self.handle_timer(now)

    def missed(self, peer: Peer, _: Missed, now: float) -> None:
        """A deputy asks whether we hear the host."""
        room = self._room
        if not peer.answers.take(now):
            return
        self._courier.send(peer, Standing(room.roster.position))
        if room.hosting or (room.fresh(now) and now - room.fresh_at < RECENT):
            self._courier.send(peer, Heard())

    def heard(self, peer: Peer, _: Heard, now: float) -> None:
        """A member says that it hears the host."""
        if peer.seat.present and peer is not self._room.host:
            self._denied_at = now

    # Time

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run, beside the beat of the house."""
        room = self._room
        if room.hosting or self.state is not State.WAITING:
            return None
        due = self._heard_at() + self._patience()
        return due if due > self._heartbeats.looked else None

    def handle_timer(self, now: float) -> None:
        """Look after the host, and stand in for it when it is our turn."""
        self._notice()
        room, host = self._room, self._room.host
        if room.hosting or host is None or room.ended:
            return
        if room.roster.entry.successor == room.number:
            self._take_over(now)
            return
        self._registrar.reconsider(now)
        self._notice()
        quiet = now - self._heard_at()
        if room.host_left or quiet >= LINK_DEATH:
            self._wait(quiet, now)
        elif self.state in (State.WAITING, State.YIELDED):
            self._move(Answered())
        self._hold()

    def _notice(self) -> None:
        """Whether the chain has another host since we last looked."""
        room = self._room
        if room.roster.host != self._host:
            self._host = room.roster.host
            self._forwarding.host_changed()
            self._denied_at = float("-inf")
            self._move(TookOver() if room.hosting else Followed())

    def _heard_at(self) -> float:
        """The last sign of life of the host; of one that said good-bye, long ago."""
        room, host = self._room, self._room.host
        if room.host_left or host is None:
            return self._left_at - PATIENCE
        awake = self._heartbeats.awake_since
        return max(room.fresh_at, host.last_life, room.host_since, awake)

    def _wait(self, quiet: float, now: float) -> None:
        if self.state is not State.WAITING:
            self._denied_at = float("-inf")
            self._move(FellSilent())
        turn = self._turn()
        if turn is None:
            return
        if quiet >= ASKING and now - self._asked_at >= ASKING_PAUSE:
            self._asked_at = now
            for peer in self._others():
                self._courier.send(peer, Missed())
        if quiet >= PATIENCE + TURN * turn and self._may_take_over(quiet, now):
            self._take_over(now)

    def _turn(self) -> int | None:
        """Our number among the deputies, if we are one and here."""
        entry = self._room.roster.entry
        seat = entry.seat(self._room.number)
        here = seat is not None and seat.present and self._room.number in entry.deputies
        return entry.deputies.index(self._room.number) if here else None

    def _patience(self) -> float:
        turn = self._turn()
        return PATIENCE + TURN * turn if turn is not None else float("inf")

    def _others(self) -> list[Peer]:
        return [peer for peer in self._room.present() if peer is not self._room.host]

    def _may_take_over(self, quiet: float, now: float) -> bool:
        if now - self._denied_at < BELIEVED:
            return False
        others = self._others()
        if not others or any(now - peer.last_life < LINK_DEATH for peer in others):
            return True
        return quiet >= ALONE and self._denied_at == float("-inf")

    def _take_over(self, now: float) -> None:
        self._registrar.extend(Action.TAKEOVER, Member(self._room.number), now)
        self._notice()

    def _hold(self) -> None:
        """Until when media goes on without a fresh heartbeat."""
        room = self._room
        entry = room.roster.entry
        until = room.host_since + SLACK  # the new host answers our first pulse by then
        if self.state is State.WAITING and entry.deputies:
            turns = TURN * (len(entry.deputies) - 1)
            begun = self._left_at if room.host_left else room.fresh_at + PULSE_INTERVAL + PATIENCE
            until = max(until, begun + turns + SLACK)
        elif room.host_left:
            until = max(until, self._left_at + SLACK)
        room.held_until = until


def longest_hold(deputies: int) -> float:
    """Seconds after an answered nonce for which media goes on without another."""
    if not deputies:
        return NONCE_LIFE
    return PULSE_INTERVAL + PATIENCE + TURN * (deputies - 1) + SLACK
