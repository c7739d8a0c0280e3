"""Exchanges: one for each knock at a nameplate, between exactly two connections.

An exchange outlives its nameplate (the last guest is still coming in when the
host gives the digits up), but not the connection of either end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from signaling.customers import Connection
from signaling.limits import Limits
from signaling.nameplates import Nameplate
from vc_core.ids import Rng
from vc_core.signals import MAILBOX_SIZE


@dataclass(eq=False, slots=True)
class Exchange:
    """One knock at one nameplate."""

    number: int
    mailbox: bytes
    nameplate: Nameplate
    host: Connection
    guest: Connection
    ends: float

    def other(self, end: Connection) -> Connection:
        """The connection at the other end."""
        return self.guest if end is self.host else self.host


class Exchanges:
    """All exchanges that are open, oldest first, which is also who ends first."""

    def __init__(self, limits: Limits, rng: Rng) -> None:
        self._limits = limits
        self._rng = rng
        self._open: dict[int, Exchange] = {}
        self.opened = 0

    def __len__(self) -> int:
        return len(self._open)

    def __getitem__(self, number: int) -> Exchange:
        return self._open[number]

    def next_end(self) -> float | None:
        """When the oldest has lived long enough."""
        return next((exchange.ends for exchange in self._open.values()), None)

    def due(self, now: float) -> Iterator[Exchange]:
        """Those that have lived long enough; the caller ends each of them."""
        while (exchange := next(iter(self._open.values()), None)) and exchange.ends <= now:
            yield exchange

    def has_room(self, guest: Connection, nameplate: Nameplate) -> bool:
        """Whether ``guest`` may open one more at ``nameplate``."""
        limits = self._limits
        return (
            len(self._open) < limits.exchanges
            and len(nameplate.exchanges) < limits.exchanges_per_nameplate
            and guest.knocked < limits.exchanges_per_connection
            and guest.customer.exchanges < limits.exchanges_per_customer
        )

    def open(
        self, host: Connection, guest: Connection, nameplate: Nameplate, now: float
    ) -> Exchange:
        """Let a new exchange begin."""
        number, mailbox = self._draw_number(), self._rng(MAILBOX_SIZE)
        ends = now + self._limits.exchange_life
        exchange = Exchange(number, mailbox, nameplate, host, guest, ends)
        self._open[number] = exchange
        for numbers in (host.exchanges, guest.exchanges, nameplate.exchanges):
            numbers.add(number)
        guest.knocked += 1
        guest.customer.exchanges += 1
        self.opened += 1
        return exchange

    def end(self, exchange: Exchange) -> None:
        """Forget an exchange."""
        del self._open[exchange.number]
        ends = (exchange.host.exchanges, exchange.guest.exchanges, exchange.nameplate.exchanges)
        for numbers in ends:
            numbers.discard(exchange.number)
        exchange.guest.knocked -= 1
        exchange.guest.customer.exchanges -= 1

    def _draw_number(self) -> int:
        """A random u32: counting would tell every guest how many others there are."""
        while (number := int.from_bytes(self._rng(4), "big")) in self._open:
            continue
        return number
