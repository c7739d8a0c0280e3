"""The server against strangers: garbage, silence, floods, readers that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import socket

import pytest
import websockets

from signaling.limits import Limits
from tests.signaling.bottle import GENEROUS
from tests.signaling.callers import Caller, call, running, soon, until
from vc_core.bucket import Rate
from vc_core.signals import (
    MAX_BODY,
    MAX_MESSAGE,
    TO_CLIENT,
    TO_SERVER,
    Attach,
    Drop,
    Dropped,
    Free,
    Knock,
    Post,
    Posted,
    Refusal,
    Refused,
)
from vc_core.stun_binding import write_request

GREETING = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.fixture(autouse=True)
def nothing_raises_through(event_loop_exceptions: list[str]) -> None:
    """Each test here also fails when the event loop had to catch an exception."""


@pytest.fixture
async def event_loop_exceptions() -> object:
    caught: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: caught.append(str(context)))
    yield caught
    assert not caught


@pytest.mark.parametrize(
    "message",
    [b"", b"\x00", b"\x02", b"\xff" * 40, b"\x42" + bytes(38), b"\x02\xff\xff1", "text", "\0"],
)
async def test_what_cannot_be_read_is_refused_and_the_connection_closed(
    message: str | bytes,
) -> None:
    async with running() as server:
        stranger = await call(server)
        await stranger.connection.send(message)
        assert (await stranger.take(Refused)).reason == Refusal.MALFORMED
        assert await stranger.closed() == 1002
        await until(lambda: server.counts()["connections"] == 0)
        assert server.counts()["cut_off_malformed"] == 1


async def test_a_reason_that_is_none_closes_the_connection() -> None:
    async with running() as server:
        host = await call(server)
        await host.send(Free(await host.allocate(), 77))
        assert (await host.take(Refused)).reason == Refusal.MALFORMED
        assert await host.closed() == 1002


async def test_a_message_over_64_kib_closes_the_connection() -> None:
    async with running() as server:
        stranger = await call(server)
        await stranger.connection.send(bytes(MAX_MESSAGE + 1))
        assert await stranger.closed() == 1009


async def test_random_bytes_at_every_stage_disturb_nobody() -> None:
    chance = random.Random(7)
    async with running() as server:
        host, guest = await call(server), await call(server)
        number = await guest.knock(await host.allocate(), host)
        for start in (b"", b"GET / HTTP/1.1\r\n", GREETING, GREETING + b"\r\n") * 25:
            with socket.create_connection(("127.0.0.1", server.port)) as stranger:
                stranger.sendall(start + chance.randbytes(chance.randrange(300)))
                await asyncio.sleep(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(100):
                stranger.sendto(
                    chance.randbytes(chance.randrange(1400)), ("127.0.0.1", server.port)
                )
        await guest.send(Post(number, b"still here"))
        assert (await host.take(Posted)).body == b"still here"
        await until(lambda: server.counts()["connections"] == 2)


async def test_who_never_greets_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signaling.server.OPEN_TIMEOUT", 0.2)
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: server.counts()["connections"] == 1)
        assert await soon(reader.read()) == b""
        writer.close()
        await until(lambda: server.counts()["connections"] == 0)


async def test_who_does_not_answer_a_ping_is_dropped() -> None:
    async with running(ping_interval=0.1, ping_timeout=0.2) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GREETING + b"\r\n")
        await until(lambda: server.counts()["connections"] == 1)
        await until(lambda: server.counts()["connections"] == 0)
        writer.close()


async def test_a_page_in_a_browser_is_sent_away() -> None:
    async with running() as server:
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await websockets.connect(
                f"ws://127.0.0.1:{server.port}", origin=websockets.Origin("http://x"), proxy=None
            )


async def test_who_connects_too_often_is_told_so_in_the_greeting() -> None:
    limits = dataclasses.replace(GENEROUS, connects=Rate(per_second=0.001, burst=2))
    async with running(limits=limits) as server:
        first = await call(server)
        await call(server)
        with pytest.raises(websockets.InvalidStatus, match="429"):
            await call(server)
        assert await first.allocate()
        assert server.counts()["refused_too_fast"] == 1


async def test_a_full_server_says_so_and_takes_the_next_when_one_leaves() -> None:
    limits = dataclasses.replace(GENEROUS, connections=2)
    async with running(limits=limits) as server:
        first, _second = await call(server), await call(server)
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await call(server)
        await first.connection.close()
        await until(lambda: server.counts()["connections"] == 1)
        await call(server)


async def test_silent_connections_count_before_they_greet() -> None:
    limits = dataclasses.replace(GENEROUS, connections_per_customer=3)
    async with running(limits=limits) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        await until(lambda: server.counts()["connections"] == 3)
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await call(server)
        for one in silent:
            one.close()
        await until(lambda: server.counts()["connections"] == 0)


async def test_guessing_is_slowed_over_the_wire_as_well() -> None:
    limits = dataclasses.replace(GENEROUS, guesses=Limits().guesses)
    async with running(limits=limits) as server:
        guesser = await call(server)
        for number in range(15):
            await guesser.send(Knock(str(4000 + number)))
        told = [(await guesser.take(Refused)).reason for _ in range(15)]
        assert told[:10] == [Refusal.NO_SUCH_NAMEPLATE] * 10
        assert told[10:].count(Refusal.TOO_FAST) >= 4


async def slow_reader(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that reads its greeting and then nothing, with small buffers."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
    writer.write(GREETING + b"\r\n")
    await soon(reader.readuntil(b"\r\n\r\n"))
    return reader, writer


def frame(body: bytes) -> bytes:
    """A short masked binary message."""
    assert len(body) < 126
    return bytes([0x82, 0x80 | len(body)]) + bytes(4) + body


async def test_a_reader_that_does_not_read_is_cut_off_and_delays_nobody() -> None:
    async with running(send_buffer=128 * 1024) as server:
        sender, good = await call(server), await call(server)
        _, writer = await slow_reader(server.port)
        box = b"m" * 32
        writer.write(frame(TO_SERVER.write(Attach(box))))
        await good.send(Attach(box))
        await until(lambda: server.counts()["attachments"] == 2)
        for count in range(400):
            await sender.send(Drop(box, count.to_bytes(2, "big") * 30_000))
            assert (await good.take(Dropped)).body[:2] == count.to_bytes(2, "big")
            if server.counts().get("cut_off_slow"):
                break
        assert server.counts()["cut_off_slow"] == 1
        await until(lambda: server.counts()["connections"] == 2)
        writer.close()


async def test_who_sends_too_much_is_read_slowly_while_others_are_not() -> None:
    limits = dataclasses.replace(GENEROUS, traffic=Rate(per_second=1, burst=MAX_BODY * 2))
    async with running(limits=limits, host="0.0.0.0") as server:
        flood, other = await call(server), await call(server, "[::1]")
        await flood.send(Attach(b"f" * 32))
        await other.send(Attach(b"f" * 32))
        await until(lambda: server.counts()["attachments"] == 2)

        async def pour() -> None:
            for _ in range(1000):
                await flood.send(Drop(b"f" * 32, bytes(MAX_BODY)))

        pouring = asyncio.create_task(pour())
        for _ in range(2):  # as much as the burst allows
            assert len((await other.take(Dropped)).body) == MAX_BODY
        assert await other.allocate()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.connection.recv(), 0.3)
        assert not pouring.done()
        pouring.cancel()


async def test_a_busy_address_gets_no_more_stun_answers_than_its_share() -> None:
    async with running() as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            question = write_request(os.urandom(12))
            loop = asyncio.get_running_loop()
            for _ in range(60):
                for _ in range(10):
                    await loop.sock_sendto(asker, question, ("127.0.0.1", server.stun_port))
                await asyncio.sleep(0)
            answers = 0
            with contextlib.suppress(TimeoutError):
                while await asyncio.wait_for(loop.sock_recv(asker, 2000), 0.2):
                    answers += 1
        assert 200 <= answers <= 300


async def test_a_host_hears_nothing_of_those_who_were_refused() -> None:
    limits = dataclasses.replace(GENEROUS, exchanges_per_connection=1)
    async with running(limits=limits) as server:
        host, guest = await call(server), await call(server)
        digits = await host.allocate()
        number = await guest.knock(digits, host)
        for _ in range(20):
            await guest.send(Knock(digits))
            assert (await guest.take(Refused)).reason == Refusal.FULL
        await guest.send(Post(number, b"next"))
        message = await soon(host.connection.recv(decode=False))
        assert TO_CLIENT.read(message) == Posted(number, b"next")
        assert isinstance(host, Caller)
