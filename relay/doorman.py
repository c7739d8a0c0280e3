"""The doorman: cookies for those who ask, and whether a claim holds.

Rule 1: nothing is kept for who only asks; buckets are bounded in number.
Rule 2: a claim is looked at in order of cost: cookie, bucket, time, tag, proof.
"""

from __future__ import annotations

from collections import Counter

from relay.cookies import KEY_SIZE, Cookies, Where
from relay.limits import Limits
from vc_core.bucket import Bucket, Buckets
from vc_core.envelope import FORWARDER_VERSION, Claim, Cookie, Reason, write_cookie
from vc_core.grant import CLOCK_ERROR, MAX_LIFE, Claims, open_secret, proof_is_right, tag_is_right
from vc_core.ids import Rng

# Implementation
TWO_SECRETS = 600.0
"""Seconds for which grants of the former secret hold: as long as any lives."""
BANS = 1024
"""Evicted slots and closed rooms that are remembered; the host of the room makes few."""
BAN = float(MAX_LIFE + 2 * CLOCK_ERROR)
"""Seconds after which no grant for them can be left."""


class Doorman:
    """Decides about strangers."""

    def __init__(self, secret: bytes | None, limits: Limits, rng: Rng, clock: float) -> None:
        self.clock = clock
        """Unix time minus ``now``."""
        self.happened: Counter[str] = Counter()
        self._secret = secret
        self._former = b""
        self._former_ends = 0.0
        self._cookies = Cookies(rng(KEY_SIZE))
        self._bans: dict[bytes, float] = {}
        self._hellos = Buckets(limits.hellos, limits.customers)
        self._strangers = Buckets(limits.strangers, limits.customers)
        self._claims = Buckets(limits.claims, limits.customers)
        self._all_hellos = Bucket(limits.all_hellos, 0.0)
        self._all_strangers = Bucket(limits.all_strangers, 0.0)

    @property
    def is_open(self) -> bool:
        """Whether it takes everybody's grants."""
        return self._secret is None

    def change_secret(self, secret: bytes | None, now: float) -> None:
        """Take grants of a new secret, and those of the former for a while."""
        if secret != self._secret:
            self._former = self._secret or open_secret()
            self._former_ends = now + TWO_SECRETS
            self._secret = secret

    def ban(self, room: bytes, slot: int | None, now: float) -> None:
        """Take no claim for a slot, or for any of a room, that may be out already."""
        while len(self._bans) >= BANS:
            del self._bans[next(iter(self._bans))]
        self._bans[_ban_of(room, slot)] = now + BAN

    def may_answer(self, *, hello: bool, now: float) -> bool:
        """Whether any stranger is answered now; in a flood this is all that is looked at."""
        is_calm = (self._all_hellos if hello else self._all_strangers).has(now)
        if not is_calm:
            self.happened["hellos_dropped" if hello else "strangers_dropped"] += 1
        return is_calm

    def answer_hello(self, where: Where, flags: int, now: float) -> bytes | None:
        """A COOKIE for a HELLO, or None for silence."""
        if self._hellos.take(where.customer, now) and self._all_hellos.take(now):
            return self._write_cookie(where, flags, now)
        self.happened["hellos_dropped"] += 1
        return None

    def answer_stranger(self, where: Where, flags: int, now: float) -> bytes | None:
        """A COOKIE for any other datagram that is long enough, or None for silence."""
        if self._strangers.take(where.customer, now) and self._all_strangers.take(now):
            return self._write_cookie(where, flags, now)
        self.happened["strangers_dropped"] += 1
        return None

    def knows(self, cookie: bytes, where: Where, now: float) -> bool:
        """Whether this cookie went to this address not long ago."""
        return self._cookies.holds(cookie, where, now)

    def judge(self, claim: Claim, claims: Claims, where: Where, now: float) -> Reason | None:
        """Why a claim with a good cookie does not hold; None if it does."""
        if not self._claims.take(where.customer, now):
            return Reason.TOO_FAST
        left = claims.expires - (now + self.clock)
        if not -CLOCK_ERROR <= left <= MAX_LIFE + CLOCK_ERROR:
            return Reason.EXPIRED
        if not any(_is_true(claim, secret) for secret in self._secrets(now)):
            return Reason.WRONG
        bans = (_ban_of(claims.room, None), _ban_of(claims.room, claims.slot))
        return Reason.WRONG if any(self._bans.get(ban, now) > now for ban in bans) else None

    def _write_cookie(self, where: Where, flags: int, now: float) -> bytes:
        self.happened["cookies"] += 1
        return write_cookie(Cookie(FORWARDER_VERSION, flags, self._cookies.bake(where, now)))

    def _secrets(self, now: float) -> list[bytes]:
        former = [self._former] if now < self._former_ends else []
        return [self._secret or open_secret(), *former]


def _is_true(claim: Claim, secret: bytes) -> bool:
    """Whether a grant was made with ``secret`` and is its sender's own."""
    return tag_is_right(secret, claim.claims, claim.tag) and proof_is_right(
        secret, claim.cookie, claim.claims, claim.proof
    )


def _ban_of(room: bytes, slot: int | None) -> bytes:
    return room if slot is None else room + slot.to_bytes(2, "big")
