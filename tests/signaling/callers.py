"""A real server and real clients on loopback, for the tests of the server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import websockets
from websockets.asyncio.client import ClientConnection

from signaling.server import Server, Settings, serve
from tests.signaling.bottle import GENEROUS, TOKEN
from vc_core.signals import TO_CLIENT, TO_SERVER, Allocate, Allocated, Hello, Knock, Opened
from vc_core.wire import Record

R = TypeVar("R", bound=Record)
T = TypeVar("T")

PATIENCE = 10.0  # seconds until a test says that nothing comes


async def soon(awaited: Awaitable[T]) -> T:
    """Wait, but not for ever."""
    return await asyncio.wait_for(awaited, PATIENCE)


class Caller:
    """One connection to a server."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, signal: Record) -> None:
        """Say something."""
        await self.connection.send(TO_SERVER.write(signal))

    async def take(self, kind: type[R]) -> R:
        """The next signal, which is to be of ``kind``."""
        message = await soon(self.connection.recv())
        assert isinstance(message, bytes)
        signal = TO_CLIENT.read(message)
        assert isinstance(signal, kind), repr(signal)[:200]
        return signal

    async def allocate(self, wanted: str = "", token: bytes = TOKEN) -> str:
        """Become a host; the digits."""
        await self.send(Allocate(wanted, token, 0))
        return (await self.take(Allocated)).nameplate

    async def knock(self, digits: str, host: Caller) -> int:
        """Open an exchange; its number."""
        await self.send(Knock(digits))
        opened = await self.take(Opened)
        assert await host.take(Opened) == opened
        return opened.exchange

    async def closed(self) -> int | None:
        """Wait until the connection is gone; its close code."""
        await soon(self.connection.wait_closed())
        return self.connection.close_code


@contextlib.asynccontextmanager
async def running(**changes: Any) -> AsyncIterator[Server]:
    """A server on a free port of loopback, generous unless told otherwise."""
    server = await serve(
        Settings(**{"host": "127.0.0.1", "port": 0, "limits": GENEROUS, **changes})
    )
    try:
        yield server
    finally:
        await soon(server.close())


async def call(
    server: Server, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Caller:
    """Connect and hear the hello."""
    scheme = "wss" if tls else "ws"
    connection = await websockets.connect(
        f"{scheme}://{host}:{server.port}", ssl=tls, compression=None, proxy=None
    )
    caller = Caller(connection)
    await caller.take(Hello)
    return caller


async def until(condition: Any) -> None:
    """Wait until ``condition()`` holds, which something else in this loop brings about."""

    async def look() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await soon(look())
