"""A signaling server that greets, keeps what it hears and answers little."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import Server, ServerConnection, serve

from vc_core.signals import TO_CLIENT, TO_SERVER, Allocate, Allocated, Hello
from vc_core.wire import Record

HELLO = TO_CLIENT.write(Hello(1, 3478, (), False))
ALLOCATED = Allocated("1234", 600)


class Signaling:
    """A server that greets, keeps what it hears and answers ``Allocate``."""

    def __init__(self) -> None:
        self.port = 0
        self.heard: list[Record] = []
        self.guests: list[ServerConnection] = []
        self.server: Server | None = None

    async def converse(self, guest: ServerConnection) -> None:
        self.guests.append(guest)
        await guest.send(HELLO)
        async for message in guest:
            assert isinstance(message, bytes)
            signal = TO_SERVER.read(message)
            self.heard.append(signal)
            if isinstance(signal, Allocate):
                await guest.send(TO_CLIENT.write(ALLOCATED))

    async def open(self) -> None:
        self.server = await serve(self.converse, "127.0.0.1", self.port, compression=None)
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()


@asynccontextmanager
async def signaling() -> AsyncIterator[Signaling]:
    server = Signaling()
    await server.open()
    try:
        yield server
    finally:
        await server.close()


def url(port: int) -> str:
    return f"ws://127.0.0.1:{port}"
