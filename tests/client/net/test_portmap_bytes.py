"""The bytes of port mapping: what is asked, what is understood, what is refused."""

from __future__ import annotations

import struct
import time

import pytest

from client.net.portmap import http, markup, natpmp, pcp, routes, soap, ssdp
from client.net.portmap.http import Place
from client.net.portmap.mapping import Granted, Wanted, is_public
from client.net.portmap.soap import Service
from tests.client.net.router_double import DESCRIPTION, OUTSIDE, Router, chunked
from vc_core.errors import RemoteProtocolError

NONCE = bytes(range(12))
WANTED = Wanted("udp", "192.168.1.7", 40000, NONCE, 40000)
ROUTER = Place("192.168.1.1", 5000, "/root.xml")
SERVICE = Service(soap.SERVICES[0], Place("192.168.1.1", 5000, "/ctl"))


# ---- PCP --------------------------------------------------------------------------------


def test_a_pcp_question_is_that_of_the_rfc() -> None:
    here = bytes.fromhex("00000000000000000000ffffc0a80107")
    assert pcp.write_announce("192.168.1.7") == b"\2\0\0\0" + bytes(4) + here
    asked = pcp.write_map(WANTED, 600)
    assert asked[:8] == b"\2\1\0\0\0\0\2\x58" and asked[8:24] == here
    assert asked[24:44] == NONCE + b"\x11\0\0\0\x9c\x40\x9c\x40"
    assert asked[44:] == bytes(10) + b"\xff\xff" + bytes(4)
    assert pcp.write_map(WANTED, 0)[40:44] == b"\x9c\x40\0\0"


def test_a_pcp_question_over_ipv6_suggests_any_address() -> None:
    asked = pcp.write_map(Wanted("tcp", "2001:db8::7", 80, NONCE, 80), 1)
    assert asked[8:24] == bytes.fromhex("20010db8" + "00" * 11 + "07")
    assert asked[36] == 6 and asked[44:] == bytes(16)


def pcp_answer(**changes: int | bytes | str) -> bytes:
    said = {"version": 2, "opcode": 129, "result": 0, "lifetime": 600, "epoch": 9, "port": 4000}
    said |= {"inner": 40000, "protocol": 17}
    nonce, outside = changes.pop("nonce", NONCE), changes.pop("outside", "c6336407")
    said |= changes  # type: ignore[arg-type]
    head = struct.pack(
        ">BBBBII12x",
        *(said["version"], said["opcode"], 0, said["result"], said["lifetime"], said["epoch"]),
    )
    body = struct.pack(">12sB3xHH", nonce, said["protocol"], said["inner"], said["port"])
    return head + body + bytes(10) + b"\xff\xff" + bytes.fromhex(str(outside))


def test_a_pcp_answer_grants_or_refuses() -> None:
    answer, grant = pcp.read_map(pcp_answer(), WANTED)
    assert (answer.epoch, grant) == (9, Granted(OUTSIDE, 4000, 600))
    assert pcp.read_map(pcp_answer(result=2), WANTED)[1] is None
    assert pcp.read_map(pcp_answer(lifetime=0), WANTED)[1] is None
    options = pcp_answer() + b"\1\0\0\4abcd"
    assert pcp.read_map(options, WANTED)[1] == grant


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"opcode": 1},
        {"opcode": 128},
        {"nonce": bytes(12)},
        {"inner": 40001},
        {"protocol": 6},
        {"port": 0},
        {"outside": "00000000"},
        {"outside": "e0000001"},
        {"outside": "ffffffff"},
        {"outside": "7f000001"},
        {"outside": "00336407"},
    ],
)
def test_a_wrong_pcp_answer_is_none(changes: dict[str, int]) -> None:
    with pytest.raises(RemoteProtocolError):
        pcp.read_map(pcp_answer(**changes), WANTED)


def test_a_pcp_answer_that_is_cut_or_too_long_is_none() -> None:
    whole = pcp_answer()
    for size in range(len(whole)):
        with pytest.raises(RemoteProtocolError):
            pcp.read_map(whole[:size], WANTED)
    with pytest.raises(RemoteProtocolError):
        pcp.read_map(whole + bytes(1100), WANTED)


