"""Mobility: when the pair in use has moved away under us, and what may be asked meanwhile.

A NAT that forgets a mapping, or another uplink, gives the peer a new address in
the middle of a call. Its next packet comes from there:

    unknown address speaks ──► a check goes there, and one on the pair in use
                                    │ answered within a round trip
                                    ▼
    the pair in use was silent meanwhile ──► the new pair is used
    the pair in use lives                ──► nothing changes

Rule 1: a pair is used only after it has answered a check of ours (RFC 8445, 7.2.5).
Rule 2: a pair that lives is left only because the controlling side nominated another
        or speaks on another alone. So somebody who copies packets to other addresses
        (RFC 9000, 9.3) moves nothing.
Rule 3: what a stranger can cause is bounded: a few checks a second, each about as
        large as the packet that caused it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from vc_core.bucket import Bucket, Rate

# Implementation
GRACE: float = 0.04  # s that the pair in use may at least answer later than another
QUIET: float = 0.3  # s without a datagram, after which one elsewhere means something
ASK_PAUSE: float = 0.1  # s between two checks of one pair
ASKS: Rate = Rate(per_second=40, burst=40)  # checks of all pairs but the one in use
STRANGERS: Rate = Rate(per_second=5, burst=5)  # checks because of packets that prove nothing
SETTLING: float = 1.0  # s in which late checks of the beginning may still nominate
FORGET: float = -1e9  # a time before everything
MAX_LIVES: int = 512  # pairs remembered

Key = TypeVar("Key")


@dataclass(slots=True)
class Life:
    """What is known of one pair."""

    heard: float = FORGET
    """When a datagram, a check or an answer came on it from an address that is checked."""
    spoke: float = FORGET
    """When the last datagram came on it."""
    asked: float = FORGET
    """When our last check went out."""
    nominated: bool = False
    """Whether the controlling side wants it."""

    @property
    def newest(self) -> float:
        """When anything happened on it."""
        return max(self.heard, self.asked)


class Lives(Generic[Key]):
    """The pairs of one connection, by any key."""

    def __init__(self, now: float) -> None:
        self._lives: dict[Key, Life] = {}
        self._asks = Bucket(ASKS, now)
        self._strangers = Bucket(STRANGERS, now)

    def of(self, pair: Key) -> Life:
        """What is known of a pair."""
        life = self._lives.get(pair)
        if life is None:
            if len(self._lives) >= MAX_LIVES:
                del self._lives[min(self._lives, key=lambda known: self._lives[known].newest)]
            life = self._lives[pair] = Life()
        return life

    def may_ask(self, pair: Key, now: float) -> bool:
        """Whether a check may go out on a pair that is not in use; it then counts as sent."""
        life = self.of(pair)
        if now - life.asked < ASK_PAUSE or not self._asks.take(now):
            return False
        life.asked = now
        return True

    def may_ask_stranger(self, pair: Key, now: float) -> bool:
        """The same, because of a packet that proves nothing."""
        if not self._strangers.has(now) or not self.may_ask(pair, now):
            return False
        return self._strangers.take(now)


def moves(in_use: Life, other: Life, since: float, now: float, *, follows: bool) -> bool | None:
    """Whether ``other``, which answered our check of ``since``, is used from now on.

    None: it depends on whether the pair in use answers within ``grace``. ``follows``:
    we are the controlled side, which goes where the controlling side speaks.
    """
    if other.nominated:
        return True
    if follows and other.spoke > in_use.spoke and now - in_use.spoke > QUIET:
        return True
    return False if in_use.heard >= since else None


def grace(round_trip: float) -> float:
    """How much longer than another pair, which took ``round_trip``, the one in use may take."""
    return max(GRACE, round_trip / 2)
