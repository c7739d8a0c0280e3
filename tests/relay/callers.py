"""A real relay and real clients on loopback, for the tests of the server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import websockets
from websockets.asyncio.client import ClientConnection

from relay.server import Relay, Settings, serve
from tests.relay.bottle import GENEROUS, ROOM, SECRET, claim_of
from vc_core.envelope import read_attached, read_cookie, write_claim, write_hello
from vc_core.grant import Claims, Grant, make_grant

T = TypeVar("T")

PATIENCE = 10.0  # seconds until a test says that nothing comes


async def soon(awaited: Awaitable[T]) -> T:
    """Wait, but not for ever."""
    return await asyncio.wait_for(awaited, PATIENCE)


class Carrier(Protocol):
    """Anything that brings datagrams to a relay and back."""

    async def send(self, data: bytes) -> None:
        """Send one."""
        ...

    async def receive(self) -> bytes:
        """The next one."""
        ...


class Udp:
    """A UDP socket of a client."""

    def __init__(self, port: int, host: str = "127.0.0.1", at: Any = None) -> None:
        """``at``: the address that it has; None: a free one."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(at or (host, 0))
        self.socket.connect((host, port))

    async def send(self, data: bytes) -> None:
        self.socket.send(data)

    async def receive(self) -> bytes:
        return await soon(asyncio.get_running_loop().sock_recv(self.socket, 2048))

    def has_nothing(self) -> bool:
        """Whether nothing waits to be read."""
        try:
            self.socket.recv(2048)
        except BlockingIOError:
            return True
        return False


class Web:
    """A WebSocket connection of a client."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, data: bytes) -> None:
        await self.connection.send(data)

    async def receive(self) -> bytes:
        message = await soon(self.connection.recv())
        assert isinstance(message, bytes)
        return message


async def dial(port: int, tls: ssl.SSLContext | None = None, path: str = "/relay") -> Web:
    """A WebSocket connection."""
    scheme = "wss" if tls else "ws"
    uri = f"{scheme}://127.0.0.1:{port}{path}"
    return Web(await websockets.connect(uri, ssl=tls, compression=None, proxy=None))


def grant(slot: int, room: bytes = ROOM, secret: bytes = SECRET) -> Grant:
    """As a signaling server would make it."""
    return make_grant(secret, Claims(room, slot, 10**9, int(time.time()) + 600))


async def claim(carrier: Carrier, given: Grant) -> bytes:
    """Say hello and claim; the answer."""
    await carrier.send(write_hello())
    cookie = read_cookie(await carrier.receive()).cookie
    await carrier.send(write_claim(claim_of(given, cookie)))
    return await carrier.receive()


async def attach(carrier: Carrier, slot: int, room: bytes = ROOM, secret: bytes = SECRET) -> None:
    """Have a slot."""
    assert read_attached(await claim(carrier, grant(slot, room, secret))).slot == slot


@contextlib.asynccontextmanager
async def running(**changes: Any) -> AsyncIterator[Relay]:
    """A relay on free ports of loopback, generous unless told otherwise."""
    chosen = {"host": "127.0.0.1", "port": 0, "secret": SECRET, "limits": GENEROUS, **changes}
    relay = await serve(Settings(**chosen))
    try:
        yield relay
    finally:
        await soon(relay.close())


async def until(condition: Any) -> None:
    """Wait until ``condition()`` holds, which something else brings about."""

    async def look() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await soon(look())


def who_has_one(port: int) -> set[int]:
    """The ports of those whom the kernel knows to be served by sockets of their own there."""
    rows = [
        row.split()[1:3]
        for table in ("udp", "udp6")
        for row in Path("/proc/self/net", table).read_text().splitlines()[1:]
    ]
    pairs = [tuple(int(place.partition(":")[2], 16) for place in row) for row in rows]
    return {theirs for ours, theirs in pairs if ours == port and theirs not in (0, port)}


def ports(*clients: Udp) -> set[int]:
    """Theirs."""
    return {one.socket.getsockname()[1] for one in clients}
