"""Addresses of relays, as people and hosts write them.

    HOST:PORT                      UDP, and WebSocket over TLS at the same TCP port
    udp://HOST:PORT                UDP alone
    wss://HOST:PORT[#sha256=HEX]   WebSocket over TLS; the pin replaces the authorities
    ws://HOST:PORT                 WebSocket without TLS (what it carries is sealed anyway)

Commas join the addresses of one relay.
"""

from __future__ import annotations

import re

from vc_core.record import record

# Specification
FORMS = "HOST:PORT, udp://HOST:PORT, wss://HOST:PORT or ws://HOST:PORT"

# Implementation
FORM = re.compile(
    r"(?:(?P<scheme>udp|wss|ws)://)?"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):(?P<port>[0-9]{1,5})"
    r"(?:#sha256=(?P<pin>[0-9A-Fa-f]{64}))?"
)


@record
class Target:
    """One place where a forwarder can be reached."""

    scheme: str
    """udp, wss, ws."""
    host: str
    port: int
    pin: str = ""
    """SHA-256 of its certificate in lower case, or empty."""

    @property
    def transport(self) -> str:
        """udp or tcp."""
        return "udp" if self.scheme == "udp" else "tcp"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        pin = f"#sha256={self.pin}" if self.pin else ""
        return f"{self.scheme}://{host}:{self.port}{pin}"


def parse_address(text: str) -> tuple[Target, ...]:
    """The places that one address names; ``ValueError`` with a sentence for people."""
    match = FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"no address of a relay: {text!r}")
    port = int(match["port"])
    if not 0 < port < 1 << 16:
        raise ValueError(f"no port number: {port}")
    host = match["host"].strip("[]")
    pin = (match["pin"] or "").lower()
    scheme = match["scheme"]
    if scheme is None:
        return Target("udp", host, port), Target("wss", host, port, pin)
    if pin and scheme != "wss":
        raise ValueError(f"only wss:// has a certificate to pin: {text!r}")
    return (Target(scheme, host, port, pin),)


def parse_relay(text: str) -> tuple[str, ...]:
    """The addresses of one relay (commas join them), UDP first; ``ValueError`` otherwise."""
    found = [target for part in text.split(",") for target in parse_address(part)]
    found.sort(key=lambda target: ("udp", "wss", "ws").index(target.scheme))
    return tuple(str(target) for target in dict.fromkeys(found))
