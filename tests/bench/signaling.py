"""What one signaling process carries: idle connections, and joins per second.

    python -m tests.bench.signaling [--idle 5000] [--seconds 8]

The server runs as its own process with its limits lifted. The load comes from a
WebSocket client of forty lines, so that the figure is the server's and not that of
the load; on a machine with other work, the CPU time per join is the better figure.
A join is: knock, opened, five bodies of 400 bytes each way in turn, close.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TypeVar, cast

import uvloop

from vc_core.signals import (
    TO_CLIENT,
    TO_SERVER,
    Allocate,
    Allocated,
    Close,
    Closed,
    Hello,
    Knock,
    Opened,
    Post,
    Posted,
)
from vc_core.wire import Record

R = TypeVar("R", bound=Record)
Rows = list[tuple[str, str]]

# Implementation
BODY = bytes(400)
TURNS = 5
PAIRS = 16  # joins that are under way at a time
CONNECT_AT_ONCE = 100
SPARE_FILES = 64
IDLE_SECONDS = 20.5  # each connection is pinged once in that time
LIFTED = (
    "connects=1e9/1e9 guesses=1e9/1e9 allocations=1e9/1e9 traffic=1e11/1e11 connections=60000 "
    "connections_per_customer=60000 exchanges_per_customer=60000 nameplates_per_customer=60000"
)
GREETING = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class LeanClient(asyncio.Protocol):
    """A WebSocket client for small binary messages; its mask is zero, as RFC 6455 allows."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._greeted = False
        self._frames: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(GREETING)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._greeted:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._greeted, self._data = True, rest
        while (frame := self._next_frame()) is not None:
            self._frames.append(frame)
        if self._frames and self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    def _next_frame(self) -> bytes | None:
        data = self._data
        if len(data) < 2:
            return None
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        if len(data) < start + size:
            return None
        kind, frame = data[0], bytes(data[start : start + size])
        del data[: start + size]
        if kind == 0x89:  # ping
            self.transport.write(bytes([0x8A, 0x80 | size]) + bytes(4) + frame)
            return self._next_frame()
        return frame

    def send(self, signal: Record) -> None:
        """Write one signal."""
        body = TO_SERVER.write(signal)
        small = len(body) <= 125
        size = bytes([0x80 | len(body)]) if small else b"\xfe" + len(body).to_bytes(2, "big")
        self.transport.write(b"\x82" + size + bytes(4) + body)

    async def receive(self) -> Record:
        """The next signal."""
        while not self._frames:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return TO_CLIENT.read(self._frames.popleft())

    async def expect(self, kind: type[R]) -> R:
        """The next signal, which is to be of ``kind``."""
        signal = await self.receive()
        assert isinstance(signal, kind), signal
        return signal


class ServerProcess:
    """``vchat signal`` on a free port, without limits."""

    def __init__(self) -> None:
        limits = [word for limit in LIFTED.split() for word in ("--limit", limit)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "signaling.cli", "--listen", "127.0.0.1:0", "--json", *limits],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(json.loads(self._process.stdout.readline())["port"])

    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it politely."""
        self._process.terminate()
        self._process.wait(30)


async def connect(port: int) -> LeanClient:
    """A connection that has been greeted."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(LeanClient, "127.0.0.1", port)
    await client.expect(Hello)
    return client


async def measure_idle(server: ServerProcess, count: int) -> Rows:
    """Open ``count`` connections and leave them alone."""
    await connect(server.port)
    before, began = server.memory(), time.monotonic()
    clients: list[LeanClient] = []
    while len(clients) < count:
        batch = min(CONNECT_AT_ONCE, count - len(clients))
        clients += await asyncio.gather(*(connect(server.port) for _ in range(batch)))
    took = time.monotonic() - began
    each = (server.memory() - before) / count / 1024
    cpu, began = server.cpu(), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    load = (server.cpu() - cpu) / (time.monotonic() - began)
    alive = sum(not client.transport.is_closing() for client in clients)
    for client in clients:
        client.transport.abort()
    return [
        ("idle connections held", f"{alive} of {count}"),
        ("kB per idle connection", f"{each:.1f}"),
        ("connections opened per second", f"{count / took:.0f}"),
        ("CPU while idle", f"{100 * load:.1f} % of a core"),
    ]


async def join(host: LeanClient, guest: LeanClient, digits: str) -> None:
    """One join, as told at the top."""
    guest.send(Knock(digits))
    number = (await guest.expect(Opened)).exchange
    await host.expect(Opened)
    for _ in range(TURNS):
        guest.send(Post(number, BODY))
        await host.expect(Posted)
        host.send(Post(number, BODY))
        await guest.expect(Posted)
    guest.send(Close(number))
    await host.expect(Closed)


async def measure_joins(server: ServerProcess, seconds: float, *, fresh: bool) -> Rows:
    """Join again and again; ``fresh``: each guest with a connection of its own."""
    took: list[float] = []
    end = time.monotonic() + seconds

    async def pair() -> None:
        host = await connect(server.port)
        host.send(Allocate("", bytes(16), 0))
        digits = (await host.expect(Allocated)).nameplate
        guest = await connect(server.port)
        while (began := time.monotonic()) < end:
            if fresh:
                guest.transport.abort()
                guest = await connect(server.port)
            await join(host, guest, digits)
            took.append(time.monotonic() - began)
        for client in (host, guest):
            client.transport.abort()

    cpu, began = server.cpu(), time.monotonic()
    await asyncio.gather(*(pair() for _ in range(PAIRS)))
    passed, cpu = time.monotonic() - began, server.cpu() - cpu
    what = "joins, new connections" if fresh else "joins"
    return [
        (f"{what}, per second", f"{len(took) / passed:.0f}"),
        (f"{what}, per CPU second of the server", f"{len(took) / cpu:.0f}"),
        (f"{what}, p50 ms", f"{1000 * statistics.median(took):.1f}"),
    ]


async def measure(idle: int, seconds: float) -> None:
    """Run all and print the table."""
    server = ServerProcess()
    try:
        rows = [
            *await measure_joins(server, seconds, fresh=False),
            *await measure_joins(server, seconds, fresh=True),
            *await measure_idle(server, idle),
        ]
    finally:
        server.stop()
    for what, value in rows:
        print(f"{what:48} {value:>20}")


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--idle", type=int, default=5000, help="connections")
    parser.add_argument("--seconds", type=float, default=8, help="of each of the two join runs")
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < chosen.idle + SPARE_FILES:
        sys.exit(f"not enough open files allowed for {chosen.idle} connections (ulimit -Hn)")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(measure(chosen.idle, chosen.seconds), 55))


if __name__ == "__main__":
    main()
