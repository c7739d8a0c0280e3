"""What stands between the forwarder and its carriers, as each sees the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from relay.cookies import Where
from relay.roads import Road
from relay.slots import Slots


class Exchange(Protocol):
    """The forwarder, as UDP ports and lines see it."""

    slots: Slots
    lost: Counter[str]

    def receive_datagram(self, data: bytes, source: Any) -> None:
        """What came from a line, or from an address of a UDP port."""

    def pay(self, packet: bytearray, lead: int, size: int, source: Any) -> Road | None:
        """The road of a packet, if only that had to be paid for."""

    def answer_stun(self, data: bytes, source: tuple[Any, ...]) -> bytes | None:
        """The answer to a STUN question."""

    def send(self, data: bytes, target: Any) -> None:
        """Bring a datagram to an address of a UDP port, or to a line."""

    def call(self, what: Callable[..., None], *arguments: Any) -> None:
        """In the event loop: now if this is its thread, else soon."""

    def disconnected(self, line: Line) -> None:
        """A line is gone."""


class Line(Protocol):
    """A way to one client that is no UDP port."""

    where: Where

    def send(self, data: bytes, now: float) -> None:
        """Bring a datagram to the client, or drop it; never blocks."""
