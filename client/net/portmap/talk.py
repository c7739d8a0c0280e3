"""Questions to a router: over a connected UDP socket, and by HTTP; all bounded.

Rule 1: an answer comes from whom was asked: the sockets are connected, so the
        system drops everything else.
Rule 2: what cannot be read is no answer; the next one may be.
Rule 3: whatever goes wrong is a ``NotMappedError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from client.net.portmap import http
from client.net.portmap.http import Place
from client.net.portmap.mapping import NotMappedError
from vc_core.errors import RemoteProtocolError

# Implementation
PAUSES: Final = (0.25, 0.5, 0.75)  # seconds after each sending; RFC 6886, 3.1 begins so too
HTTP_LIMIT: Final = 1.5  # seconds of one question and its answer
PIECE: Final = 4096  # bytes

T = TypeVar("T")


class UdpTalk(asyncio.DatagramProtocol):
    """One UDP socket from an address of ours to one port of a router."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: set[_Waiter[Any]] = set()

    @classmethod
    async def open(cls, host: str, router: str, port: int) -> UdpTalk:
        """Both addresses are numeric."""
        try:
            _, talk = await asyncio.get_running_loop().create_datagram_endpoint(
                cls, local_addr=(host, 0), remote_addr=(router, port)
            )
        except OSError as error:
            raise NotMappedError(f"{router} cannot be asked: {error}") from error
        return talk

    async def ask(self, question: bytes, accept: Callable[[bytes], T | None]) -> T:
        """What ``accept`` makes of the answer; it may raise ``RemoteProtocolError`` or say None."""
        waiter = _Waiter(accept)
        self._waiting.add(waiter)
        try:
            for pause in PAUSES:
                if self._transport is not None and not self._transport.is_closing():
                    self._transport.sendto(question)
                await asyncio.wait([waiter.answer], timeout=pause)
                if waiter.answer.done():
                    return waiter.answer.result()
        finally:
            self._waiting.discard(waiter)
            waiter.answer.cancel()
        raise NotMappedError("the router is silent")

    def close(self) -> None:
        """No further answer is awaited."""
        if self._transport is not None:
            self._transport.close()

    # the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """An answer to one of the questions."""
        for waiter in tuple(self._waiting):
            waiter.take(data)

    def error_received(self, exc: Exception) -> None:
        """ICMP says that nobody listens there."""
        for waiter in tuple(self._waiting):
            waiter.fail(NotMappedError(f"the router does not listen: {exc}"))


class _Waiter(Generic[T]):
    """One question under way."""

    def __init__(self, accept: Callable[[bytes], T | None]) -> None:
        self._accept = accept
        self.answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def take(self, data: bytes) -> None:
        try:
            found = self._accept(data)
        except RemoteProtocolError:
            return
        if found is not None and not self.answer.done():
            self.answer.set_result(found)

    def fail(self, error: NotMappedError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def ask_http(host: str, place: Place, question: bytes) -> bytes:
    """The whole answer of ``place`` to a question from ``host``, as bytes of HTTP."""
    try:
        async with asyncio.timeout(HTTP_LIMIT):
            return await _exchange(host, place, question)
    except (OSError, TimeoutError, RemoteProtocolError) as error:
        raise NotMappedError(f"{place} does not answer: {error}") from error


async def _exchange(host: str, place: Place, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(
        place.host, place.port, local_addr=(host, 0), limit=PIECE
    )
    try:
        writer.write(question)
        data = b""
        while len(data) < http.MAX_SIZE and (piece := await reader.read(PIECE)):
            data += piece
            if http.is_whole(data):
                break
        return data
    finally:
        writer.transport.abort()
