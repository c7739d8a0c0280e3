"""A STUN server that answers what a test wants, or nothing (RFC 8489)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

COOKIE = 0x2112A442


def mapped(address: str, port: int) -> Callable[[bytes], bytes]:
    """Answers every request with this IPv4 address."""

    def answer(request: bytes) -> bytes:
        masked = int(ipaddress.IPv4Address(address)) ^ COOKIE
        value = b"\0\1" + (port ^ COOKIE >> 16).to_bytes(2, "big") + masked.to_bytes(4, "big")
        attribute = (0x0020).to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
        return b"\1\1" + len(attribute).to_bytes(2, "big") + request[4:20] + attribute

    return answer


def empty(request: bytes) -> bytes:
    """A success without any address."""
    return b"\1\1\0\0" + request[4:20]


def garbage(request: bytes) -> bytes:
    """The header of an answer with an attribute that ends too early."""
    return b"\1\1\0\6" + request[4:20] + b"\0\x24\0\2ab"


class _Responder(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes] | None) -> None:
        self.answer = answer
        self.asked = 0

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.asked += 1
        if self.answer is not None:
            self.transport.sendto(self.answer(data), addr)


@asynccontextmanager
async def stun_server(
    answer: Callable[[bytes], bytes] | None,
) -> AsyncIterator[tuple[tuple[str, int], _Responder]]:
    """Address of a server on loopback, and itself; ``None`` answers nothing."""
    loop = asyncio.get_running_loop()
    transport, responder = await loop.create_datagram_endpoint(
        lambda: _Responder(answer), local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[:2], responder
    finally:
        transport.close()
        await asyncio.sleep(0)
