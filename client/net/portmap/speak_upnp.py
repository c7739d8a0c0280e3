"""UPnP as a tongue: SSDP finds the device, HTTP describes it, SOAP tells it things.

    search ──► answers of this link ──► description ──► an external address: found
                (the gateway's first)

Rule 1: who answers must be the gateway or live on our own link, and is asked
        nothing anywhere else than at the address that answered.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from client.net.portmap import http, soap, ssdp
from client.net.portmap.http import Place
from client.net.portmap.mapping import LIFETIME, Granted, NotMappedError, Wanted, granted
from client.net.portmap.routes import Neighbourhood
from client.net.portmap.soap import Fault, FaultError, Service
from client.net.portmap.talk import ask_http
from vc_core.errors import RemoteProtocolError

# Implementation
SEARCHES: Final = (0.0, 0.6)  # seconds; UDP gets lost
SEARCH_LIMIT: Final = 2.0  # seconds until a network counts as one without UPnP
STRANGERS_WAIT: Final = 0.5  # seconds that the gateway gets before others of the link
MAX_DEVICES: Final = 4
HOPS: Final = 2  # of multicast; UPnP Device Architecture 1.1, 1.3.2
TRIES: Final = 4  # external ports
FREE_PORTS: Final = (1024, 65535)

T = TypeVar("T")


class Upnp:
    """One internet gateway device."""

    name = "UPnP"

    def __init__(self, near: Neighbourhood) -> None:
        self._near = near
        self._service: Service | None = None

    async def find(self) -> bool:
        """Search the link for a device with an external address."""
        if ":" in self._near.host:
            return False
        try:
            async with asyncio.timeout(SEARCH_LIMIT):
                self._service = await _Search(self._near).run()
        except (TimeoutError, OSError):
            return False
        return True

    async def map(self, wanted: Wanted) -> Granted:
        """Ask for the port, and for others if it is taken."""
        service = self._found()
        port, lifetime = await self._add(service, wanted)
        host = await self._call(soap.write_address(service), soap.read_address)
        return granted(host, port, lifetime)

    async def unmap(self, wanted: Wanted) -> None:
        """Remove it."""
        question = soap.write_delete(self._found(), wanted.protocol, wanted.external_port)
        await self._call(question, soap.read_results)

    def close(self) -> None:
        """Nothing stays open between questions."""

    async def _add(self, service: Service, wanted: Wanted) -> tuple[int, int]:
        """External port and lifetime."""
        if service.second and not wanted.external_host:
            question = soap.write_add(service, wanted, LIFETIME, any_port=True)
            try:
                port = await self._call(
                    question, lambda data: soap.read_port(data, wanted.external_port)
                )
            except RefusedError:
                pass  # it may still like the older call
            else:
                return port, LIFETIME
        lifetime = LIFETIME
        for _ in range(TRIES):
            question = soap.write_add(service, wanted, lifetime, any_port=False)
            try:
                await self._call(question, soap.read_results)
            except RefusedError as refused:
                if refused.code == Fault.PERMANENT_ONLY:
                    lifetime = 0
                elif refused.code == Fault.SAME_PORT_ONLY and wanted.external_port != wanted.port:
                    wanted = replace(wanted, external_port=wanted.port)
                elif refused.code == Fault.CONFLICT:
                    wanted = replace(wanted, external_port=random.randint(*FREE_PORTS))
                else:
                    raise
            else:
                return wanted.external_port, lifetime
        raise NotMappedError("the router finds no free port")

    def _found(self) -> Service:
        if self._service is None:
            raise NotMappedError("the router was not found")
        return self._service

    async def _call(self, question: bytes, read: Callable[[bytes], T]) -> T:
        return await _call(self._near.host, self._found().control, question, read)


class RefusedError(NotMappedError):
    """The router answers with an error of UPnP."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the router refuses with UPnP error {code}")
        self.code = code


async def _call(host: str, place: Place, question: bytes, read: Callable[[bytes], T]) -> T:
    data = await ask_http(host, place, question)
    try:
        return read(data)
    except FaultError as fault:
        raise RefusedError(fault.code) from fault
    except RemoteProtocolError as error:
        raise NotMappedError(f"{place} gives no usable answer: {error}") from error


class _Search(asyncio.DatagramProtocol):
    """One search, until a device of this link turns out to be a way out."""

    def __init__(self, near: Neighbourhood) -> None:
        self._near = near
        self._places: dict[Place, asyncio.Task[None]] = {}
        self._service: asyncio.Future[Service] = asyncio.get_running_loop().create_future()

    async def run(self) -> Service:
        """The first service that tells an external address; waits for ever if there is none."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, sock=_socket(self._near.host)
        )
        asking = asyncio.create_task(self._ask(transport))
        try:
            return await self._service
        finally:
            transport.close()
            tasks = [asking, *self._places.values()]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _ask(self, transport: asyncio.DatagramTransport) -> None:
        before = 0.0
        for at in SEARCHES:
            await asyncio.sleep(at - before)
            before = at
            for target in ssdp.TARGETS:
                for place in (self._near.ssdp, (self._near.gateway, self._near.ssdp[1])):
                    transport.sendto(ssdp.write_search(target), place)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """An answer, perhaps of a stranger."""
        source = str(addr[0])
        near = source == self._near.gateway
        if not near and ipaddress.ip_address(source) not in self._near.network:
            return
        try:
            place = ssdp.read_answer(data, source)
        except RemoteProtocolError:
            return
        if place not in self._places and len(self._places) < MAX_DEVICES:
            delay = 0.0 if near else STRANGERS_WAIT
            self._places[place] = asyncio.create_task(self._look(place, delay))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at one of the places; another may answer."""

    async def _look(self, place: Place, delay: float) -> None:
        await asyncio.sleep(delay)
        host = self._near.host
        try:
            services = await _call(host, place, http.write_get(place), _described(place))
        except NotMappedError:
            return
        for service in services[: len(soap.SERVICES)]:
            try:
                await _call(host, service.control, soap.write_address(service), soap.read_address)
            except NotMappedError:
                continue
            if not self._service.done():
                self._service.set_result(service)
            return


def _described(place: Place) -> Callable[[bytes], list[Service]]:
    def read(data: bytes) -> list[Service]:
        answer = http.read_answer(data)
        if answer.status != 200:
            raise RemoteProtocolError(f"status {answer.status}")
        return soap.read_description(answer.body, place)

    return read


def _socket(host: str) -> socket.socket:
    """A UDP socket whose multicast leaves by the interface of ``host``."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
        udp.bind((host, 0))
    except OSError:
        udp.close()
        raise
    return udp
