"""A gateway: which one serves an address of ours, and in which tongue it answers.

All tongues are tried at once, with questions that change nothing. The first that
is spoken is used; another one is when that refuses. What was found is kept, and
that nothing was found is kept for a while too.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from client.net.portmap import routes
from client.net.portmap.mapping import NotMappedError
from client.net.portmap.routes import Neighbourhood
from client.net.portmap.speak_pcp import Pcp
from client.net.portmap.speak_upnp import Upnp
from client.net.portmap.tongue import Tongue

# Implementation
TABLES: Final = (Path("/proc/net/route"), Path("/proc/net/ipv6_route"))
SILENCE: Final = 120.0  # seconds until a gateway that spoke nothing is tried again


def around(host: str) -> Neighbourhood | None:
    """Where ``host``, a numeric address of ours, lives; None if no router is there."""
    if sys.platform != "linux":
        return routes.guess(host)
    try:
        if ":" in host:
            table = routes.routes_6(TABLES[1].read_text("ascii", "replace"))
        else:
            table = routes.routes_4(TABLES[0].read_text("ascii", "replace"), sys.byteorder)
    except OSError:
        return routes.guess(host)
    return routes.neighbourhood(table, host)


class Gateway:
    """The gateway of one address. ``on_forgot``: it has lost its mappings."""

    def __init__(self, near: Neighbourhood, on_forgot: Callable[[], None]) -> None:
        self._tongues: tuple[Tongue, ...] = (Pcp(near, on_forgot), Upnp(near))
        self._finding: dict[asyncio.Task[bool], Tongue] = {}
        self._begun = 0.0

    async def spoken(self) -> AsyncIterator[Tongue]:
        """The tongues that it answers in, as they are found; ends when no other will come."""
        self._find()
        finding = dict(self._finding)
        pending = set(finding)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task, tongue in finding.items():  # in our order, where several are known
                if task in done and _spoken(task):
                    yield tongue

    async def close(self) -> None:
        """Ask nothing any more."""
        await self._stop()
        for tongue in self._tongues:
            tongue.close()

    def forget(self) -> None:
        """What was found is true no longer: look again next time."""
        if all(task.done() for task in self._finding):
            self._finding.clear()

    def _find(self) -> None:
        over = all(task.done() for task in self._finding)
        found = any(task.done() and _spoken(task) for task in self._finding)
        if self._finding and (not over or found or time.monotonic() < self._begun + SILENCE):
            return
        self._begun = time.monotonic()
        self._finding = {asyncio.create_task(_look(tongue)): tongue for tongue in self._tongues}

    async def _stop(self) -> None:
        for task in self._finding:
            task.cancel()
        if self._finding:
            await asyncio.wait(self._finding)


async def _look(tongue: Tongue) -> bool:
    try:
        return await tongue.find()
    except NotMappedError:
        return False


def _spoken(task: asyncio.Task[bool]) -> bool:
    return not task.cancelled() and task.result()
