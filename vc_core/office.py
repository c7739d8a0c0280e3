"""The office: what a host keeps besides the roster, so that people can come in.

Desk        the open code, and who holds it
Reception   lets in whoever has proven it
Server      where both are found

Who founds the room has them from the start. Who takes over asks the signaling
server in use for a code; if there is none, or it does not answer, it keeps one of
its own (``OpenServer``) and tells the others where that is (``Estate``).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from vc_core.admission import Desk
from vc_core.commands import OpenServer, SendSignal
from vc_core.entry import Action
from vc_core.events import Warned
from vc_core.ids import Rng
from vc_core.inside import Inside
from vc_core.join import Kem
from vc_core.keys import Identity
from vc_core.machine import Table, step
from vc_core.peer import Peer
from vc_core.reception import Reception
from vc_core.record import record
from vc_core.wire import Record

# Specification
ANSWER = 2.0  # s until a server that gives a new host no code counts as dead
GRACE = 1.5  # s that a server which closed may take to come back

MakeDesk = Callable[[Identity, Kem, Rng], Desk]
"""A desk for the server in use at that moment."""


class State(Enum):
    """Whether people can come in by us."""

    CLOSED = "somebody else is the host"
    SEEKING = "we are the host, and no server answers yet"
    OPEN = "there is a code, or the person can ask for one"


@record
class Elected:
    """We are the host."""


@record
class Found:
    """A server answers, and has been asked for a code."""


@record
class Lost:
    """The server answers no more."""


@record
class Resigned:
    """Somebody else is the host."""


MOVES: Table[State] = {
    State.CLOSED: {Elected: State.SEEKING},
    State.SEEKING: {Found: State.OPEN, Lost: State.SEEKING, Resigned: State.CLOSED},
    State.OPEN: {Found: State.OPEN, Lost: State.SEEKING, Resigned: State.CLOSED},
}


class Office:
    """Of one member; empty as long as another one hosts."""

    def __init__(self, inside: Inside, make_desk: MakeDesk | None, *, founder: bool) -> None:
        """``make_desk``: without it we host, and take nobody in."""
        self.state = State.CLOSED
        self.desk: Desk | None = None
        self.reception: Reception | None = None
        self._inside = inside
        self._room = inside.room
        self._make_desk = make_desk
        self._waits = founder
        """Whether a server that is lost is waited for: it is ours, or everybody's."""
        self._look_at: float | None = None
        """When to see whether the server has answered."""

    # What follows from the roster

    def look(self, now: float) -> None:
        """Open when we host, close when we do not."""
        hosting = self._room.hosting and not self._room.ended
        if hosting and self.state is State.CLOSED:
            self.state = step(MOVES, self.state, Elected())
            if self._inside.mailboxes.connected and not self._room.server_lost:
                self._furnish(now)
            else:
                self._seek()
        elif not hosting and self.state is not State.CLOSED:
            self.state = step(MOVES, self.state, Resigned())
            self._clear()
            self._waits, self._look_at = False, None

    def _furnish(self, now: float) -> None:
        """A desk at the server in use, and a code."""
        self._clear()
        self.state = step(MOVES, self.state, Found())
        if self._make_desk is None:
            return
        room, inside = self._room, self._inside
        self.desk = self._make_desk(room.identity, room.kem, room.rng)
        self.reception = Reception(
            room,
            inside.courier,
            self.desk,
            inside.registrar,
            inside.keyring,
            inside.forwarding,
        )
        self.desk.invite(now)
        self._look_at = None if self._waits else now + ANSWER

    def _clear(self) -> None:
        """No more guests by this desk, and no more letters through its exchanges."""
        if self.desk is not None and self.reception is not None:
            self.desk.shut()
            self.reception.close()
            self.settle()
        self.desk = self.reception = None

    def _seek(self) -> None:
        self.state = step(MOVES, self.state, Lost())
        self._look_at = None
        if not self._waits:
            self._room.ask(OpenServer())

    # World in

    def streaming(self, peer: Peer, now: float) -> None:
        """Nothing more goes through the exchange; what is under way still comes."""
        if peer.exchange is not None and self.desk is not None:
            self.desk.finish(peer.exchange, now)
        peer.exchange = None

    def server_lost(self, now: float) -> None:
        """The signaling server is gone."""
        if self.state is State.OPEN and not self._waits:
            self._look_at = now + GRACE

    def server_back(self, now: float) -> None:
        """The server in use is there again, and knows nothing of us."""
        if self.state is State.SEEKING or self._elsewhere():
            self._furnish(now)
        elif self.desk is not None:
            self.desk.reattach(now)

    def _elsewhere(self) -> bool:
        """Whether another server is in use than the one that the open code names."""
        room, desk = self._room, self.desk
        if desk is None or self._waits or self._make_desk is None:
            return False
        return self._make_desk(room.identity, room.kem, room.rng).server != desk.server

    def server_opened(self, url: str | None, now: float) -> None:
        """We keep a server of our own now; ``url`` is how others reach it. None: we cannot."""
        if url is None:
            self._room.tell(Warned("no-server"))
        elif self.state is not State.CLOSED:
            self._waits = True
            self._room.server = url
            self._inside.mailboxes.back()
            self._furnish(now)
            self._inside.legacy.share()
            self.settle()

    def server_moved(self, url: str) -> None:
        """The server that we keep is reached at another address."""
        if self.state is State.CLOSED or not self._room.server:
            return
        self._room.server = url
        self._inside.legacy.share()
        if self.desk is not None and self._make_desk is not None:
            room = self._room
            self.desk.move(self._make_desk(room.identity, room.kem, room.rng))
            self.settle()

    # Verbs

    def kick(self, peer: Peer, now: float) -> None:
        """Remove a member; its key comes in no more, and the open code ends."""
        self._room.ban(peer.seat.sign)
        if self.desk is not None:
            self.desk.ban(peer.seat.sign)
        self._inside.registrar.extend(Action.KICK, peer.number, now)
        self._inside.forwarding.renew(peer.number, now)
        self._inside.legacy.share()

    def lock(self, on: bool, now: float) -> None:
        """Take nobody in any more, or again."""
        if self._room.roster.entry.locked is not on:
            action = Action.LOCK if on else Action.UNLOCK
            self._inside.registrar.extend(action, self._room.number, now)

    def invite(self, now: float) -> None:
        """A new code; if need be, by a server that is looked for once more."""
        if self.desk is not None:
            self.desk.invite(now)
        else:
            self._room.ask(OpenServer())

    def shut(self) -> None:
        """Nobody comes in until there is a new code."""
        if self.desk is not None:
            self.desk.shut()

    # Time and what waits

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        desk = self.desk.next_timer() if self.desk is not None else None
        return min((time for time in (desk, self._look_at) if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Everything that is due."""
        if self.desk is not None:
            self.desk.handle_timer(now)
        if self._look_at is not None and now >= self._look_at:
            self._look_at = None
            connected = self._inside.mailboxes.connected
            if not connected or (self.desk is not None and self.desk.code is None):
                self._seek()

    def settle(self) -> None:
        """Hand over what the desk has to say, and forget ended exchanges."""
        if self.desk is None or self.reception is None:
            return
        self.reception.sweep()
        while self.desk.signals:
            self._to_server(self.desk.signals.popleft())
        while self.desk.events:
            self._room.tell(self.desk.events.popleft())

    def _to_server(self, signal: Record) -> None:
        if self._inside.mailboxes.connected:
            self._room.ask(SendSignal(signal))
