"""A router that maps ports: PCP, NAT-PMP and UPnP as a test wants them, on loopback.

It writes and reads bytes of its own, from the RFCs, so that a mistake in the
program is not repeated here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from client.net.portmap.routes import Neighbourhood

HOME = "127.0.0.1"
OUTSIDE = "198.51.100.7"
KINDS = {17: "udp", 6: "tcp"}

DESCRIPTION = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><!-- a home router -->
 <device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
  <deviceList><device><serviceList>
   <service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>
    <controlURL>/other</controlURL></service>
   <service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:{version}</serviceType>
    <serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
    <controlURL>{control}</controlURL><SCPDURL/></service>
  </serviceList></device></deviceList></device></root>"""


@dataclass
class Router:
    """What it speaks, what it did."""

    pcp: bool = False
    natpmp: bool = False
    upnp: int = 0
    """Version of WANIPConnection; 0: none."""
    outside: str = OUTSIDE
    epoch: int = 1000
    lifetime: int = 600
    refuse: int = 0
    """Result or error code of every mapping."""
    refuse_pcp: int = 0
    taken: set[int] = field(default_factory=set)
    """External ports of others."""
    permanent_only: bool = False
    reserved: str = ""
    """The external port that it names in any case."""
    control: str = "/ctl"
    location: str = ""
    """What SSDP says, else the true place."""
    slow: float = 0.0
    """Seconds before an answer of HTTP."""
    doors: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """(protocol, external port) → (inner port, lifetime)."""
    asked: list[str] = field(default_factory=list)
    port: int = 0
    ssdp_port: int = 0
    http_port: int = 0
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def near(self) -> Neighbourhood:
        """Where its customers live."""
        network = ipaddress.ip_network("127.0.0.0/8")
        return Neighbourhood(HOME, HOME, network, self.port, (HOME, self.ssdp_port))

    def forget(self) -> None:
        """It was switched off and on."""
        self.doors.clear()
        self.epoch = 0

    # PCP and NAT-PMP

    def answer(self, data: bytes) -> bytes | None:
        """What comes back from port 5351."""
        if data[0] == 2:
            self.asked.append(f"pcp {data[1]}")
            return self._pcp(data) if self.pcp else self._no_pcp()
        self.asked.append(f"natpmp {data[1]}")
        return self._natpmp(data) if self.natpmp else None

    def _no_pcp(self) -> bytes | None:
        return struct.pack(">BBHI", 0, 128, 1, self.epoch) if self.natpmp else None

    def _pcp(self, data: bytes) -> bytes:
        opcode, lifetime = data[1], int.from_bytes(data[4:8], "big")
        assert data[8:24] == bytes(10) + b"\xff\xff" + bytes((127, 0, 0, 1))
        result = (self.refuse or self.refuse_pcp) if opcode == 1 else 0
        given = min(lifetime, self.lifetime)
        head = struct.pack(">BBBBII12x", 2, 128 | opcode, 0, result, given, self.epoch)
        if opcode == 0:
            return head
        nonce, kind, inner, outer = struct.unpack(">12sB3xHH", data[24:44])
        if not result:
            outer = self._open(KINDS[kind], inner, outer, given)
        address = bytes(10) + b"\xff\xff" + ipaddress.ip_address(self.outside).packed
        return head + struct.pack(">12sB3xHH", nonce, kind, inner, outer) + address

    def _natpmp(self, data: bytes) -> bytes:
        if data[1] == 0:
            address = ipaddress.ip_address(self.outside).packed
            return struct.pack(">BBHI4s", 0, 128, 0, self.epoch, address)
        inner, outer, lifetime = struct.unpack(">HHI", data[4:12])
        if not self.refuse:
            kind = {1: "udp", 2: "tcp"}[data[1]]
            outer = self._open(kind, inner, outer, min(lifetime, self.lifetime))
        head = struct.pack(">BBHI", 0, 128 | data[1], self.refuse, self.epoch)
        return head + struct.pack(">HHI", inner, outer, min(lifetime, self.lifetime))

    def _open(self, kind: str, inner: int, outer: int, lifetime: int) -> int:
        mine = [key for key, (port, _) in self.doors.items() if (key[0], port) == (kind, inner)]
        if lifetime == 0:
            for key in mine:
                del self.doors[key]
            return outer
        outer = mine[0][1] if mine else outer
        while outer in self.taken:
            outer += 1
        self.doors[kind, outer] = (inner, lifetime)
        return outer

    # UPnP

    def found(self, data: bytes) -> bytes | None:
        """The answer to a search."""
        wanted = re.search(rb"\r\nST: (\S+)\r\n", data)
        assert data.startswith(b"M-SEARCH * HTTP/1.1\r\n") and wanted
        self.asked.append("ssdp")
        if not self.upnp or b"device:InternetGatewayDevice:1" not in wanted[1]:
            return None
        location = self.location or f"http://{HOME}:{self.http_port}/root.xml"
        return (
            f"HTTP/1.1 200 OK\r\nST: {wanted[1].decode()}\r\nLocation: {location}\r\n\r\n".encode()
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question of HTTP."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
            body = (await reader.readexactly(length)).decode()
            await asyncio.sleep(self.slow)
            if head.startswith(b"GET /root.xml "):
                text = DESCRIPTION.format(version=self.upnp, control=self.control)
                writer.write(chunked(text.encode()))
            elif head.startswith(b"POST /ctl "):
                writer.write(self._soap(head.decode(), body))
            else:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # the customer or the test is gone
        finally:
            writer.close()
            self.serving.discard(task)

    def _soap(self, head: str, body: str) -> bytes:
        verb = re.search(r'SOAPAction: "\S+#(\w+)"', head)
        assert verb and f"<u:{verb[1]} " in body
        said = dict(re.findall(r"<(New\w+)>([^<]*)</", body))
        self.asked.append(verb[1])
        return soap(verb[1], *getattr(self, f"_{verb[1]}")(said))

    def _GetExternalIPAddress(self, said: dict[str, str]) -> tuple[int, str]:
        return 0, f"<NewExternalIPAddress>{self.outside}</NewExternalIPAddress>"

    def _AddPortMapping(self, said: dict[str, str]) -> tuple[int, str]:
        outer, lifetime = int(said["NewExternalPort"]), int(said["NewLeaseDuration"])
        kind = said["NewProtocol"].lower()
        if self.refuse:
            return self.refuse, ""
        if self.permanent_only and lifetime:
            return 725, ""
        if outer in self.taken:
            return 718, ""
        assert said["NewInternalClient"] == HOME and said["NewEnabled"] == "1"
        self.doors[kind, outer] = (int(said["NewInternalPort"]), lifetime)
        return 0, ""

    def _AddAnyPortMapping(self, said: dict[str, str]) -> tuple[int, str]:
        if self.upnp < 2:
            return 401, ""
        while int(said["NewExternalPort"]) in self.taken:
            said["NewExternalPort"] = str(int(said["NewExternalPort"]) + 1)
        code, _ = self._AddPortMapping(said)
        port = self.reserved or said["NewExternalPort"]
        return code, f"<NewReservedPort>{port}</NewReservedPort>"

    def _DeletePortMapping(self, said: dict[str, str]) -> tuple[int, str]:
        key = said["NewProtocol"].lower(), int(said["NewExternalPort"])
        return (0, "") if self.doors.pop(key, None) else (714, "")


def chunked(body: bytes) -> bytes:
    """As some routers answer."""
    pieces = [body[at : at + 500] for at in range(0, len(body), 500)]
    text = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + text + b"0\r\n\r\n"


def soap(verb: str, code: int, inner: str) -> bytes:
    """An answer or a fault."""
    said = f'<u:{verb}Response xmlns:u="urn:x">{inner}</u:{verb}Response>'
    if code:
        said = (
            "<s:Fault><faultcode>s:Client</faultcode><detail><UPnPError>"
            f"<errorCode>{code}</errorCode></UPnPError></detail></s:Fault>"
        )
    body = (
        f'<?xml version="1.0"?>\n<s:Envelope xmlns:s="urn:s"><s:Body>{said}</s:Body></s:Envelope>'
    )
    status = "500 Internal Server Error" if code else "200 OK"
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.answer = answer

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        answer = self.answer(data)
        if answer is not None:
            self.transport.sendto(answer, addr)


@asynccontextmanager
async def running(router: Router) -> AsyncIterator[Router]:
    """The router, listening."""
    loop = asyncio.get_running_loop()
    transports = []
    for name, answer in (("port", router.answer), ("ssdp_port", router.found)):
        transport, _ = await loop.create_datagram_endpoint(
            lambda answer=answer: _Udp(answer),  # type: ignore[misc]
            local_addr=(HOME, 0),
        )
        setattr(router, name, transport.get_extra_info("sockname")[1])
        transports.append(transport)
    server = await asyncio.start_server(router.serve, HOME, 0)
    router.http_port = server.sockets[0].getsockname()[1]
    try:
        yield router
    finally:
        server.close()
        serving = list(router.serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()
        for transport in transports:
            transport.close()
        await asyncio.sleep(0)
