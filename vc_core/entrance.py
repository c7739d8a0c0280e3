"""The joiner's way in: knock, prove the code, be welcomed.

Rule: it tries once. A wrong code, a silent host or a refusal is the end of this
      entrance; whoever typed the code decides about another try.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from vc_core.errors import Ending, RemoteProtocolError
from vc_core.ids import ExchangeId, Rng
from vc_core.invite import Invitation
from vc_core.join import (
    JoinerExchange,
    Kem,
    Met,
    NotTheHost,
    OtherVersion,
    Password,
    WrongCode,
)
from vc_core.keys import Identity
from vc_core.machine import Table, step
from vc_core.messages import JOIN, Accept, Answer, Denial, Denied, Form, Letter
from vc_core.record import record
from vc_core.signals import Closed, Knock, Opened, Post, Posted, Refusal, Refused
from vc_core.wire import Record

# Specification
PATIENCE = 45.0  # s for the whole way in; a wrong code is answered after up to 30
ANSWER = 12.0  # s for the host's first word, which no host delays: it ends an exchange after 10
WAITING = 30.0  # s for which a server that has no place now is asked again
PAUSE = 1.0  # s between two knocks, and up to as much more by chance

REFUSALS = {
    Refusal.NO_SUCH_NAMEPLATE: Ending.CODE_WRONG,
    Refusal.EXPIRED: Ending.CODE_EXPIRED,
    Refusal.USED: Ending.CODE_USED,
    Refusal.BURNED: Ending.TOO_MANY_TRIES,
    Refusal.TOO_FAST: Ending.TOO_MANY_TRIES,
    Refusal.FULL: Ending.NO_SIGNALING,
    Refusal.HOST_AWAY: Ending.HOST_LOST,
    Refusal.WITHDRAWN: Ending.CODE_WITHDRAWN,
}
PASSING = (Refusal.TOO_FAST, Refusal.FULL)
"""Refusals of a moment: many may come at once, and behind one address."""
DENIALS = {
    Denial.WRONG_CODE: Ending.CODE_WRONG,
    Denial.USED: Ending.CODE_USED,
    Denial.TOO_MANY_TRIES: Ending.TOO_MANY_TRIES,
    Denial.LOCKED: Ending.ROOM_LOCKED,
    Denial.FULL: Ending.ROOM_FULL,
    Denial.BANNED: Ending.BANNED,
    Denial.VERSION: Ending.OTHER_VERSION,
    Denial.TOO_SLOW: Ending.HOST_LOST,
}


class State(Enum):
    """How far the joiner has come."""

    OUTSIDE = "nothing was sent"
    KNOCKING = "the server looks for the host"
    WAITING = "server or host have no place now; another knock follows"
    PROVING = "the exchange of five messages runs"
    PROVEN = "both know each other; the host's first letter is awaited"
    INSIDE = "the host has let us in"


@record
class Knocked:
    """The knock was sent."""


@record
class TurnedAway:
    """Too many came at once."""


@record
class Heard:
    """The server opened an exchange with the host."""


@record
class Proved:
    """Message 5 was sent."""


@record
class Welcomed:
    """The host's letter came."""


MOVES: Table[State] = {
    State.OUTSIDE: {Knocked: State.KNOCKING},
    State.KNOCKING: {Heard: State.PROVING, TurnedAway: State.WAITING},
    State.WAITING: {Knocked: State.KNOCKING},
    State.PROVING: {Proved: State.PROVEN, TurnedAway: State.WAITING},
    State.PROVEN: {Welcomed: State.INSIDE},
    State.INSIDE: {},
}


