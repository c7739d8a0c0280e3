"""A survey of the network: STUN servers, an echo of ourselves, IPv6 and the router, at once.

    servers ──► asked from one socket of each family ──► sightings ──► echo
    router  ──► asked to open another socket's port

Rule 1: it is over within ``LIMIT`` seconds after the last server is known.
Rule 2: nothing that it opens stays open, in the router neither.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, cast

from client.net import nat
from client.net.interfaces import interfaces
from client.net.nat import Address, Echo, Sighting
from client.net.portmap.mapper import Mapper
from client.net.portmap.mapping import Mapping, is_public
from vc_core import stun_binding
from vc_core.errors import RemoteProtocolError
from vc_core.record import record

# Implementation
NAME_LIMIT: Final = 0.6  # seconds for the name of a server
PAUSES: Final = (0.25, 0.35, 0.4)  # seconds after each question to a server
ECHO_WAIT: Final = 0.25  # seconds for a datagram to come back from the router
LIMIT: Final = NAME_LIMIT + sum(PAUSES) + PAUSES[0] + 2 * ECHO_WAIT
PROBE: Final = b"\x10vchat looks at itself "  # no STUN (0 to 3)
FAR: Final = {socket.AF_INET: "198.51.100.1", socket.AF_INET6: "2001:db8::1"}

Found = tuple[Sighting, ...]
Answer = tuple[Address, float]
"""What a server sees, and the round trip in seconds."""


@record
class Server:
    """Somebody who answers STUN."""

    name: str
    """For people."""
    host: str
    port: int


@record
class Survey:
    """What was seen."""

    own: str | None
    """Our IPv4 address that leads out."""
    sightings: Found
    """Over IPv4."""
    sightings_6: Found
    ports: nat.Ports
    echo: Echo
    own_6: str | None
    """Our global IPv6 address that leads out: there is a route."""
    mapping: Mapping | None


async def survey(servers: Sequence[Awaitable[Server | None]], mapper: Mapper | None) -> Survey:
    """Look at everything; ``servers`` may become known while it runs."""
    own, own_6 = own_address(socket.AF_INET), own_address(socket.AF_INET6)
    known = [asyncio.ensure_future(server) for server in servers]
    async with asyncio.TaskGroup() as group:
        four = group.create_task(_look(own, known))
        six = group.create_task(_look(own_6, known))
        mapping = group.create_task(_map(own, mapper))
    sightings, ports, echo = four.result()
    sightings_6, *_ = six.result()
    return Survey(own, sightings, sightings_6, ports, echo, own_6, mapping.result())


def own_address(family: socket.AddressFamily) -> str | None:
    """Our address that leads out, of IPv6 a global one; connecting a UDP socket sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((FAR[family], 9))
            host = str(probe.getsockname()[0])
    except OSError:
        host = ""
    offered = [one for one in interfaces(loopback=False).addresses if _is_of(one, family)]
    if family == socket.AF_INET6:
        return host if host in offered and is_public(host) else None
    return host if host in offered else next(iter(offered), None)


def _is_of(host: str, family: socket.AddressFamily) -> bool:
    return (":" in host) == (family == socket.AF_INET6)


async def _look(
    own: str | None, servers: Sequence[asyncio.Future[Server | None]]
) -> tuple[Found, nat.Ports, Echo]:
    if own is None:
        return (), nat.Ports.UNASKED, Echo.UNTRIED
    async with AsyncExitStack() as stack:
        asker, other = [await _Asker.open(own, stack) for _ in range(2)]
        found = [one for one in await asyncio.gather(*map(asker.sight, servers)) if one]
        ports = nat.ports(asker.address, found)
        echo = Echo.UNTRIED
        if ports in (nat.Ports.STEADY, nat.Ports.UNKNOWN):
            first = nat.outside(found)[0]
            echo = await _echo(asker, other, first)
    return tuple(found), ports, echo


