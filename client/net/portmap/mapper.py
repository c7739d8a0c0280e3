"""The mapper: ports of ours that the router opens, for as long as they are needed.

    async with Mapper() as mapper:
        mapping = await mapper.map("udp", "192.168.1.7", 40000)
        if mapping is not None and mapping.public: ...
        mapper.unmap("udp", "192.168.1.7", 40000)

Rule 1: nobody waits long: ``map`` is over within ``MAP_LIMIT``, ``close`` within
        ``CLOSE_LIMIT``, whatever the router does.
Rule 2: a mapping is renewed long before it ends, and at once when the router has
        forgotten it (its epoch went back).
Rule 3: what we made we remove: when it is not needed, when we close, and also
        when we were told to stop before the router had answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from client.net.portmap.gateway import Gateway, around
from client.net.portmap.mapping import NONCE_SIZE, Granted, Mapping, NotMappedError, Wanted
from client.net.portmap.routes import Neighbourhood
from client.net.portmap.tongue import Tongue

# Implementation
MAP_LIMIT: Final = 2.5  # seconds; a search by SSDP alone may take two
CLOSE_LIMIT: Final = 0.4  # seconds
PULSE: Final = 120.0  # seconds after which a mapping is renewed at the latest
RETRY: Final = 5.0  # seconds until a renewal that failed is tried again
FORGETS: Final = 5.0  # seconds in which a router forgets once: each answer of a mad one says so
MAX_LEASES: Final = 256  # mappings of one process

Key = tuple[str, str, int]
Changed = Callable[[Mapping | None], None]

log = logging.getLogger(__name__)


class Mapper:
    """All port mappings of a process, and what is known of its gateways.

    ``near`` says where an address of ours lives; None: nowhere, so it cannot be mapped.
    """

    def __init__(self, near: Callable[[str], Neighbourhood | None] = around) -> None:
        self._near = near
        self._gateways: dict[Neighbourhood, Gateway] = {}
        self._leases: dict[Key, _Lease] = {}
        self._forgot: dict[Neighbourhood, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    async def map(
        self, protocol: str, host: str, port: int, *, on_change: Changed | None = None
    ) -> Mapping | None:
        """Open a port ("udp" or "tcp") that is bound to the numeric address ``host``.

        None if no router grants it. Later changes, and None for its loss, are
        told to ``on_change``. Each port is asked for once: a second call for it
        gives the same mapping.
        """
        key = (protocol, host, port)
        lease = self._leases.get(key)
        if lease is None:
            gateway = self._gateway(host)
            if gateway is None or self._closed or len(self._leases) >= MAX_LEASES:
                return None
            lease = self._leases[key] = _Lease(gateway, protocol, host, port)
            lease.keeping = self._spawn(lease.keep())
        await asyncio.wait([lease.first], timeout=MAP_LIMIT)
        if lease.first.done() and lease.mapping is None and self._leases.get(key) is lease:
            del self._leases[key]
        if on_change is not None:
            lease.listeners.append(on_change)
        return lease.mapping

    def unmap(self, protocol: str, host: str, port: int) -> None:
        """Close a port again; returns at once."""
        lease = self._leases.pop((protocol, host, port), None)
        if lease is not None:
            self._spawn(lease.end())

    async def close(self) -> None:
        """Remove all mappings, as far as the router answers quickly."""
        self._closed = True
        for key in tuple(self._leases):
            self.unmap(*key)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_LIMIT)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for gateway in self._gateways.values():
            await gateway.close()
        self._gateways.clear()

    def _gateway(self, host: str) -> Gateway | None:
        near = self._near(host)
        if near is None:
            return None
        if near not in self._gateways:
            self._gateways[near] = Gateway(near, lambda: self._forgotten(near))
        return self._gateways[near]

    def _forgotten(self, near: Neighbourhood) -> None:
        """A gateway has lost what it mapped."""
        now = asyncio.get_running_loop().time()
        if now - self._forgot.get(near, float("-inf")) < FORGETS:
            return
        self._forgot[near] = now
        log.info("the router %s has started anew", near.gateway)
        for lease in self._leases.values():
            if lease.gateway is self._gateways.get(near):
                lease.renew.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Lease:
    """One mapping, kept alive."""

    def __init__(self, gateway: Gateway, protocol: str, host: str, port: int) -> None:
        self.gateway = gateway
        self.mapping: Mapping | None = None
        self.listeners: list[Changed] = []
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the first try is over."""
        self.renew = asyncio.Event()
        self.keeping: asyncio.Task[None] | None = None
        self._wanted = Wanted(protocol, host, port, os.urandom(NONCE_SIZE), port)
        self._tongue: Tongue | None = None
        self._ends = 0.0
        """When the router's own clock runs out, on the loop's clock."""

    async def keep(self) -> None:
        """Map, and renew until cancelled; a router that never answered is left alone."""
        loop = asyncio.get_running_loop()
        try:
            pause = await self._ask()
            if self.mapping is None:
                return
        finally:
            if not self.first.done():
                self.first.set_result(None)
        while True:
            self.renew.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.renew.wait()
            pause = await self._ask()
            if self.mapping is not None and loop.time() > self._ends:
                self.gateway.forget()
                self._tell(None)

    async def end(self) -> None:
        """Remove it, wherever it stands."""
        if self.keeping is not None:
            self.keeping.cancel()
            await asyncio.wait([self.keeping])
        if self._tongue is None:
            return
        try:
            await self._tongue.unmap(self._wanted)
        except NotMappedError as error:
            log.debug("a mapping is left to end by itself: %s", error)

    async def _ask(self) -> float:
        """Map or renew; seconds until the next time."""
        try:
            tongue, grant = await self._grant()
        except NotMappedError as error:
            log.debug("no mapping for port %d: %s", self._wanted.port, error)
            return RETRY
        self._wanted = replace(self._wanted, external_host=grant.host, external_port=grant.port)
        lifetime = float(grant.lifetime or PULSE * 4)
        self._ends = asyncio.get_running_loop().time() + lifetime
        self._tell(Mapping(grant.host, grant.port, self._wanted.protocol, tongue.name))
        return min(PULSE, lifetime / 2)

    async def _grant(self) -> tuple[Tongue, Granted]:
        if self._tongue is not None and self.mapping is not None:
            return self._tongue, await self._tongue.map(self._wanted)
        refusal = NotMappedError("no router here maps ports")
        async for tongue in self.gateway.spoken():
            self._tongue = tongue  # from now on there may be something to remove
            try:
                return tongue, await tongue.map(self._wanted)
            except NotMappedError as error:
                refusal = error
        raise refusal

    def _tell(self, mapping: Mapping | None) -> None:
        if mapping == self.mapping:
            return
        self.mapping = mapping
        for listener in self.listeners:
            listener(mapping)