@pytest.mark.parametrize(
    ("heard", "forgot"),
    [
        ([(100, 0.0), (200, 100.0)], False),
        ([(100, 0.0), (99, 0.5)], False),  # within a second of rounding
        ([(100, 0.0), (0, 5.0)], True),
        ([(100, 0.0), (50, 100.0)], True),
        ([(100, 0.0), (110, 100.0)], True),  # it counts, but from a later beginning
        ([(100, 0.0), (900, 100.0)], True),
        ([(0, 0.0), (3600, 3601.0), (7210, 7200.0)], False),
    ],
)
def test_an_epoch_shows_that_the_router_forgot(
    heard: list[tuple[int, float]], forgot: bool
) -> None:
    epoch = pcp.Epoch()
    assert [epoch.forgot(*one) for one in heard][-1] is forgot


# ---- NAT-PMP ------------------------------------------------------------------------------


def test_a_nat_pmp_question_is_that_of_the_rfc() -> None:
    assert natpmp.write_address() == b"\0\0"
    assert natpmp.write_map(WANTED, 600) == bytes.fromhex("000100009c409c4000000258")
    assert natpmp.write_map(WANTED, 0) == bytes.fromhex("000100009c40000000000000")


def test_a_nat_pmp_answer_grants_or_refuses() -> None:
    address = bytes.fromhex("00800000000003e8c6336407")
    assert natpmp.read_address(address)[1] == OUTSIDE
    given = bytes.fromhex("00810000000003e89c400fa000000258")
    answer, grant = natpmp.read_map(given, WANTED)
    assert (answer.epoch, grant) == (1000, (4000, 600))
    assert natpmp.read_map(bytes.fromhex("00810002000003e8"), WANTED)[1] is None
    assert natpmp.read_map(given[:3] + b"\4" + given[4:], WANTED)[1] is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes.fromhex("00810000000003e8"),  # grants and says nothing
        bytes.fromhex("00810000000003e89c410fa000000258"),  # another port
        bytes.fromhex("00820000000003e89c400fa000000258"),  # TCP
        bytes.fromhex("02810000000003e89c400fa000000258"),
        bytes.fromhex("00010000000003e89c400fa000000258"),
        bytes.fromhex("00810000000003e89c400fa00000025800"),
    ],
)
def test_a_wrong_nat_pmp_answer_is_none(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        natpmp.read_map(data, WANTED)


def test_that_pcp_is_not_known_answers_no_question_of_nat_pmp() -> None:
    with pytest.raises(RemoteProtocolError):
        natpmp.read_address(bytes.fromhex("00800001000003e8"))


# ---- XML, HTTP ------------------------------------------------------------------------------


def test_elements_are_told_with_their_paths_and_texts() -> None:
    text = (
        '<?xml version="1.0"?>\n<a:r x="1"><!-- <no> -->'
        "<b> 1 &lt;&#50;&#x33; </b><c/><![CDATA[<]]></a:r>"
    )
    assert list(markup.elements(text)) == [(("r", "b"), "1 <23"), (("r", "c"), ""), (("r",), "<")]
    assert list(markup.elements(f"<a>{markup.escape('<&>')}</a>")) == [(("a",), "<&>")]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>',
        '<!DOCTYPE a SYSTEM "http://192.0.2.1/x"><a/>',
        "<a><b></a></b>",
        "<a>",
        "</a>",
        "<a",
        "<a>" * 40 + "</a>" * 40,
        "<a>" + "<b/>" * 5000 + "</a>",
        f"<{'n' * 200}/>",
    ],
)
def test_what_is_no_plain_tree_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        list(markup.elements(text))


def test_an_unknown_entity_stays_what_it_is_and_a_wrong_number_becomes_a_mark() -> None:
    (found,) = markup.elements("<a>&e;&#55296;&#x110000;</a>")
    assert found[1] == "&e;\ufffd\ufffd"


