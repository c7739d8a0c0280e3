"""Targets of port mapping: what routers, and who plays one, may answer."""

from __future__ import annotations

from collections.abc import Callable

from client.net.candidates import clean
from client.net.portmap import http, markup, natpmp, pcp, routes, soap, ssdp
from client.net.portmap.http import Place
from client.net.portmap.mapping import Granted, Wanted, is_public
from vc_core.errors import RemoteProtocolError

HERE, THERE = "192.168.1.7", "192.168.1.1"
PLACE = Place(THERE, 5000, "/root.xml")
WANTED = Wanted("udp", HERE, 40000, bytes(12), 40000)
OK = b"HTTP/1.1 200 OK\r\n"


def _usable(host: str, port: int) -> None:
    is_public(host)
    line = f"1 1 udp 1694498815 {host} {port} typ srflx"
    assert clean(line, loopback=False) is not None


def _each(*readers: Callable[[], None]) -> None:
    """Run all; blame the bytes only if all of them do."""
    blame: RemoteProtocolError | None = None
    fine = 0
    for read in readers:
        try:
            read()
            fine += 1
        except RemoteProtocolError as error:
            blame = error
    if not fine and blame is not None:
        raise blame


def pcp_answers(data: bytes) -> None:
    """A datagram from port 5351, in either version."""

    def new() -> None:
        _, grant = pcp.read_map(data, WANTED)
        if grant is not None:
            assert isinstance(grant, Granted) and grant.lifetime > 0
            _usable(grant.host, grant.port)

    def old() -> None:
        _, grant = natpmp.read_map(data, WANTED)
        assert grant is None or (0 < grant[0] < 65536 and grant[1] > 0)

    def address() -> None:
        _, host = natpmp.read_address(data)
        if host is not None:
            _usable(host, 1)

    _each(new, old, address, lambda: check_epoch(data))


def check_epoch(data: bytes) -> None:
    """Any two epochs can be compared."""
    answer = pcp.read_answer(data)
    epoch = pcp.Epoch()
    for now in (0.0, 1.0, 1e9):
        epoch.forgot(answer.epoch, now)


def ssdp_answers(data: bytes) -> None:
    """An answer to a search: it leads nowhere but to who sent it."""
    assert ssdp.read_answer(data, THERE).host == THERE


def description(data: bytes) -> None:
    """What a device says of itself."""
    for service in soap.read_description(data, PLACE):
        question = soap.write_add(service, WANTED, 600, any_port=True)
        head = question.partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert service.control.host == THERE and len(head) == 6, head


def soap_answers(data: bytes) -> None:
    """An answer of HTTP to a call."""

    def address() -> None:
        _usable(soap.read_address(data), 1)

    def port() -> None:
        assert soap.read_port(data, 7) >= 0

    def text() -> None:
        found = list(markup.elements(data.decode("latin-1")))
        assert len(found) <= markup.MAX_ELEMENTS

    def whole() -> None:
        if http.is_whole(data):
            http.read_answer(data)

    _each(address, port, text, whole)


def route_tables(data: bytes) -> None:
    """A routing table of a kernel that we do not know."""
    text = data.decode("latin-1")
    for host, table in (
        (HERE, routes.routes_4(text, "little")),
        ("2001:db8::7", routes.routes_6(text)),
    ):
        routes.neighbourhood(table, host)


def seeds_pcp() -> list[bytes]:
    """A grant and a refusal of each."""
    asked = pcp.write_map(WANTED, 600)
    outside = bytes(10) + b"\xff\xff" + bytes((198, 51, 100, 7))
    granted = b"\2\x81\0\0" + asked[4:8] + b"\0\0\0\7" + bytes(12) + asked[24:44] + outside
    return [
        granted,
        granted[:3] + b"\2" + granted[4:],
        b"\2\x80\0\0" + bytes(20),
        bytes.fromhex("00800000000003e8c6336407"),
        bytes.fromhex("00810000000003e89c409c4000000258"),
        bytes.fromhex("00800001000003e8"),
    ]


def seeds_ssdp() -> list[bytes]:
    """Of a router."""
    heads = f"ST: {ssdp.TARGETS[0]}\r\nLOCATION: {PLACE}\r\n\r\n".encode()
    return [OK + heads]


def seeds_description() -> list[bytes]:
    """Old and new."""
    service = "<service><serviceType>{}</serviceType><controlURL>{}</controlURL></service>"
    base = f"<URLBase>http://{THERE}:81/</URLBase>"
    return [
        f"<root>{base}{service.format(soap.SERVICES[1], 'ctl')}</root>".encode(),
        f'<?xml version="1.0"?><r>{service.format(soap.SERVICES[0], "/c&amp;d")}</r>'.encode(),
        f"<r>{service.format(soap.SERVICES[2], f'http://{THERE}/c')}</r>".encode(),
    ]


def seeds_soap() -> list[bytes]:
    """An address, a port, a fault."""
    address = b"<a><NewExternalIPAddress>198.51.100.7</NewExternalIPAddress></a>"
    port = b"<a><NewReservedPort>4000</NewReservedPort></a>"
    fault = b"<a><errorCode>718</errorCode></a>"
    return [
        OK + b"Content-Length: %d\r\n\r\n" % len(address) + address,
        OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(port), port),
        b"HTTP/1.0 500 No\r\n\r\n" + fault,
        address,
    ]


def seeds_routes() -> list[bytes]:
    """Of each family."""
    cells = ("0" * 32, "00", "0" * 32, "00", "fe80" + "0" * 27 + "1", "400", "1", "0", "3", "eth0")
    link = ("20010db8" + "0" * 24, "40", *cells[2:4], "0" * 32, "400", "1", "0", "1", "eth0")
    four = "eth0 00000000 0101A8C0 0003 0 0 1 00000000 0 0 0\n"
    home = "eth0 0001A8C0 00000000 0001 0 0 1 00FFFFFF 0 0 0\n"
    return [(four + home).encode(), f"{' '.join(link)}\n{' '.join(cells)}\n".encode()]
