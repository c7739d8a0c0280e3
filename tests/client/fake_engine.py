"""A double of the engine: a private socket that tells what the test says and notes orders."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.client.ui.story import Event

# Implementation
PATIENCE = 10.0  # s that a test waits for anything


class FakeEngine:
    """One face at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.orders: list[dict[str, Any]] = []
        self._came = asyncio.Condition()
        self._writer: asyncio.StreamWriter | None = None
        self._gone = False

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Note every order until the face goes."""
        self._writer = writer
        while line := await reader.readline():
            async with self._came:
                self.orders.append(json.loads(line))
                self._came.notify_all()
        async with self._came:
            self._gone = True
            self._came.notify_all()
        writer.close()

    def tell(self, *events: Event) -> None:
        """Events to the face, in one piece."""
        assert self._writer is not None
        self._writer.write(b"".join(json.dumps(event).encode() + b"\n" for event in events))

    def tell_raw(self, data: bytes) -> None:
        """Bytes that may be no event."""
        assert self._writer is not None
        self._writer.write(data)

    def hang_up(self) -> None:
        """As if the process had died."""
        assert self._writer is not None
        self._writer.transport.abort()

    async def gone(self) -> None:
        """Until the face has closed its end."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: self._gone)

    async def order(self, do: str) -> dict[str, Any]:
        """The first order of this kind that has not been asked for yet."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: any(o["do"] == do for o in self.orders))
        found = next(o for o in self.orders if o["do"] == do)
        self.orders.remove(found)
        return found


@asynccontextmanager
async def fake_engine(folder: Path) -> AsyncIterator[FakeEngine]:
    """Listening in ``folder``."""
    engine = FakeEngine(folder / "fake.sock")
    server = await asyncio.start_unix_server(engine.meet, engine.path)
    try:
        yield engine
    finally:
        server.close()


async def until(condition: Any) -> None:
    """Wait until ``condition()`` holds, a while at most."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)
