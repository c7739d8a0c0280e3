"""SSDP (UPnP Device Architecture 1.1, 1.3): who here is an internet gateway?

    M-SEARCH * HTTP/1.1                      UDP, to 239.255.255.250:1900 and to
    HOST: 239.255.255.250:1900               the gateway itself
    MAN: "ssdp:discover"
    MX: 1                                    wait at most a second
    ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1

    HTTP/1.1 200 OK
    LOCATION: http://192.168.1.1:5000/rootDesc.xml
    ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1

An answer is an invitation to fetch what LOCATION names, so it must name the very
address that answered.
"""

from __future__ import annotations

import ipaddress

from client.net.portmap import http
from client.net.portmap.http import Place
from vc_core.errors import RemoteProtocolError

# Specification
TARGETS = tuple(
    f"urn:schemas-upnp-org:{kind}"
    for kind in (
        "device:InternetGatewayDevice:1",
        "device:InternetGatewayDevice:2",
        "service:WANIPConnection:1",
    )
)

# Implementation
MAX_SIZE = 2048  # bytes of an answer
WAIT = 1  # seconds over which devices may spread their answers


def write_search(target: str) -> bytes:
    """The question for one kind of device or service."""
    return (
        "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
        f'MAN: "ssdp:discover"\r\nMX: {WAIT}\r\nST: {target}\r\n\r\n'
    ).encode()


def read_answer(data: bytes, source: str) -> Place:
    """Where ``source`` (a numeric address) describes itself."""
    if len(data) > MAX_SIZE:
        raise RemoteProtocolError(f"an SSDP answer of {len(data)} bytes")
    answer = http.read_answer(data)
    if answer.status != 200 or answer.heads.get("st") not in TARGETS:
        raise RemoteProtocolError("an SSDP answer to something else")
    place = http.read_url(answer.heads.get("location", ""))
    try:
        same = ipaddress.ip_address(place.host) == ipaddress.ip_address(source)
    except ValueError as error:
        raise RemoteProtocolError("an SSDP answer without an address") from error
    if not same:
        raise RemoteProtocolError("an SSDP answer that speaks for another machine")
    return place
