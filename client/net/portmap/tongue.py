"""A tongue: one way to talk to one router."""

from __future__ import annotations

from typing import Protocol

from client.net.portmap.mapping import Granted, Wanted


class Tongue(Protocol):
    """One way to talk to one router."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    async def find(self) -> bool:
        """Whether the router speaks it."""
        ...

    async def map(self, wanted: Wanted) -> Granted:
        """Make or renew a mapping; ``NotMappedError`` if that cannot be."""
        ...

    async def unmap(self, wanted: Wanted) -> None:
        """Remove the mapping to ``wanted.external_port``; ``NotMappedError`` if that failed."""
        ...

    def close(self) -> None:
        """Give back the socket."""
        ...
