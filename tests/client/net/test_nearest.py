"""Relays in the order of their round trips."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from client.net import nearest
from client.net.channels import UdpChannel
from client.net.nearest import nearest_first
from vc_core.envelope import COOKIE

pytestmark = pytest.mark.usefixtures("clean_loop")


class Relay(asyncio.DatagramProtocol):
    """Answers each question ``delay`` seconds later."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        answer = bytes([COOKIE])
        asyncio.get_running_loop().call_later(self._delay, self._transport.sendto, answer, addr)


@asynccontextmanager
async def relay(delay: float) -> AsyncIterator[tuple[str, ...]]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Relay(delay), local_addr=("127.0.0.1", 0)
    )
    yield (f"udp://127.0.0.1:{transport.get_extra_info('sockname')[1]}",)
    transport.abort()


async def test_a_far_relay_is_not_near_because_it_was_asked_again_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearest, "REPEAT", 0.1)
    async with relay(0.12) as far, relay(0.06) as near:
        assert await nearest_first((far, near), loopback=True) == (near, far)


async def test_who_stops_waiting_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Channel] = []

    class Channel(UdpChannel):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            opened.append(self)

    monkeypatch.setattr(nearest, "UdpChannel", Channel)
    asking = asyncio.create_task(nearest_first((("udp://127.0.0.1:9",),), loopback=True))
    while not (opened and opened[0]._socket):
        await asyncio.sleep(0.001)
    asking.cancel()
    await asyncio.wait([asking])
    assert opened[0]._socket is not None and opened[0]._socket.is_closing()


async def test_who_is_silent_stands_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "LIMIT", 0.2)
    silent = ("udp://127.0.0.1:9",)
    async with relay(0.0) as there:
        assert await nearest_first((silent, there), loopback=True) == (there, silent)
