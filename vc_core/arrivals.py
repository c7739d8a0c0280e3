"""Arrivals: connections that have not said yet what they want, few of each customer.

A handshake of TLS costs memory before a word has been said. Who is late makes room: of a
customer who has too many the oldest goes, and the oldest of all where there are too many.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Arrivals(Generic[T]):
    """Bounded in all and for each customer."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._customers: dict[T, bytes] = {}
        """The oldest first."""
        self._of: dict[bytes, dict[T, None]] = {}

    def __len__(self) -> int:
        return len(self._customers)

    def add(self, one: T, customer: bytes) -> T | None:
        """One more; whoever has to go for it."""
        theirs = self._of.get(customer, {})
        late = None
        if len(theirs) >= self._most_of_one:
            late = next(iter(theirs))
        elif len(self._customers) >= self._most:
            late = next(iter(self._customers))
        if late is not None:
            self.remove(late)
        self._customers[one] = customer
        self._of.setdefault(customer, {})[one] = None
        return late

    def remove(self, one: T) -> None:
        """It has said what it wants, or is gone."""
        customer = self._customers.pop(one, None)
        if customer is not None:
            theirs = self._of[customer]
            del theirs[one]
            if not theirs:
                del self._of[customer]