async def _echo(asker: _Asker, other: _Asker, sighting: Sighting) -> Echo:
    """Send to our own outer address from another socket, first as a stranger."""
    assert sighting.seen is not None and sighting.asked is not None
    if await asker.hears(other, sighting.seen):
        return Echo.STRANGER
    outer = await other.ask(sighting.asked, PAUSES[:1])
    if outer is not None:
        asker.send(PROBE, outer[0])  # from now on it is somebody whom we called
        if await asker.hears(other, sighting.seen):
            return Echo.CALLED
    return Echo.NOTHING


async def _map(own: str | None, mapper: Mapper | None) -> Mapping | None:
    if own is None or mapper is None:
        return None
    async with AsyncExitStack() as stack:
        door = await _Asker.open(own, stack)
        mapping = await mapper.map("udp", *door.address)
        mapper.unmap("udp", *door.address)
        return mapping


class _Asker(asyncio.DatagramProtocol):
    """A UDP socket that asks STUN servers and hears its own probes."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, tuple[asyncio.Future[Answer], float]] = {}
        self._probes: dict[bytes, asyncio.Future[None]] = {}

    @classmethod
    async def open(cls, host: str, stack: AsyncExitStack) -> _Asker:
        """On any port of ``host``; closed with ``stack``."""
        loop = asyncio.get_running_loop()
        transport, asker = await loop.create_datagram_endpoint(cls, local_addr=(host, 0))
        stack.callback(transport.close)
        return asker

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """An answer, or a probe of ours."""
        probe = self._probes.get(data)
        if probe is not None and not probe.done():
            probe.set_result(None)
        try:
            transaction, (host, port) = stun_binding.read_answer(data)
        except RemoteProtocolError:
            return
        answer, sent = self._waiting.pop(transaction, (None, 0.0))
        if answer is not None and not answer.done():
            family = socket.AF_INET if len(host) == 4 else socket.AF_INET6
            seen = (socket.inet_ntop(family, host), port)
            answer.set_result((seen, time.monotonic() - sent))

    def error_received(self, exc: Exception) -> None:
        """An ICMP error or a send that failed: silence says the same."""

    @property
    def address(self) -> Address:
        """Where it is bound."""
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    def send(self, data: bytes, to: Address) -> None:
        """One datagram."""
        self._transport.sendto(data, to)

    async def sight(self, server: asyncio.Future[Server | None]) -> Sighting | None:
        """What a server sees of this socket; None if there is none."""
        known = await server
        if known is None:
            return None
        place = await _resolve(known, self.address[0])
        answer = await self.ask(place) if place is not None else None
        seen, seconds = answer or (None, 0.0)
        return Sighting(known.name, place, seen, seconds)

    async def ask(self, server: Address, pauses: Sequence[float] = ()) -> Answer | None:
        """What the server says, if it answers before the last pause is over."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        for pause in pauses or PAUSES:
            transaction = os.urandom(stun_binding.TRANSACTION_SIZE)
            self._waiting[transaction] = (answer, time.monotonic())
            self.send(stun_binding.write_request(transaction), server)
            await asyncio.wait([answer], timeout=pause)
            if answer.done():
                return answer.result()
        return None

    async def hears(self, other: _Asker, outer: Address) -> bool:
        """Whether what ``other`` sends to our outer address comes in."""
        probe = PROBE + os.urandom(16)
        heard = self._probes[probe] = asyncio.get_running_loop().create_future()
        other.send(probe, outer)
        await asyncio.wait([heard], timeout=ECHO_WAIT)
        return heard.done()


async def _resolve(server: Server, own: str) -> Address | None:
    """The first address of the family of ``own``."""
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(NAME_LIMIT):
            found = await loop.getaddrinfo(
                server.host, server.port, family=family, type=socket.SOCK_DGRAM
            )
    except (OSError, UnicodeError, TimeoutError):
        return None
    return (str(found[0][4][0]), int(found[0][4][1])) if found else None
