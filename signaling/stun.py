"""The UDP side of the signaling server: it answers STUN Binding and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from signaling.sockets import packed
from vc_core.stun_binding import StunResponder


class StunProtocol(asyncio.DatagramProtocol):
    """One UDP socket of a responder."""

    def __init__(self, responder: StunResponder, loop: asyncio.AbstractEventLoop) -> None:
        self._responder = responder
        self._loop = loop
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Answer, if it is a question."""
        address = (packed(addr[0]), addr[1])
        answer = self._responder.receive_datagram(data, address, self._loop.time())
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)

    def error_received(self, exc: Exception) -> None:
        """ICMP says that somebody who asked is gone; that is the asker's affair."""
