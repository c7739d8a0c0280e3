"""UPnP Internet Gateway Device 1 and 2: description and calls of WANIPConnection.

A device describes itself as a tree; of interest are the services in it:

    <root> <URLBase>http://192.168.1.1:5000/</URLBase>          (old devices)
      … <service>
          <serviceType>urn:schemas-upnp-org:service:WANIPConnection:2</serviceType>
          <controlURL>/ctl/IPConn</controlURL>
        </service>

A call is a POST to ``controlURL``:

    <s:Envelope …> <s:Body>
      <u:AddPortMapping xmlns:u="urn:…:WANIPConnection:1">
        <NewRemoteHost></NewRemoteHost> <NewExternalPort>4000</NewExternalPort> …

answered by 200 and ``<u:AddPortMappingResponse>`` with results, or by 500 and a
fault with an ``<errorCode>``. Arguments stand in the order of the specification,
because some devices count instead of reading names.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from enum import IntEnum

from client.net.portmap import http, markup
from client.net.portmap.http import Place
from client.net.portmap.mapping import Wanted, external
from vc_core.errors import RemoteProtocolError
from vc_core.record import record

# Specification
SERVICES = tuple(
    f"urn:schemas-upnp-org:service:{name}"
    for name in ("WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1")
)
"""Best first."""

# Implementation
TITLE = "vchat"
"""How a mapping is called in the router's own list."""

_NUMBER = re.compile("[0-9]{1,9}")


class Fault(IntEnum):
    """Error codes that mean more to us than no (WANIPConnection:2, 2.5)."""

    INVALID_ACTION = 401
    CONFLICT = 718
    SAME_PORT_ONLY = 724
    PERMANENT_ONLY = 725
    UNKNOWN = 0


class FaultError(RemoteProtocolError):
    """The router says no, and why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the router answers with error {code}")
        self.code = code


@record
class Service:
    """A connection of a router to the outside, that can be told things."""

    kind: str
    control: Place

    @property
    def second(self) -> bool:
        """Whether it knows AddAnyPortMapping."""
        return self.kind.endswith(":2")


def read_description(body: bytes, place: Place) -> list[Service]:
    """The services of the device that described itself at ``place``, best first."""
    base, kind, control = place, "", ""
    found: list[Service] = []
    for path, text in markup.elements(body.decode("utf-8", "replace")):
        match path[-1]:
            case "URLBase":
                base = http.join(place, text)
            case "serviceType":
                kind = text
            case "controlURL":
                control = text
            case "service":
                if kind in SERVICES and control:
                    found.append(Service(kind, http.join(base, control)))
                kind = control = ""
    if not found:
        raise RemoteProtocolError("a device that is no way out")
    return sorted(found, key=lambda service: SERVICES.index(service.kind))


def write_call(service: Service, verb: str, arguments: Mapping[str, str]) -> bytes:
    """A call as a whole HTTP question."""
    inner = "".join(f"<{name}>{markup.escape(value)}</{name}>" for name, value in arguments.items())
    body = (
        '<?xml version="1.0"?>\r\n'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{verb} xmlns:u="{service.kind}">{inner}</u:{verb}></s:Body></s:Envelope>'
    )
    return http.write_post(service.control, f"{service.kind}#{verb}", body)


def write_add(service: Service, wanted: Wanted, lifetime: int, *, any_port: bool) -> bytes:
    """Map a port; with ``any_port`` (second version only) another one if ours is taken."""
    arguments = {
        "NewRemoteHost": "",
        "NewExternalPort": str(wanted.external_port),
        "NewProtocol": wanted.protocol.upper(),
        "NewInternalPort": str(wanted.port),
        "NewInternalClient": wanted.host,
        "NewEnabled": "1",
        "NewPortMappingDescription": TITLE,
        "NewLeaseDuration": str(lifetime),
    }
    return write_call(service, f"Add{'Any' if any_port else ''}PortMapping", arguments)


def write_delete(service: Service, protocol: str, external_port: int) -> bytes:
    """Remove a mapping."""
    arguments = {
        "NewRemoteHost": "",
        "NewExternalPort": str(external_port),
        "NewProtocol": protocol.upper(),
    }
    return write_call(service, "DeletePortMapping", arguments)


def write_address(service: Service) -> bytes:
    """Ask for the external address."""
    return write_call(service, "GetExternalIPAddress", {})


def read_results(data: bytes) -> dict[str, str]:
    """What a call gave, by name; ``FaultError`` when it was refused."""
    answer = http.read_answer(data)
    results = {
        path[-1]: text for path, text in markup.elements(answer.body.decode("utf-8", "replace"))
    }
    if answer.status != 200 or "errorCode" in results:
        code = results.get("errorCode", "")
        raise FaultError(int(code) if _NUMBER.fullmatch(code) else Fault.UNKNOWN)
    return results


def read_address(data: bytes) -> str:
    """The external address."""
    said = read_results(data).get("NewExternalIPAddress", "")
    try:
        return external(ipaddress.IPv4Address(said))
    except ValueError as error:
        raise RemoteProtocolError("an external address that is none") from error


def read_port(data: bytes, default: int) -> int:
    """The external port that was reserved; ``default`` where the call names none."""
    said = read_results(data).get("NewReservedPort", str(default))
    if not _NUMBER.fullmatch(said) or not 0 < int(said) < 1 << 16:
        raise RemoteProtocolError("a port that is none")
    return int(said)
