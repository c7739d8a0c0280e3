"""Who asks how often and holds how much: connections, and the customers behind them.

Rule: an account that holds anything stays; of the others only the last
``idle_customers`` are remembered, so that coming back does not refill a bucket
and a flood of addresses does not fill the memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from signaling.limits import Limits
from vc_core.bucket import Bucket, customer


class Customer:
    """The buckets of one address, and what it holds."""

    __slots__ = (
        "allocations",
        "attachments",
        "connections",
        "connects",
        "exchanges",
        "grants",
        "guesses",
        "nameplates",
        "strikes",
        "traffic",
        "who",
    )

    def __init__(self, who: bytes, limits: Limits, now: float) -> None:
        self.who = who
        self.connects = Bucket(limits.connects, now)
        self.guesses = Bucket(limits.guesses, now)
        self.strikes = Bucket(limits.strikes, now)
        self.allocations = Bucket(limits.allocations, now)
        self.grants = Bucket(limits.grants, now)
        self.traffic = Bucket(limits.traffic, now)
        self.connections = 0
        self.nameplates = 0
        self.exchanges = 0
        self.attachments = 0

    @property
    def is_idle(self) -> bool:
        """Whether it holds nothing (exchanges and attachments end with connections)."""
        return not self.connections and not self.nameplates


class Customers:
    """All accounts: the busy ones, and a bounded memory of the idle ones."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._busy: dict[bytes, Customer] = {}
        self._idle: dict[bytes, Customer] = {}

    def __len__(self) -> int:
        return len(self._busy) + len(self._idle)

    def find(self, address: bytes, now: float) -> Customer:
        """The account behind packed ``address``; it stays idle until ``settle``."""
        who = customer(address)
        found = self._busy.get(who) or self._idle.pop(who, None)
        if found is None:
            found = Customer(who, self._limits, now)
        self.settle(found)
        return found

    def settle(self, account: Customer) -> None:
        """Put an account where it belongs, after what it holds has changed."""
        if not account.is_idle:
            self._idle.pop(account.who, None)
            self._busy[account.who] = account
            return
        self._busy.pop(account.who, None)
        self._idle[account.who] = account
        while len(self._idle) > self._limits.idle_customers:
            del self._idle[next(iter(self._idle))]


@dataclass(eq=False, slots=True)
class Connection:
    """What one connection holds."""

    number: int
    customer: Customer
    nameplates: set[str] = field(default_factory=set)
    """Where it speaks as host."""
    has_hosted: bool = False
    """Whether it ever did."""
    exchanges: set[int] = field(default_factory=set)
    """Where it is one of the two ends."""
    knocked: int = 0
    """How many of its exchanges it opened itself."""
    mailboxes: set[bytes] = field(default_factory=set)
