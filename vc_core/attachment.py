"""An attachment: our side of a slot at one forwarder.

    HELLO  ->   on every channel that is ready (UDP, WebSocket, a direct pair to the host)
    COOKIE <-   the first that answers, or a better one later
    CLAIM  ->   grant and proof
    ATTACHED <- the slot is ours, on that channel

A channel is a number: the lower, the better. The machine is told which channels
can carry and what comes by them; it answers with datagrams for channels.

Rule 1: a slot has one channel. A better one that answers takes it over by a new
        claim; what is under way on the old one still counts.
Rule 2: a COOKIE while we are attached means that the forwarder does not know us
        (our address has changed, it was restarted): we claim again at once.
Rule 3: who does not answer is asked ever more seldom.
Rule 4: a HELLO is large and goes to addresses that somebody else named: no answer brings
        another one at once.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from vc_core import envelope, grant
from vc_core.envelope import Flags, Reason, Want
from vc_core.errors import RemoteProtocolError
from vc_core.grant import Grant
from vc_core.machine import Table, step
from vc_core.record import record

# Specification
PING_INTERVAL = 5.0  # s between two questions whether the forwarder lives
PING_PATIENCE = 0.5  # s that an answer may take before the question is repeated
PINGS_LOST = 4  # in a row until the slot counts as lost

# Implementation
FIRST_PAUSE = 0.3  # s after the first HELLO
LONGEST_PAUSE = 15.0  # s after many
CLAIM_PATIENCE = 0.4  # s that an answer to a claim may take
CLAIMS = 4  # of one cookie
BETTER_PAUSE = 10.0  # s between two questions on better channels than the one in use
REFUSED_PAUSE = 20.0  # s after all grants were refused
RENEW_PAUSE = 2.0  # s, if fresh ones have come
_U32 = 1 << 32


class State(Enum):
    """What we know of our slot."""

    SEEKING = "the forwarder is asked for a cookie"
    CLAIMING = "a cookie came, the slot is claimed"
    ATTACHED = "the slot is ours"
    REFUSED = "no grant was good enough; new ones may be"


@record
class Cookied:
    """A cookie came."""


@record
class Given:
    """The slot was given."""


@record
class Turned:
    """The claim was refused; the next grant may be good."""


@record
class Exhausted:
    """Every grant was refused."""


@record
class Unanswered:
    """Nothing came for too long, or the channel is gone."""


MOVES: Table[State] = {
    State.SEEKING: {
        Cookied: State.CLAIMING,
        Unanswered: State.SEEKING,
    },
    State.CLAIMING: {
        Cookied: State.CLAIMING,
        Given: State.ATTACHED,
        Turned: State.CLAIMING,
        Exhausted: State.REFUSED,
        Unanswered: State.SEEKING,
    },
    State.ATTACHED: {
        Cookied: State.CLAIMING,
        Given: State.ATTACHED,
        Unanswered: State.SEEKING,
    },
    State.REFUSED: {Unanswered: State.SEEKING},
}


class Attachment:
    """One slot at one forwarder."""

    def __init__(self, grants: tuple[Grant, ...], now: float, wants: tuple[Want, ...] = ()) -> None:
        self.state = State.SEEKING
        self.channel: int | None = None
        """The channel of the slot; kept while it is claimed again."""
        self.host = b""
        """Our address as the forwarder sees it: 0, 4 or 16 bytes."""
        self.port = 0
        self.rtt: float | None = None
        self.draining = False
        self.out: deque[tuple[int, bytes]] = deque()
        """(channel, datagram) to send."""
        self._grants = grants
        self._grant = 0
        self._ready: set[int] = set()
        self._claim: tuple[int, bytes] | None = None
        self._cookie = b""
        """Of the claim that holds."""
        self._claims = 0
        self._hellos = 0
        self._hello_at: dict[int, float] = {}
        self._wants = wants
        self._want_sequence = 1
        self._want_taken = 0
        self._pings = 0
        self._pinged: dict[int, float] = {}
        self._stamp = 0
        self._renew_at = now
        self._untried = False
        """Whether fresh grants came while a claim with older ones was under way."""
        self._due = now
        self._better_due = now

    # Getters

    @property
    def attached(self) -> bool:
        """Whether packets can be passed."""
        return self.channel is not None

    def next_timer(self) -> float:
        """When ``handle_timer`` wants to run."""
        return min(self._due, self._better_due if self._can_better() else self._due)

    # World in

    def ready(self, channel: int, now: float) -> None:
        """A channel can carry."""
        self._ready.add(channel)
        if self.channel is None:
            if self.state is State.SEEKING:
                self._hello(channel, now)
        elif channel < self.channel:
            self._hello(channel, now)

    def gone(self, channel: int, now: float) -> None:
        """A channel carries nothing any more."""
        self._ready.discard(channel)
        self._hello_at.pop(channel, None)
        if self._claim is not None and self._claim[0] == channel:
            self._claim = None
            if self.state is State.CLAIMING:
                self._seek(now)
        if self.channel == channel:
            self._seek(now)

    def alive(self, now: float) -> None:
        """Something came by the channel in use."""
        if self.state is State.ATTACHED and self._pings:
            self._pings = 0
            self._due = now + PING_INTERVAL

    def receive(self, channel: int, datagram: bytes, now: float) -> None:
        """An envelope that is no PASS; what is malformed or unexpected changes nothing."""
        if channel not in self._ready or not datagram:
            return
        try:
            kind = datagram[0]
            if kind == envelope.COOKIE:
                self._cookied(channel, envelope.read_cookie(datagram), now)
            elif kind == envelope.ATTACHED:
                self._given(channel, envelope.read_attached(datagram), now)
            elif kind == envelope.REFUSED:
                self._turned(channel, envelope.read_refused(datagram), now)
            elif kind == envelope.PONG:
                self._ponged(channel, envelope.read_pong(datagram), now)
        except RemoteProtocolError:
            return

    def _cookied(self, channel: int, cookie: envelope.Cookie, now: float) -> None:
        if self.state is State.REFUSED or not self._grants:
            return
        if channel in self._hello_at:
            self.rtt = now - self._hello_at.pop(channel)
        elif channel != self.channel:
            return  # nobody asked there
        busy = self._claim is not None and self._claim[0] <= channel
        worse = self.channel is not None and self.channel < channel
        if worse or (busy and self.state is State.CLAIMING and self._claims < CLAIMS):
            return
        self.state = step(MOVES, self.state, Cookied())
        opened = bool(cookie.flags & Flags.OPEN)
        self.draining = bool(cookie.flags & Flags.DRAINING)
        self._grant, self._untried = self._first_grant(opened), False
        self._claim = (channel, cookie.cookie)
        self._claims = 0
        self._say_claim(now)

    def _first_grant(self, opened: bool) -> int:
        """Grants for open forwarders stand last."""
        return len(self._grants) - 1 if opened else 0

    def _say_claim(self, now: float) -> None:
        assert self._claim is not None
        channel, cookie = self._claim
        one = self._grants[self._grant]
        proof = grant.prove(one.key, cookie, one.claims)
        claim = envelope.Claim(cookie, one.claims, one.tag, proof)
        self.out.append((channel, envelope.write_claim(claim)))
        self._claims += 1
        self._due = now + CLAIM_PATIENCE * self._claims

    def _given(self, channel: int, attached: envelope.Attached, now: float) -> None:
        if self._claim is None or self._claim[0] != channel or self.state is not State.CLAIMING:
            return
        self.state = step(MOVES, self.state, Given())
        self._cookie, self._claim = self._claim[1], None
        self.channel = channel
        self.host, self.port = attached.host, attached.port
        self._hellos = self._pings = 0
        self._pinged.clear()
        self._want_taken = 0
        self._better_due = now + BETTER_PAUSE
        self._ping(now)

    def _turned(self, channel: int, reason: int, now: float) -> None:
        if self._claim is None or self._claim[0] != channel or self.state is not State.CLAIMING:
            return
        if reason == Reason.DRAINING:
            self.draining = True
        if reason in (Reason.WRONG, Reason.EXPIRED) and self._grant + 1 < len(self._grants):
            self.state = step(MOVES, self.state, Turned())
            self._grant += 1
            self._claims = 0
            self._say_claim(now)
        else:
            self._claim = self.channel = None
            self.state = step(MOVES, self.state, Exhausted())
            self._renew_at = now + RENEW_PAUSE
            self._due = self._renew_at if self._untried else now + REFUSED_PAUSE

    def _ponged(self, channel: int, pong: envelope.Pong, now: float) -> None:
        sent = self._pinged.pop(pong.stamp, None)
        if sent is None or channel != self.channel:
            return
        self._pinged.clear()
        rtt = now - sent
        self.rtt = rtt if self.rtt is None else 0.75 * self.rtt + 0.25 * rtt
        self.draining = bool(pong.flags & Flags.DRAINING)
        self._want_taken = pong.wanted
        self._pings = 0
        if self.state is State.ATTACHED:
            self._due = now + PING_INTERVAL
            self._say_wants()

    # Verbs

    def renew(self, grants: tuple[Grant, ...], now: float) -> None:
        """Fresh grants for the same slot, for when we must claim again."""
        if not grants:
            return
        self._grants = grants
        self._grant = min(self._grant, len(grants) - 1)
        self._untried = self.state is State.CLAIMING
        if self.state is State.REFUSED:
            self._due = min(self._due, max(now, self._renew_at))

    def want(self, wants: tuple[Want, ...]) -> None:
        """Whose copies we want from now on."""
        if wants != self._wants:
            self._wants = wants
            self._want_sequence = self._want_sequence % (_U32 - 1) + 1
            self._say_wants()

    def _say_wants(self) -> None:
        if self.channel is not None and self._want_taken != self._want_sequence:
            self.out.append((self.channel, envelope.write_want(self._want_sequence, self._wants)))

    def bye(self) -> None:
        """Give the slot back."""
        if self.channel is not None:
            self.out.append((self.channel, envelope.write_bye(self._cookie)))
            self.channel = None

    # Time

    def handle_timer(self, now: float) -> None:
        """Everything that is due."""
        if self._can_better() and now >= self._better_due:
            self._better_due = now + BETTER_PAUSE
            for channel in self._ready:
                if self.channel is not None and channel < self.channel:
                    self._hello(channel, now)
        if now < self._due:
            return
        if self.state is State.ATTACHED:
            self._ping(now)
        elif self.state is State.CLAIMING and self._claims < CLAIMS:
            self._say_claim(now)
        elif self.state is State.SEEKING:
            self._hello_all(now)
        else:
            self._seek(now)

    def _can_better(self) -> bool:
        channel = self.channel
        return channel is not None and any(other < channel for other in self._ready)

    def _seek(self, now: float) -> None:
        self.state = step(MOVES, self.state, Unanswered())
        self._claim = self.channel = None
        self._hellos = 0
        self._hello_all(now)

    def _hello_all(self, now: float) -> None:
        for channel in sorted(self._ready):
            self._hello(channel, now)
        pause = min(FIRST_PAUSE * 2**self._hellos, LONGEST_PAUSE)
        self._hellos += 1
        self._due = now + pause

    def _hello(self, channel: int, now: float) -> None:
        self._hello_at[channel] = now
        self.out.append((channel, envelope.write_hello()))

    def _ping(self, now: float) -> None:
        if self._pings >= PINGS_LOST:
            self._seek(now)
            return
        assert self.channel is not None
        self._pings += 1
        self._stamp = (self._stamp + 1) % _U32
        self._pinged[self._stamp] = now
        self.out.append((self.channel, envelope.write_ping(self._stamp)))
        self._say_wants()
        self._due = now + PING_PATIENCE
