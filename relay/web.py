"""One WebSocket connection of a forwarder: a binary message is a datagram.

TCP brings everything or nothing, and late; what would wait in our own buffer
waits in a ``Queue`` instead, where it grows old and is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from relay.cookies import Carrier, Where
from relay.lines import Exchange
from relay.queues import Queue
from relay.sockets import packed
from vc_core.envelope import HELLO_SIZE, MAX_INNER, PASS_OVERHEAD

# Specification
MAX_MESSAGE = max(HELLO_SIZE, MAX_INNER + PASS_OVERHEAD)
"""Bytes of a message; longer ones end the connection."""

# Implementation
BUFFER = 16 * 1024
"""Bytes in the transport's buffer from which on others wait in the queue."""
NOT_SENT = 16 * 1024
"""Bytes that the kernel keeps unsent before it calls the connection full."""
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class WebLine:
    """A line to one client; see ``relay.lines.Line``."""

    def __init__(self, forwarder: Exchange, connection: ServerConnection) -> None:
        peer = connection.remote_address
        self.where = Where(Carrier.TCP, packed(peer[0]), peer[1])
        self._forwarder = forwarder
        self._connection = connection
        self._queue = Queue()
        self._writer: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """From the greeting to the end of the connection."""
        self._calm_down()
        try:
            with contextlib.suppress(ConnectionClosed):
                async for message in self._connection:
                    if isinstance(message, str):
                        await self._connection.close(CloseCode.UNSUPPORTED_DATA)
                        return
                    self._forwarder.receive_datagram(message, self)
        finally:
            self._forwarder.disconnected(self)
            if self._writer is not None:
                self._writer.cancel()

    def send(self, data: bytes, now: float) -> None:
        """Write now, or when the client has read."""
        transport = self._connection.transport
        if self._writer is None and transport.get_write_buffer_size() < BUFFER:
            broadcast([self._connection], data)  # at once, skips who is closing, raises nothing
            return
        before = self._queue.dropped
        self._queue.push(data, now)
        self._forwarder.lost["lines"] += self._queue.dropped - before
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        """Empty the queue as fast as the client reads."""
        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                await self._connection.drain()
                if self._connection.transport.is_closing():
                    return
                data = self._queue.pop(time.monotonic())
                if data is None:
                    break
                broadcast([self._connection], data)
        self._writer = None

    def _calm_down(self) -> None:
        """Keep the buffers below us small."""
        transport = self._connection.transport
        transport.set_write_buffer_limits(high=BUFFER, low=BUFFER // 4)
        one = transport.get_extra_info("socket")
        if one is not None and _TCP_NOTSENT_LOWAT is not None:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOT_SENT)
