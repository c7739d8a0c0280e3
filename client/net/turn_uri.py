"""Addresses of TURN servers (RFC 7065), with the credentials that RFC 7065 leaves out.

    turn:USER:PASSWORD@HOST[:PORT][?transport=udp|tcp]       3478, udp
    turns:USER:PASSWORD@HOST[:PORT][?transport=tcp]          5349, TLS over tcp

USER and PASSWORD are percent-encoded where they contain ``:``, ``@``, ``?`` or ``%``;
a server that asks for none is ``turn:HOST``.
"""

from __future__ import annotations

import re
from dataclasses import field
from urllib.parse import unquote

from vc_core.record import record

# Specification
PORTS = {"turn": 3478, "turns": 5349}

_URI = re.compile(
    r"(?P<scheme>turns?):(?:(?P<user>[^\s:@/?#]+):(?P<password>[^\s:@/?#]+)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]@?#]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?"
)


@record
class TurnServer:
    """One server that relays for whoever knows a password (RFC 8656)."""

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    transport: str
    """``udp`` or ``tcp``: between us and the server."""
    tls: bool


def without_password(text: str) -> str:
    """A URI as it may be shown."""
    return re.sub(r"^(turns?:[^:@]*):[^@]*@", r"\1:…@", text)


def parse_turn(text: str) -> TurnServer:
    """What a URI says; ``ValueError`` if it is none."""
    found = _URI.fullmatch(text)
    if found is None:
        raise ValueError("turn:USER:PASSWORD@HOST:PORT or turns:USER:PASSWORD@HOST:PORT")
    tls = found["scheme"] == "turns"
    transport = found["transport"] or ("tcp" if tls else "udp")
    if tls and transport == "udp":
        raise ValueError("turns: over tcp (there is no DTLS here)")
    port = int(found["port"] or PORTS[found["scheme"]])
    if not 0 < port < 1 << 16:
        raise ValueError("a port below 65536")
    user, password = (found[part] and unquote(found[part]) for part in ("user", "password"))
    return TurnServer(found["host"].strip("[]"), port, user, password, transport, tls)
