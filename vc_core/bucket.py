"""Token buckets: how often somebody may do something.

A bucket holds up to ``burst`` tokens and gains ``per_second`` of them each
second; what somebody does costs tokens, and what costs more than there is does
not happen (``take``) or happens later (``owe``).
"""

from __future__ import annotations

from vc_core.record import record

# Specification: one customer of an IPv6 provider has at least a /64 (RFC 6177)
IPV6_PREFIX = 8  # bytes

_MAPPED = bytes(10) + b"\xff\xff"  # IPv4 inside IPv6, RFC 4291 section 2.5.5.2


def customer(address: bytes) -> bytes:
    """Who counts as one: an IPv4 address, or the /64 of an IPv6 address.

    ``address`` are 4 or 16 packed bytes; an IPv4-mapped address counts as IPv4.
    """
    plain = unmapped(address)
    return plain if len(plain) == 4 else plain[:IPV6_PREFIX]


def unmapped(address: bytes) -> bytes:
    """The 4 bytes inside an IPv4-mapped address; any other address as it is."""
    return address[12:] if len(address) == 16 and address.startswith(_MAPPED) else address


@record
class Rate:
    """How often, and how much at once."""

    per_second: float
    """Tokens gained each second."""
    burst: float
    """Tokens that a rested bucket holds."""


class Bucket:
    """The tokens of one customer for one kind of thing; born full."""

    __slots__ = ("_at", "_level", "_rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._level = rate.burst
        self._at = now

    def has(self, now: float, cost: float = 1.0) -> bool:
        """Whether ``cost`` tokens are there; takes none."""
        return self._fill(now) >= cost

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Take ``cost`` tokens if they are there."""
        if self._fill(now) < cost:
            return False
        self._level -= cost
        return True

    def owe(self, now: float, cost: float) -> float:
        """Take ``cost`` tokens even if they are not there.

        Returns the seconds until the debt is paid, 0 if there is none.
        """
        self._level = self._fill(now) - cost
        return max(0.0, -self._level / self._rate.per_second)

    def _fill(self, now: float) -> float:
        passed = max(0.0, now - self._at)
        self._level = min(self._rate.burst, self._level + passed * self._rate.per_second)
        self._at = max(self._at, now)
        return self._level


class Buckets:
    """A bucket for each customer, the oldest forgotten when there are too many.

    To be forgotten is to be born again with a full bucket, so ``limit`` should
    be larger than the number of customers that matter at a time.
    """

    def __init__(self, rate: Rate, limit: int) -> None:
        self._rate = rate
        self._limit = limit
        self._buckets: dict[bytes, Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, who: bytes, now: float, cost: float = 1.0) -> bool:
        """Take ``cost`` tokens of ``who`` if they are there."""
        bucket = self._buckets.get(who)
        if bucket is None:
            while len(self._buckets) >= self._limit:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[who] = Bucket(self._rate, now)
        return bucket.take(now, cost)
