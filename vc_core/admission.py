"""The host's desk: the open invitation and everybody who knocks with it.

One invitation is open at a time. It has a nameplate at the signaling server, a
spoken form and a link form, a number of guests it still admits, and at most ten
tries in all: failures and open exchanges together never exceed that. A wrong
code is answered after 1 s, then 2, 4 … 30 s, and each is shown to the host. While
all tries are taken, one that has gone on for 3 s without a proof gives way to the
next, so that nobody can keep the door shut by proving nothing. What the server
says without having been asked changes nothing.

Rule: this desk decides who holds the code. Who may come in (ban, lock, number of
      guests) is asked of it afterwards, by ``verdict``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from vc_core.errors import RemoteProtocolError
from vc_core.events import CodeEnded, CodeFailed, CodeReady
from vc_core.ids import ExchangeId, Rng
from vc_core.invite import Invitation, at_server, make_link, make_spoken, write_invitation
from vc_core.join import HostExchange, Kem, Met, OtherVersion, Password, WrongCode
from vc_core.keys import Identity
from vc_core.messages import JOIN, Ask, Confirm, Denial, Denied, Finish, Form, Letter
from vc_core.record import record
from vc_core.signals import (
    TOKEN_SIZE,
    Allocate,
    Allocated,
    Close,
    Closed,
    Ended,
    Free,
    Opened,
    Post,
    Posted,
    Refusal,
    Refused,
    Release,
)
from vc_core.wire import Record

# Specification
MAX_TRIES = 10
EXCHANGE_LIFE = 10.0  # s until a joiner must have proven itself
PROMPT = 3.0  # s after which it gives way to the next, while all tries are taken
CODE_LIFE = 600.0  # s
DEFAULT_GUESTS = 8
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0  # s before a wrong code is answered

# Implementation
LETTER_LIFE = 60.0  # s that an exchange carries letters after the handshake
UNDER_WAY = 5.0  # s that a letter takes at most
MAX_EXCHANGES = 64  # exchanges in all, those that carry letters included
ASK_AGAIN = 10.0  # s until a server that could not give a nameplate is asked again


@dataclass
class Code:
    """One invitation."""

    nameplate: str
    spoken: Invitation
    link: Invitation
    guests_left: int
    expires_at: float
    failures: int = 0

    def password(self, form: Form) -> Password:
        """What CPace takes for one of the two forms."""
        invitation = self.spoken if form is Form.SPOKEN else self.link
        return Password(form, invitation.password, self.nameplate)


@dataclass
class Knocking:
    """One exchange."""

    exchange: ExchangeId
    handshake: HostExchange
    code: Code
    ends_at: float
    deny_at: float | None = None
    met: bool = False

    @property
    def proving(self) -> bool:
        """Whether it may still turn out to be a wrong code."""
        return not self.met and self.deny_at is None


@record
class Proven:
    """Somebody holds the code and has proven an identity."""

    exchange: ExchangeId
    met: Met


@dataclass
class Desk:
    """The host's desk. Signals and events wait in ``signals`` and ``events``."""

    identity: Identity
    kem: Kem
    rng: Rng
    server: str
    """The URL that code and link name."""
    relays: tuple[str, ...] = ()
    guests: int = DEFAULT_GUESTS
    life: float = CODE_LIFE
    signals: deque[Record] = field(default_factory=deque)
    events: deque[CodeReady | CodeFailed | CodeEnded] = field(default_factory=deque)
    code: Code | None = None
    _token: bytes = b""
    _asked: bool = False
    """Whether a nameplate was asked for and is not here yet."""
    _ask_at: float | None = None
    """When to ask again after a refusal."""
    _knocking: dict[ExchangeId, Knocking] = field(default_factory=dict)
    _banned: set[bytes] = field(default_factory=set)

    # Verbs

    def invite(self, now: float) -> None:
        """Ask for a fresh nameplate; an older invitation ends."""
        self._end_code("withdrawn", Release.WITHDRAWN)
        self._token = self.rng(TOKEN_SIZE)
        self._ask(now)

    def reattach(self, now: float) -> None:
        """The signaling server is back: have the same nameplate again."""
        self._knocking.clear()
        if self.code is not None or self._asked or self._ask_at is not None:
            self._ask(now)

    def move(self, there: Desk) -> None:
        """The server is where a desk made now says that it is: so does the open code."""
        if there.server == self.server:
            return
        self.server = there.server
        code = self.code
        if code is not None:
            code.spoken = at_server(code.spoken, self.server)
            code.link = at_server(code.link, self.server)
            self.events.append(self.code_ready(code))

    def _ask(self, now: float) -> None:
        self._asked, self._ask_at = True, None
        code = self.code
        wanted, life = ("", self.life) if code is None else (code.nameplate, code.expires_at - now)
        self.signals.append(Allocate(wanted, self._token, max(1, int(life))))

    def ban(self, sign: bytes) -> None:
        """Never admit this key again, and end every open code."""
        self._banned.add(sign)
        self.shut()

    def shut(self) -> None:
        """Nobody comes in until there is a new invitation."""
        self._asked, self._ask_at = False, None
        self._end_code("withdrawn", Release.WITHDRAWN)

    def verdict(self, exchange: ExchangeId, sign: bytes) -> Denial | None:
        """Why a proven identity may not come in, as far as this desk knows."""
        if sign in self._banned:
            return Denial.BANNED
        knocking = self._knocking.get(exchange)
        if self.code is None or knocking is None or knocking.code is not self.code:
            return Denial.USED  # proven with a code that has ended since
        return None

    def holds(self, exchange: ExchangeId) -> bool:
        """Whether an exchange is open."""
        return exchange in self._knocking

    def admitted(self) -> None:
        """One guest came in."""
        if self.code is not None:
            self.code.guests_left -= 1
            if self.code.guests_left <= 0:
                self._end_code("used", Release.USED)

    def finish(self, exchange: ExchangeId, now: float) -> None:
        """A road stands: the exchange is kept for what is under way only."""
        knocking = self._knocking.get(exchange)
        if knocking is not None:
            knocking.ends_at = min(knocking.ends_at, now + UNDER_WAY)

    def close(self, exchange: ExchangeId) -> None:
        """An exchange is not needed any more."""
        if self._knocking.pop(exchange, None) is not None:
            self.signals.append(Close(exchange))

    # World in

    def receive(self, signal: Record, now: float) -> Proven | tuple[ExchangeId, Letter] | None:
        """Take one signal of the server."""
        if isinstance(signal, Allocated):
            self._allocated(signal, now)
        elif isinstance(signal, Opened):
            self._opened(signal, now)
        elif isinstance(signal, Posted):
            return self._posted(signal, now)
        elif isinstance(signal, Closed):
            self._knocking.pop(ExchangeId(signal.exchange), None)
        elif isinstance(signal, Ended):
            if self.code is not None and signal.nameplate == self.code.nameplate:
                self._expire()
        elif isinstance(signal, Refused) and self._asked:
            self._refused(signal, now)
        return None

    def _refused(self, signal: Refused, now: float) -> None:
        """No nameplate: ask again later, or for another one if ours is gone."""
        self._asked = False
        if self.code is None or signal.reason in (Refusal.TOO_FAST, Refusal.FULL):
            self._ask_at = now + ASK_AGAIN
        else:
            self._expire()
            self.invite(now)

    def _allocated(self, signal: Allocated, now: float) -> None:
        if not self._asked:
            return
        self._asked = False
        if self.code is not None:
            if signal.nameplate != self.code.nameplate:
                self._expire()
            return
        fingerprint = self.identity.public.fingerprint
        self.code = Code(
            nameplate=signal.nameplate,
            spoken=make_spoken(self.rng, signal.nameplate, self.server),
            link=make_link(self.rng, signal.nameplate, fingerprint, (self.server,), self.relays),
            guests_left=self.guests,
            expires_at=now + min(self.life, signal.life),
        )
        self.events.append(self.code_ready(self.code))

    @staticmethod
    def code_ready(code: Code) -> CodeReady:
        """The event that hands an invitation out."""
        return CodeReady(
            write_invitation(code.spoken),
            write_invitation(code.link),
            code.guests_left,
            code.expires_at,
        )

    def _opened(self, signal: Opened, now: float) -> None:
        exchange = ExchangeId(signal.exchange)
        code = self.code
        if exchange in self._knocking:
            return
        if code is None or signal.nameplate != code.nameplate:
            self._deny(exchange, Denial.USED)
            return
        if len(self._knocking) >= MAX_EXCHANGES or not self._has_a_try(code, now):
            self._deny(exchange, Denial.TOO_MANY_TRIES)
            return
        handshake = HostExchange(signal.mailbox, self.identity, self.kem, self.rng)
        self._knocking[exchange] = Knocking(exchange, handshake, code, now + EXCHANGE_LIFE)

    def _has_a_try(self, code: Code, now: float) -> bool:
        """Whether one more may try; the oldest that is slow gives way for it."""
        proving = [one for one in self._knocking.values() if one.code is code and one.proving]
        if code.failures + len(proving) < MAX_TRIES:
            return True
        if not proving or now < proving[0].ends_at - EXCHANGE_LIFE + PROMPT:
            return False
        self._deny(proving[0].exchange, Denial.TOO_SLOW)
        return True

    def _posted(self, signal: Posted, now: float) -> Proven | tuple[ExchangeId, Letter] | None:
        knocking = self._knocking.get(ExchangeId(signal.exchange))
        if knocking is None or knocking.deny_at is not None:
            return None
        try:
            message = JOIN.read(signal.body)
            if knocking.met:
                return (knocking.exchange, message) if isinstance(message, Letter) else None
            return self._shake(knocking, message, now)
        except WrongCode:
            self._failed(knocking, now)
        except OtherVersion:
            self._deny(knocking.exchange, Denial.VERSION)
        except RemoteProtocolError:
            self._deny(knocking.exchange, Denial.MALFORMED)
        return None

    def _shake(self, knocking: Knocking, message: Record, now: float) -> Proven | None:
        handshake = knocking.handshake
        if isinstance(message, Ask):
            if message.form not in (Form.SPOKEN, Form.LINK):
                raise RemoteProtocolError("an unknown form of invitation")
            password = knocking.code.password(Form(message.form))
            self._post(knocking, handshake.receive_ask(message, password))
        elif isinstance(message, Confirm):
            self._post(knocking, handshake.receive_confirm(message))
        elif isinstance(message, Finish):
            met = handshake.receive_finish(message)
            knocking.met, knocking.ends_at = True, now + LETTER_LIFE
            return Proven(knocking.exchange, met)
        else:
            raise RemoteProtocolError("a message that does not belong here")
        return None

    def _failed(self, knocking: Knocking, now: float) -> None:
        code = knocking.code
        code.failures += 1
        delay = min(FIRST_DELAY * 2 ** (code.failures - 1), LONGEST_DELAY)
        knocking.deny_at = knocking.ends_at = now + delay
        left = max(0, MAX_TRIES - code.failures)
        self.events.append(CodeFailed(left))
        if left == 0 and code is self.code:
            self._end_code("burned", Release.BURNED)

    # Time

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        times = [knocking.ends_at for knocking in self._knocking.values()]
        if self.code is not None:
            times.append(self.code.expires_at)
        if self._ask_at is not None:
            times.append(self._ask_at)
        return min(times, default=None)

    def handle_timer(self, now: float) -> None:
        """End what has lived long enough."""
        for knocking in list(self._knocking.values()):
            if now >= knocking.ends_at:
                if knocking.met:
                    self.close(knocking.exchange)
                else:
                    wrong = knocking.deny_at is not None
                    reason = Denial.WRONG_CODE if wrong else Denial.TOO_SLOW
                    self._deny(knocking.exchange, reason)
        if self._ask_at is not None and now >= self._ask_at:
            self._ask(now)
        if self.code is not None and now >= self.code.expires_at:
            self._expire()

    # Inside

    def _post(self, knocking: Knocking, message: Record) -> None:
        self.signals.append(Post(knocking.exchange, JOIN.write(message)))

    def _deny(self, exchange: ExchangeId, reason: Denial) -> None:
        self._knocking.pop(exchange, None)
        self.signals.append(Post(exchange, JOIN.write(Denied(reason))))
        self.signals.append(Close(exchange))

    def _expire(self) -> None:
        self.code = None
        self.events.append(CodeEnded("expired"))

    def _end_code(self, word: str, release: Release) -> None:
        if self.code is not None:
            self.signals.append(Free(self.code.nameplate, release))
            self.code = None
            self.events.append(CodeEnded(word))
