"""A forwarder in a bottle: addresses as names, a clock that is turned by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from relay.cookies import Carrier, Where
from relay.limits import Limits
from relay.slots import Slots
from vc_core.bucket import Rate
from vc_core.envelope import (
    ATTACHED,
    CLAIM,
    COOKIE,
    Claim,
    read_cookie,
    read_pong,
    read_refused,
    write_claim,
    write_hello,
    write_ping,
    write_want,
)
from vc_core.grant import Claims, Grant, make_grant, prove
from vc_core.record import record

SECRET = b"s" * 32
ROOM, OTHER_ROOM = b"r" * 16, b"o" * 16
UNIX = 1_800_000_000.0
ENDLESS = Rate(1e9, 1e9)
GENEROUS = Limits(
    hellos=ENDLESS, strangers=ENDLESS, claims=ENDLESS, all_hellos=ENDLESS, all_strangers=ENDLESS
)
"""Caps as they are, but nobody asks too often."""
INNER = b"\x80 sealed"


@record
class Place:
    """An address."""

    host: bytes = bytes([192, 0, 2, 1])
    port: int = 1000
    carrier: Carrier = Carrier.UDP


def locate(place: Any) -> Where:
    """As the real forwarder would."""
    return Where(place.carrier, place.host, place.port)


class Bottle:
    """Slots, a clock, and what was sent to whom."""

    def __init__(
        self, limits: Limits = GENEROUS, secret: bytes | None = SECRET, **changes: Any
    ) -> None:
        self.now = 1000.0
        self.secret = secret
        self.limits = replace(limits, **changes)
        rng = random.Random(1).randbytes
        self.slots = Slots(secret, self.limits, locate, rng, self.now, UNIX)
        self.last = 1000

    def unix(self) -> float:
        """The time of day."""
        return UNIX + self.now - 1000.0

    def pass_time(self, seconds: float) -> None:
        """Turn the clock, ringing the timer whenever it is due."""
        end = self.now + seconds
        while (when := self.slots.next_timer()) is not None and when <= end:
            self.now = when
            self.slots.handle_timer(self.now, self.unix())
        self.now = end

    def place(self) -> Place:
        """An address that nobody used before."""
        self.last += 1
        return Place(port=self.last)

    def say(self, place: Place, data: bytes) -> list[tuple[Place, bytes]]:
        """Send a datagram; what comes out, to whom."""
        return self.slots.receive_datagram(data, place, self.now)

    def ask(self, place: Place, data: bytes) -> bytes:
        """Send a datagram that has one answer, to its sender."""
        ((target, answer),) = self.say(place, data)
        assert target == place
        return answer

    def cookie(self, place: Place) -> bytes:
        """Say hello."""
        return read_cookie(self.ask(place, write_hello())).cookie

    def grant(self, slot: int, room: bytes = ROOM, rate: int = 10**9, life: float = 600) -> Grant:
        """As a signaling server would."""
        from vc_core.grant import open_secret

        claims = Claims(room, slot, rate, int(self.unix() + life))
        return make_grant(self.secret or open_secret(), claims)

    def claim(self, place: Place, grant: Grant, cookie: bytes | None = None) -> bytes:
        """Claim a slot; the answer."""
        cookie = self.cookie(place) if cookie is None else cookie
        return self.ask(place, write_claim(claim_of(grant, cookie)))

    def join(self, slot: int, room: bytes = ROOM, place: Place | None = None, **more: Any) -> Place:
        """Have a slot; the address."""
        place = place or self.place()
        answer = self.claim(place, self.grant(slot, room, **more))
        assert answer[0] == ATTACHED, answer
        return place

    def refusal(self, place: Place, grant: Grant) -> int:
        """Claim a slot in vain; why."""
        return read_refused(self.claim(place, grant))

    def want(self, place: Place, sequence: int, *wants: tuple[int, int]) -> None:
        """Subscribe."""
        assert self.say(place, write_want(sequence, wants)) == []

    def wanted(self, place: Place) -> int:
        """The sequence that a PONG names."""
        return read_pong(self.ask(place, write_ping(7))).wanted


def claim_of(grant: Grant, cookie: bytes) -> Claim:
    """A claim with a true proof."""
    return Claim(cookie, grant.claims, grant.tag, prove(grant.key, cookie, grant.claims))


def kind_of(answer: bytes) -> str:
    """For messages of tests."""
    return {COOKIE: "cookie", CLAIM: "claim", ATTACHED: "attached"}.get(answer[0], str(answer[0]))