def test_hostile_markup_costs_no_time() -> None:
    began = time.monotonic()
    pieces = ("<!--" * 30000, "<![CDATA[" * 14000, "<a " * 40000, "&" * 120000, "<a>&#" * 20000)
    for text in (*pieces, "<" + "n" * http.MAX_BODY, "<n" + " " * http.MAX_BODY):
        with pytest.raises(RemoteProtocolError):
            list(markup.elements(f"<a>{text}"))
    assert time.monotonic() - began < 1.0


def test_a_head_that_does_not_end_is_refused_before_all_of_it_came() -> None:
    for data in (b"x" * 9000, b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 3000):
        with pytest.raises(RemoteProtocolError):
            http.is_whole(data)


def test_an_answer_of_http_is_whole_when_it_says_so() -> None:
    plain = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\n\r\nabc"
    parts = chunked(b"x" * 1234)
    for whole, body in ((plain, b"abc"), (parts, b"x" * 1234)):
        assert http.is_whole(whole) and http.read_answer(whole).body == body
        for size in range(0, len(whole) - 1, 7):
            assert not http.is_whole(whole[:size])
            with pytest.raises(RemoteProtocolError):
                http.read_answer(whole[:size])
    until_end = b"HTTP/1.0 500 No\r\n\r\nall of it"
    assert not http.is_whole(until_end) and http.read_answer(until_end).body == b"all of it"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (1 << 18),
    ],
)
def test_an_answer_of_http_that_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        http.read_answer(data)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("/ctl?x=1", "http://192.168.1.1:5000/ctl?x=1"),
        ("ctl", "http://192.168.1.1:5000/ctl"),
        ("http://192.168.1.1/c", "http://192.168.1.1:80/c"),
        ("HTTP://192.168.1.1:49152/c#d", "http://192.168.1.1:49152/c"),
    ],
)
def test_a_path_is_joined_to_its_place(url: str, found: str) -> None:
    assert str(http.join(ROUTER, url)) == found


@pytest.mark.parametrize(
    "url", ["http://192.168.1.2/c", "//192.168.1.2/c", "https://192.168.1.1/", "/a b", "/\r\nX:"]
)
def test_a_path_that_leads_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(RemoteProtocolError):
        http.join(ROUTER, url)


# ---- SSDP, SOAP -----------------------------------------------------------------------------


def test_a_device_is_where_it_answers_from() -> None:
    router = Router(upnp=1, location="http://192.168.1.1:5000/root.xml")
    answer = router.found(ssdp.write_search(ssdp.TARGETS[0])) or b""
    assert ssdp.read_answer(answer, "192.168.1.1") == ROUTER
    for source in ("192.168.1.2", "fe80::1%eth0"):
        with pytest.raises(RemoteProtocolError):
            ssdp.read_answer(answer, source)
    with pytest.raises(RemoteProtocolError):
        ssdp.read_answer(answer.replace(b"Gateway", b"Printer"), "192.168.1.1")


def test_a_description_names_its_services() -> None:
    text = DESCRIPTION.format(version=2, control="ctl")
    assert soap.read_description(text.encode(), ROUTER) == [SERVICE]
    with pytest.raises(RemoteProtocolError):
        soap.read_description(text.replace("WANIP", "WANXX").encode(), ROUTER)


def test_a_base_that_a_description_names_must_be_the_device() -> None:
    text = DESCRIPTION.format(version=1, control="ctl")
    based = text.replace("<device>", "<URLBase>http://192.168.1.1:81/x/</URLBase><device>", 1)
    (service,) = soap.read_description(based.encode(), ROUTER)
    assert str(service.control) == "http://192.168.1.1:81/x/ctl"
    with pytest.raises(RemoteProtocolError):
        soap.read_description(based.replace("1.1:81", "1.2:81").encode(), ROUTER)


