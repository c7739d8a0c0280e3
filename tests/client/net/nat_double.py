"""A NAT between two ends on loopback, which can forget its mapping as real ones do.

    one ◄──► [outer]  NAT  [inner] ◄──► two

``one`` knows ``two`` as the address of ``outer`` only. After ``rebind`` there is another
``outer``, and what is sent to the old one is lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from client.net.candidates import Description

Address = tuple[str, int]


class _Port(asyncio.DatagramProtocol):
    """One UDP socket of the NAT."""

    def __init__(self, nat: Nat) -> None:
        self.nat = nat
        self.sent_to: set[Address] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.DatagramTransport = transport

    @property
    def address(self) -> Address:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return host, port

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.nat.carry(self, data, (addr[0], addr[1]))


@dataclass
class Nat:
    """Make it with ``nat()``."""

    shut: bool = False
    """Whether ``one`` stands behind a NAT too, which lets in only answers."""
    one: Address | None = None
    """Where the packets of ``one`` came from last."""
    two: Address | None = None
    copied_to: Address | None = None
    ports: list[_Port] = field(default_factory=list)
    inner: _Port | None = None
    outer: _Port | None = None
    called: set[Address] = field(default_factory=set)

    async def open(self) -> _Port:
        loop = asyncio.get_running_loop()
        _, port = await loop.create_datagram_endpoint(
            lambda: _Port(self), local_addr=("127.0.0.1", 0)
        )
        self.ports.append(port)
        return port

    async def rebind(self) -> None:
        """Forget the mapping and make another."""
        self.outer = await self.open()

    def carry(self, port: _Port, data: bytes, source: Address) -> None:
        """One packet through it, or not."""
        assert self.inner is not None and self.outer is not None
        if port is self.inner:
            self.two = source
            if self.one is not None and (not self.shut or self.outer.address in self.called):
                self.outer.transport.sendto(data, self.one)
            return
        self.one = source
        self.called.add(port.address)
        if port is self.outer and self.two is not None:
            self.inner.transport.sendto(data, self.two)

    def as_seen(self, description: Description, port: _Port | None) -> Description:
        """A description with the NAT's address in place of those of the end."""
        assert port is not None
        host, number = port.address
        line = f"nat 1 udp 1694498815 {host} {number} typ srflx"
        return replace(description, candidates=(line,))

    def close(self) -> None:
        for port in self.ports:
            port.transport.close()


async def nat(*, shut: bool = False) -> Nat:
    """One with a mapping."""
    made = Nat(shut=shut)
    made.inner = await made.open()
    made.outer = await made.open()
    return made
