"""The UDP sockets of ICE and the candidates that they are; see ``client.net.ice``.

It leans on private names of aioice, so the version is checked at import.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, Final

import aioice
from aioice import stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import Connection, StunProtocol

if not aioice.__version__.startswith("0.13."):
    raise ImportError(f"aioice 0.13 is needed, this is {aioice.__version__}")

# Implementation
COMPONENT: Final = 1
CHECK_REPEATS: Final = 4  # at 0.5, 1.5, 3.5 and 7.5 s; given up after 15.5 s
QUICK_REPEATS: Final = 3  # of one check, because the peer's checks arrive
RECEIVE_BUFFER: Final = 1 << 20  # bytes; the system may give less
SEND_BUFFER: Final = 1 << 16  # bytes that wait in the process while the system takes no more
LAST_STUN_BYTE: Final = 3  # RFC 9443

Address = tuple[str, int]

log = logging.getLogger(__name__)


class Owner(Connection, ABC):
    """The connection of a socket: aioice's, and what our sockets ask of it besides."""

    @abstractmethod
    def take(self, data: bytes, opened: IceSocket, source: Address) -> None:
        """A datagram that is not STUN, and came to a socket from somewhere."""

    @abstractmethod
    def trust(self, source: Address) -> None:
        """``source`` has shown that it knows the password."""

    @abstractmethod
    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; it ends with the connection."""


class IceSocket(StunProtocol):
    """One UDP socket of a connection."""

    receiver: Owner

    def __init__(self, receiver: Owner) -> None:
        super().__init__(receiver)
        self._checks: dict[Address, tuple[stun.Message, int]] = {}

    def datagram_received(self, data: Any, addr: tuple[Any, ...]) -> None:
        if data and data[0] > LAST_STUN_BYTE:
            self.receiver.take(data, self, (addr[0], addr[1]))
            return
        try:
            super().datagram_received(data, addr)
        except Exception as error:
            # Bytes of strangers: struct.error, KeyError and AssertionError come
            # out of aioice for STUN that is malformed or lacks an attribute.
            log.debug("dropped a malformed STUN message: %r", error)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error or a send that failed: the checks find out by silence."""

    def send_stun(self, message: stun.Message, addr: Address) -> None:
        if message.message_class == stun.Class.RESPONSE:  # only authenticated checks get one
            self.receiver.trust(addr)
        super().send_stun(message, addr)

    async def request(
        self,
        request: stun.Message,
        addr: Address,
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> tuple[stun.Message, Address]:
        if integrity_key is None or retransmissions is not None:  # STUN query, consent
            return await super().request(request, addr, integrity_key, retransmissions)
        self._checks[addr] = (request, QUICK_REPEATS)
        try:
            return await super().request(request, addr, integrity_key, CHECK_REPEATS)
        finally:
            self._checks.pop(addr, None)

    def repeat_check(self, addr: Address) -> None:
        """Send the check that is under way to ``addr`` again, at most a few times."""
        request, left = self._checks.get(addr, (None, 0))
        if request is not None and left > 0:
            self._checks[addr] = (request, left - 1)
            self.send_stun(request, addr)

    def carry(self, data: bytes, addr: Address) -> None:
        """Send a datagram; dropped when too much waits already."""
        transport: Any = self.transport  # typeshed lacks the buffer's size
        if not transport.is_closing() and transport.get_write_buffer_size() < SEND_BUFFER:
            transport.sendto(data, addr)

    @property
    def host(self) -> str:
        """The local address, without port."""
        return self.local_candidate.host

    @property
    def port(self) -> int:
        """The local port."""
        return self.local_candidate.port


async def open_socket(receiver: Owner, host: str) -> IceSocket | None:
    """A socket on some port of an address; None when the address is gone."""
    udp = _bound(host)
    if udp is None:
        return None
    try:
        _, opened = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: IceSocket(receiver), sock=udp
        )
    except OSError:
        udp.close()
        return None
    opened.local_candidate = candidate_of("host", host, udp.getsockname()[1], base=host)
    return opened


def _bound(host: str) -> socket.socket | None:
    """A UDP socket on some port of this address; None when the address is gone."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        udp = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:
        return None
    try:
        udp.setblocking(False)
        udp.bind((host, 0))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    except OSError:
        udp.close()
        return None
    return udp


def reflexive(opened: IceSocket, seen: Address, *, kind: str = "srflx") -> str:
    """The server-reflexive candidate of a socket, as a line.

    ``kind`` "mapped": a router promised the address (RFC 8445 knows no type for it).
    """
    base = opened.local_candidate
    found = candidate_of("srflx", *seen, base=base.host)
    found.foundation = candidate_foundation(kind, "udp", base.host)[:8]
    found.related_address, found.related_port = base.host, base.port
    return found.to_sdp()


def candidate_of(kind: str, host: str, port: int, *, base: str) -> aioice.Candidate:
    return aioice.Candidate(
        foundation=candidate_foundation(kind, "udp", base)[:8],
        component=COMPONENT,
        transport="udp",
        priority=candidate_priority(COMPONENT, kind),
        host=host,
        port=port,
        type=kind,
    )
