"""TURN (RFC 8656): a socket of ICE that is an allocation at somebody's server.

Everything that touches ``aioice.turn`` stands here. What its client lacks or does
otherwise:

- It binds a channel every 500 s, but the permission that comes with it ends after
  300 s (RFC 8656, 9 and 12): here every 240 s.
- It asks for IPv4 only; here for IPv6 as well, with REQUESTED-ADDRESS-FAMILY.
- It makes a task for each datagram; here one goes straight into its channel.
- A silent server keeps it from closing for half a minute; here for a second.
- What the server sends in a broken form ends in the loop's error handler; here nowhere.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import struct
import time
from typing import Any, Final, cast

import aioice
from aioice import stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.turn import TurnClientTcpProtocol, TurnClientUdpProtocol, TurnTransport

from client.net.ice import IceConnection
from client.net.ice_socket import COMPONENT, SEND_BUFFER, Address, IceSocket
from client.net.turn_uri import TurnServer

# Specification
REQUESTED_FAMILY: Final = "REQUESTED-ADDRESS-FAMILY"  # RFC 8656, 18.6
FAMILIES: Final = {4: 0x01000000, 6: 0x02000000}
_CHANNEL: Final = struct.Struct("!HH")

# Implementation
ALLOCATE_LIMIT: Final = 8.0  # seconds: TLS and two questions over a slow link
LIFETIME: Final = 600  # seconds of an allocation that is not refreshed
CHANNEL_REFRESH: Final = 240  # seconds
RETRY_REFRESH: Final = 10  # seconds after which a refresh that failed is tried again
FAREWELL: Final = 1.0  # seconds that giving back an allocation may take

log = logging.getLogger(__name__)

stun.ATTRIBUTES_BY_NAME.setdefault(
    REQUESTED_FAMILY, (0x0017, REQUESTED_FAMILY, stun.pack_unsigned, stun.unpack_unsigned)
)


class _Udp(TurnClientUdpProtocol):
    """The client over UDP."""

    version = 4

    def datagram_received(self, data: bytes | str, addr: tuple[str, int]) -> None:
        _guarded(super().datagram_received, data, addr)

    async def request(self, request: stun.Message) -> tuple[stun.Message, Address]:
        return await super().request(_of_family(request, self.version))


class _Tcp(TurnClientTcpProtocol):
    """The client over TCP or TLS."""

    version = 4

    def datagram_received(self, data: bytes | str, addr: tuple[str, int]) -> None:
        _guarded(super().datagram_received, data, addr)

    async def request(self, request: stun.Message) -> tuple[stun.Message, Address]:
        return await super().request(_of_family(request, self.version))


def _guarded(receive: Any, data: bytes | str, addr: tuple[str, int]) -> None:
    try:
        receive(data, addr)
    except Exception as error:
        log.debug("dropped a malformed message of a TURN server: %r", error)


def _of_family(request: stun.Message, version: int) -> stun.Message:
    if request.message_method == stun.Method.ALLOCATE and version == 6:
        request.attributes.setdefault(REQUESTED_FAMILY, FAMILIES[version])
    return request


class RelaySocket(IceSocket):
    """An allocation."""

    client: _Udp | _Tcp

    def carry(self, data: bytes, addr: Address) -> None:
        client = self.client
        inner: Any = client.transport
        if inner.is_closing() or inner.get_write_buffer_size() >= SEND_BUFFER:
            return
        channel = client.peer_to_channel.get(addr)
        if channel is None:
            self.transport.sendto(data, addr)  # binds one
            return
        if time.time() > client.channel_refresh_at[channel]:
            client.channel_refresh_at[channel] = time.time() + RETRY_REFRESH
            self.receiver.spawn(self._refresh(channel, addr))
        client._send(_CHANNEL.pack(channel, len(data)) + data)

    async def _refresh(self, channel: int, addr: Address) -> None:
        try:
            await self.client.channel_bind(channel, addr)
        except stun.TransactionError as error:
            log.info("a TURN channel was not refreshed: %s", error)
            return
        self.client.channel_refresh_at[channel] = time.time() + CHANNEL_REFRESH

    async def close(self) -> None:
        try:
            async with asyncio.timeout(FAREWELL):
                await self.client.delete()
        except TimeoutError:
            log.info("a TURN server did not take its allocation back")
        finally:
            cast(Any, self.client.transport).abort()
        await super().close()


async def allocate(ice: IceConnection, server: TurnServer, version: int) -> RelaySocket | None:
    """An address of the IP version at a server, or None; who gets it must close it."""
    try:
        async with asyncio.timeout(ALLOCATE_LIMIT):
            client = await _client(server)
            client.version = version
            try:
                return await _allocated(ice, client)
            except BaseException:
                cast(Any, client.transport).abort()
                raise
    except (OSError, TimeoutError, UnicodeError, stun.TransactionError, KeyError) as error:
        why = str(error) or "no answer"
        log.warning("the turn server at %s gives no address: %s", server.host, why)
        return None


async def _client(server: TurnServer) -> _Udp | _Tcp:
    loop = asyncio.get_running_loop()
    address = (server.host, server.port)

    def settings() -> tuple[Address, str | None, str | None, int, int]:
        return address, server.user, server.password, LIFETIME, CHANNEL_REFRESH

    if server.transport == "tcp":
        context = ssl.create_default_context() if server.tls else None
        _, over_tcp = await loop.create_connection(lambda: _Tcp(*settings()), *address, ssl=context)
        return over_tcp
    _, over_udp = await loop.create_datagram_endpoint(
        lambda: _Udp(*settings()), remote_addr=address
    )
    return over_udp


async def _allocated(ice: IceConnection, client: _Udp | _Tcp) -> RelaySocket:
    opened = RelaySocket(ice)
    opened.client = client
    transport = TurnTransport(client)
    await transport._connect(opened)
    host, port = transport.get_extra_info("sockname")
    opened.local_candidate = aioice.Candidate(
        foundation=candidate_foundation("relay", "udp", host)[:8],
        component=COMPONENT,
        transport="udp",
        priority=candidate_priority(COMPONENT, "relay"),
        host=host,
        port=port,
        type="relay",
    )
    return opened