def test_a_call_is_a_question_of_http_with_its_arguments_in_order() -> None:
    head, _, body = soap.write_add(SERVICE, WANTED, 600, any_port=True).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /ctl HTTP/1.1" and "Host: 192.168.1.1:5000" in lines
    assert f"Content-Length: {len(body)}" in lines
    assert f'SOAPAction: "{soap.SERVICES[0]}#AddAnyPortMapping"' in lines
    paths = [(path[-1], text) for path, text in markup.elements(body.decode())]
    assert paths[:8] == [
        ("NewRemoteHost", ""),
        ("NewExternalPort", "40000"),
        ("NewProtocol", "UDP"),
        ("NewInternalPort", "40000"),
        ("NewInternalClient", "192.168.1.7"),
        ("NewEnabled", "1"),
        ("NewPortMappingDescription", "vchat"),
        ("NewLeaseDuration", "600"),
    ]


@pytest.mark.parametrize("text", ["", "x", "999.1.1.1", "::1", "0.0.0.0", "239.1.1.1"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    body = f"<a><NewExternalIPAddress>{text}</NewExternalIPAddress></a>".encode()
    with pytest.raises(RemoteProtocolError):
        soap.read_address(b"HTTP/1.1 200 OK\r\n\r\n" + body)


def test_a_fault_has_its_number() -> None:
    for code, told in (("718", 718), ("-1", 0), ("x", 0), ("9" * 40, 0)):
        body = f"<a><errorCode>{code}</errorCode></a>".encode()
        with pytest.raises(soap.FaultError) as refused:
            soap.read_results(b"HTTP/1.1 500 No\r\n\r\n" + body)
        assert refused.value.code == told


# ---- Routes, addresses ------------------------------------------------------------------------

TABLE_4 = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
wlan0\t00000000\t0202A8C0\t0003\t0\t0\t50\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
wlan0\t0002A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0
tun7\t0000630A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth9\t00000000\t0103A8C0\t0202\t0\t0\t0\t00000000\t0\t0\t0
broken
"""
TABLE_6 = "\n".join(
    " ".join(cells)
    for cells in (
        (
            "20010db8" + "0" * 24,
            "40",
            "0" * 32,
            "00",
            "0" * 32,
            "400",
            "1",
            "0",
            "00000001",
            "eth0",
        ),
        ("0" * 32, "00", "0" * 32, "00", "fe80" + "0" * 27 + "1", "400", "1", "0", "3", "eth0"),
        ("0" * 32, "00", "0" * 32, "00", "0" * 32, "ffffffff", "1", "0", "00200200", "lo"),
    )
)


def test_the_gateway_of_an_address_is_that_of_its_link() -> None:
    table = routes.routes_4(TABLE_4, "little")

    def gateway(host: str) -> str | None:
        found = routes.neighbourhood(table, host)
        return found.gateway if found else None

    assert gateway("192.168.1.7") == "192.168.1.1"
    assert gateway("192.168.2.7") == "192.168.2.2"  # the better metric
    assert gateway("10.99.0.2") is gateway("192.0.2.1") is gateway("127.0.0.1") is None


def test_an_ipv6_gateway_carries_its_interface() -> None:
    found = routes.neighbourhood(routes.routes_6(TABLE_6), "2001:db8::7")
    assert found is not None and found.gateway == "fe80::1%eth0"
    assert routes.neighbourhood(routes.routes_6(TABLE_6), "2001:db9::7") is None


def test_a_table_that_cannot_be_read_has_no_routes() -> None:
    assert routes.routes_4("\n".join(["x " * 11, "eth0 " * 3, ""]), "little") == []
    assert routes.routes_6("zz " * 10) == []


def test_without_a_table_the_first_address_of_a_home_network_is_guessed() -> None:
    found = routes.guess("192.168.1.7")
    assert found is not None and (found.gateway, str(found.network)) == (
        "192.168.1.1",
        "192.168.1.0/24",
    )
    assert routes.guess("192.168.1.1") is routes.guess("8.8.8.8") is routes.guess("::1") is None


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *(
            ("198.51.100.7", True),
            ("192.168.0.1", False),
            ("100.64.0.1", False),
            ("100.128.0.1", True),
        ),
        *(("fd00::1", False), ("2001:db8::1", True), ("192.0.0.4", False)),
    ],
)
def test_an_address_is_public_or_inside(address: str, public: bool) -> None:
    assert is_public(address) is public
