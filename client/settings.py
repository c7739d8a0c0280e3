"""Everything that one call can be told, as one value.

Flags win over the environment (``VCHAT_…``), the environment over
``config.toml``, the file over the defaults here (see ``client.config``).
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

from vc_core.record import record

RUNGS = ("direct", "hosted", "relayed")


@record
class Settings:
    """One call of ``vchat host`` or ``vchat join``."""

    hosting: bool
    name: str
    config: Path
    """Folder of identity, contacts and ``config.toml``."""
    code: str | None = None
    """What the guest typed; None for a host."""
    signal: str | None = None
    """URL of a signaling server (``ws://`` or ``wss://``); None: embedded, or by the code."""
    relays: tuple[str, ...] = ()
    """Addresses of relays; each may be several, joined by commas."""
    relay_secret: bytes | None = field(default=None, repr=False)
    """What the embedded signaling server shares with relays."""
    stun: tuple[str, ...] = ()
    """HOST:PORT of further STUN servers."""
    no_stun: bool = False
    lan: bool = True
    """Whether the server inside is announced in this network, or looked for there."""
    turn: tuple[str, ...] = ()
    """``turn:USER:PASSWORD@HOST:PORT`` of TURN servers that may relay."""
    no_port_mapping: bool = False
    """Whether the router is left alone (PCP, NAT-PMP, UPnP)."""
    only: tuple[str, ...] = RUNGS
    """Rungs that may be used."""
    mic: str = "default"
    speaker: str = "default"
    process: bool = False
    """Whether echo, noise and gain processing applies to files as well."""
    record: Path | None = None
    guests: int = 8
    listen: str | None = None
    """HOST:PORT of the embedded signaling server."""
    advertise: str | None = None
    """Host name or address that the code carries instead of the found one."""
    life: float = 600.0
    """Seconds that a code lives."""
    socket: Path | None = None
    """Where the engine listens for faces; None: a fresh path in the runtime folder."""
    detached: bool = False
    """Started by a face: events go to the socket only, and a lost face mutes."""
