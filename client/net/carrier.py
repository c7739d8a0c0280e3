"""A carrier: one road for datagrams to one peer, whatever it is made of."""

from __future__ import annotations

from typing import Protocol


class Carrier(Protocol):
    """What the driver needs of a road; datagrams come in by a callback."""

    def send(self, datagram: bytes) -> None:
        """Send one datagram (at most 1 228 bytes); dropped while not connected."""
        ...

    async def close(self) -> None:
        """Give back all sockets and tasks; may be called at any time and again."""
        ...
