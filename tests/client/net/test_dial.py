"""Dialling several addresses."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from client.net import dial as module
from client.net.dial import dial

pytestmark = [
    pytest.mark.usefixtures("clean_loop"),
    pytest.mark.filterwarnings("error"),
]


def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def resolve_to(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Every name has these ports of loopback as its addresses."""

    async def found(*_: Any, **__: Any) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 0, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)


async def test_reaches_an_address() -> None:
    with listener() as server, await dial("127.0.0.1", server.getsockname()[1]) as tcp:
        assert tcp.getpeername() == server.getsockname()
        assert not tcp.getblocking()


async def test_goes_on_at_once_when_an_address_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as closed:
        dead = closed.getsockname()[1]
    monkeypatch.setattr(module, "STAGGER", 60)
    with listener() as server:
        alive = server.getsockname()[1]
        resolve_to(monkeypatch, dead, dead, alive)
        async with asyncio.timeout(5):
            tcp = await dial("name", 1)
        with tcp:
            assert tcp.getpeername()[1] == alive


async def test_does_not_wait_for_an_address_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect
    with listener() as server, listener() as silent:
        alive, dead = server.getsockname()[1], silent.getsockname()[1]

        async def slow(tcp: socket.socket, address: Any) -> None:
            if address[1] == dead:
                await asyncio.sleep(60)
            await connect(tcp, address)

        monkeypatch.setattr(loop, "sock_connect", slow)
        monkeypatch.setattr(module, "STAGGER", 0.02)
        resolve_to(monkeypatch, dead, alive)
        async with asyncio.timeout(5):
            tcp = await dial("name", 1)
        with tcp:
            assert tcp.getpeername()[1] == alive


async def test_says_the_last_error_when_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as closed:
        dead = closed.getsockname()[1]
    resolve_to(monkeypatch, dead, dead)
    with pytest.raises(ConnectionRefusedError):
        await dial("name", 1)
    resolve_to(monkeypatch)
    with pytest.raises(OSError, match="no address"):
        await dial("name", 1)


async def test_may_be_cancelled_and_closes_its_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = asyncio.Event()

    async def never(*_: Any) -> None:
        opened.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", never)
    resolve_to(monkeypatch, 1, 2)
    dialling = asyncio.create_task(dial("name", 1))
    await opened.wait()
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling


async def test_of_two_that_answer_at_once_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []
    both = asyncio.Barrier(2)

    async def attempt(_target: Any) -> socket.socket:
        await both.wait()
        opened.append(socket.socket())
        return opened[-1]

    monkeypatch.setattr(module, "_attempt", attempt)
    monkeypatch.setattr(module, "STAGGER", 0.0)
    resolve_to(monkeypatch, 1, 2)
    with await dial("name", 1) as tcp:
        assert len(opened) == 2
        assert [one.fileno() >= 0 for one in opened] == [one is tcp for one in opened]


def test_families_take_turns() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    found = [(six, "a"), (six, "b"), (four, "c"), (four, "d"), (four, "e")]
    assert [name for _, name in module._in_turn(found)] == ["a", "c", "b", "d", "e"]