class Entrance:
    """One try with one code. Signals wait in ``signals``."""

    def __init__(
        self, invitation: Invitation, identity: Identity, kem: Kem, rng: Rng, now: float
    ) -> None:
        self.state = State.OUTSIDE
        self.exchange: ExchangeId | None = None
        self.ending: Ending | None = None
        """Why this entrance is closed."""
        self.signals: deque[Record] = deque()
        self._invitation = invitation
        self._identity = identity
        self._kem = kem
        self._rng = rng
        self._deadline = now + PATIENCE
        self._answer_by = float("inf")
        """When the host must have said something: the server may hold it for alive for long."""
        self._insists_until = now + WAITING
        self._knock_at = now
        self._handshake: JoinerExchange | None = None

    def knock(self) -> None:
        """Begin; the signaling server must be connected."""
        self.state = step(MOVES, self.state, Knocked())
        self.signals.append(Knock(self._invitation.nameplate))

    def welcomed(self) -> None:
        """The host's letter was good."""
        self.state = step(MOVES, self.state, Welcomed())

    def receive(self, signal: Record, now: float) -> Met | Letter | None:
        """Take one signal; a bad one closes this entrance with an ``ending``."""
        if self.ending is not None:
            return None
        if self.state is State.INSIDE:
            return self._after(signal)
        try:
            return self._take(signal, now)
        except WrongCode:
            self.ending = Ending.VERIFICATION_FAILED
        except NotTheHost:
            self.ending = Ending.NOT_THE_HOST
        except OtherVersion:
            self.ending = Ending.OTHER_VERSION
        except RemoteProtocolError:
            self.ending = Ending.VERIFICATION_FAILED
        return None

    def _after(self, signal: Record) -> Letter | None:
        """Inside, the exchange carries letters until it is closed; nothing else counts."""
        if isinstance(signal, Closed) and signal.exchange == self.exchange:
            self.exchange = None
        elif isinstance(signal, Posted) and signal.exchange == self.exchange:
            message = JOIN.read(signal.body)
            return message if isinstance(message, Letter) else None
        return None

    def _take(self, signal: Record, now: float) -> Met | Letter | None:
        if isinstance(signal, Refused) and self.state is State.KNOCKING:
            self._refused(signal.reason, now)
        elif isinstance(signal, Opened) and self.state is State.KNOCKING:
            self.state = step(MOVES, self.state, Heard())
            self.exchange, self._answer_by = ExchangeId(signal.exchange), now + ANSWER
            self._ask(signal.mailbox)
        elif isinstance(signal, Closed) and signal.exchange == self.exchange:
            self.ending = Ending.HOST_LOST
        elif isinstance(signal, Posted) and signal.exchange == self.exchange:
            return self._read(signal.body, now)
        return None

    def _refused(self, reason: int, now: float) -> None:
        if reason in PASSING and now < self._insists_until:
            self._wait(now)
            return
        known = reason in set(Refusal)
        self.ending = REFUSALS.get(Refusal(reason)) if known else None
        self.ending = self.ending or Ending.FAILED

    def _wait(self, now: float) -> None:
        self.state = step(MOVES, self.state, TurnedAway())
        self.exchange = self._handshake = None
        self._knock_at = now + PAUSE * (1 + self._rng(1)[0] / 255)

    def _ask(self, mailbox: bytes) -> None:
        invitation = self._invitation
        form = Form.LINK if invitation.fingerprint else Form.SPOKEN
        self._handshake = JoinerExchange(
            Password(form, invitation.password, invitation.nameplate),
            mailbox,
            self._identity,
            self._kem,
            self._rng,
            fingerprint=invitation.fingerprint,
        )
        self._post(self._handshake.ask)

    def _read(self, body: bytes, now: float) -> Met | Letter | None:
        message = JOIN.read(body)
        handshake, self._answer_by = self._handshake, float("inf")
        if isinstance(message, Letter):
            return message
        if isinstance(message, Denied) and self._passing(message, now):
            self._wait(now)
        elif isinstance(message, Denied):
            known = message.reason in set(Denial)
            self.ending = DENIALS.get(Denial(message.reason)) if known else None
            self.ending = self.ending or Ending.FAILED
        elif self.state is not State.PROVING or handshake is None:
            return None
        elif isinstance(message, Answer):
            self._post(handshake.receive_answer(message))
        elif isinstance(message, Accept):
            finish, met = handshake.receive_accept(message)
            self._post(finish)
            self.state = step(MOVES, self.state, Proved())
            return met
        return None

    def _passing(self, denied: Denied, now: float) -> bool:
        """Too many prove themselves to the host just now; of a burnt code the server tells.

        With our proof a guess of whoever answered can be checked: after it there is no other try.
        """
        unproven = self._handshake is not None and not self._handshake.proven
        early = self.state is State.PROVING and unproven and now < self._insists_until
        return early and denied.reason == Denial.TOO_MANY_TRIES

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        if self.state is State.WAITING:
            return self._knock_at
        return None if self.state is State.INSIDE else min(self._deadline, self._answer_by)

    def handle_timer(self, now: float) -> None:
        """Knock again; give up when it takes too long."""
        if self.state is State.WAITING and now >= self._knock_at:
            self.knock()
        if self.state is not State.INSIDE and now >= min(self._deadline, self._answer_by):
            self.ending = self.ending or Ending.HOST_LOST

    def _post(self, message: Record) -> None:
        assert self.exchange is not None
        self.signals.append(Post(self.exchange, JOIN.write(message)))
