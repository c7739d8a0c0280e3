"""Gathering: which addresses of ours others can use, found on the side while checks run.

    STUN servers ──► how they see a socket ──► srflx     and: is our NAT hard?
    port mapping ──► what a router promises ──► srflx
    TURN servers ──► an address of theirs   ──► relay

Rule: nobody waits for any of it. A server that is silent counts as absent.

A NAT is *hard* when it gives one socket another port for each destination: nobody
but the one asked can use what a STUN server sees (RFC 4787, 4.1: "address and
port-dependent mapping"). Two servers that see different ports prove it. When only
one server answers, a port that is not the socket's own makes it likely.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from client.net.ice import IceConnection
    from client.net.ice_socket import IceSocket
    from client.net.turn_uri import TurnServer

# Implementation
LIMIT: Final = 5.0  # seconds until candidates are called complete
NAME_LIMIT: Final = 3.0  # seconds for the name of a server
HEAD_START: Final = 0.5  # seconds that pairs without a relay have for themselves
REFRESH_PAUSE: Final = 1.0  # seconds between two rounds of questions because of silence

log = logging.getLogger(__name__)

Address = tuple[str, int]
Mapper = Callable[[str, int], AsyncIterator[Address]]
"""Local host, local port -> external addresses of that UDP port as they are found."""


class Gathering:
    """Finds for one connection; ``on_line`` gets each candidate's line, again if it changed."""

    def __init__(
        self,
        ice: IceConnection,
        *,
        stun: Sequence[Address],
        turn: Sequence[TurnServer],
        mapper: Mapper | None,
        on_line: Callable[[str], None],
    ) -> None:
        self._ice = ice
        # A TURN server over UDP answers STUN as well, and a second view tells hard from easy.
        self._stun = (*stun, *((one.host, one.port) for one in turn if one.transport == "udp"))
        self._turn = turn
        self._mapper = mapper
        self._on_line = on_line
        self._seen: dict[tuple[IceSocket, Address], Address] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshed = float("-inf")
        self._asked = self._silent = 0
        self.checking = asyncio.Event()
        """Set when pairs are being checked."""

    # getters

    @property
    def wanted(self) -> bool:
        """Whether there is anything to find."""
        return bool(self._stun or self._turn or self._mapper)

    @property
    def hard(self) -> bool:
        """Whether our NAT gives another port to each destination, as far as we know."""
        by_socket: dict[IceSocket, set[Address]] = {}
        for (opened, _), seen in self._seen.items():
            if seen[0] != opened.host:
                by_socket.setdefault(opened, set()).add(seen)
        asked = [opened for opened, _ in self._seen]
        return any(
            len(seen) > 1 or (asked.count(opened) == 1 and opened.port != next(iter(seen))[1])
            for opened, seen in by_socket.items()
        )

    @property
    def blocked(self) -> bool:
        """Whether STUN servers were asked and none ever answered."""
        return self._silent > 0 and self._silent == self._asked

    def seen(self) -> list[tuple[IceSocket, Address]]:
        """Sockets, and how a server saw them last."""
        return list({opened: (opened, seen) for (opened, _), seen in self._seen.items()}.values())

    # verbs

    async def run(self) -> None:
        """Find what there is; returns when all have answered, or after ``LIMIT``."""
        tasks = [self._spawn(self._ask_server(server)) for server in self._stun]
        tasks += [self._spawn(self._allocate(server)) for server in self._turn]
        if self._mapper is not None:
            for opened in self._ice.sockets:
                tasks.append(self._spawn(self._map(opened, self._mapper)))
        if tasks:
            await asyncio.wait(tasks, timeout=LIMIT)

    def refresh(self, now: float) -> None:
        """The path is silent: has our address changed?"""
        if now - self._refreshed >= REFRESH_PAUSE:
            self._refreshed = now
            for server in self._stun:
                self._spawn(self._ask_server(server))

    async def close(self) -> None:
        """End everything that still runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # STUN

    async def _ask_server(self, server: Address) -> None:
        async with asyncio.TaskGroup() as group:
            for address in await resolve(server):
                for opened in self._ice.sockets:
                    if _same_kind(opened.host, address[0]):
                        group.create_task(self._ask(opened, address))

    async def _ask(self, opened: IceSocket, server: Address) -> None:
        from client.net.ice_socket import reflexive

        self._asked += 1
        seen = await self._ice.ask(opened, server)
        if seen is None:
            self._silent += 1
            return
        before = self._seen.get((opened, server))
        if before is not None and before != seen:  # what others said is as old
            self._seen = {key: old for key, old in self._seen.items() if key[0] is not opened}
        self._seen[opened, server] = seen
        if seen not in (before, (opened.host, opened.port)):
            self._on_line(reflexive(opened, seen))

    # port mapping

    async def _map(self, opened: IceSocket, mapper: Mapper) -> None:
        from client.net.ice_socket import reflexive

        try:
            async for host, port in mapper(opened.host, opened.port):
                self._on_line(reflexive(opened, (host, port), kind="mapped"))
        except OSError as error:
            log.info("no port mapping for %s: %s", opened.host, error)

    # TURN

    async def _allocate(self, server: TurnServer) -> None:
        families = {ipaddress.ip_address(opened.host).version for opened in self._ice.sockets}
        async with asyncio.TaskGroup() as group:
            for version in sorted(families | {4}):
                group.create_task(self._relayed(server, version))

    async def _relayed(self, server: TurnServer, version: int) -> None:
        from client.net.turn import allocate

        opened = await allocate(self._ice, server, version)
        if opened is None:
            return
        adopted = False
        try:
            self._on_line(opened.local_candidate.to_sdp())
            if self._ice.sockets:
                await self.checking.wait()
                await asyncio.sleep(HEAD_START)
            self._ice.adopt(opened)
            adopted = True
        finally:
            if not adopted:
                await asyncio.shield(opened.close())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def resolve(server: Address) -> list[Address]:
    """Numeric addresses of a server: the first of each family; empty when unknown."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(NAME_LIMIT):
            found = await loop.getaddrinfo(*server, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, TimeoutError):
        return []
    first = {family: address for family, _, _, _, address in reversed(found)}
    return [(str(address[0]), int(address[1])) for address in first.values()]


def _same_kind(host: str, other: str) -> bool:
    """Whether one family and both or neither loopback: only then can an answer be of use."""
    one, two = ipaddress.ip_address(host), ipaddress.ip_address(other)
    return one.version == two.version and one.is_loopback == two.is_loopback
