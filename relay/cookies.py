"""Cookies: that somebody receives what is sent to its address, with nothing kept.

    cookie = first 16 bytes of BLAKE2s(key, fields("vchat-1 cookie", carrier, host, port, slot))

The key is the forwarder's own and as old as its process; ``slot`` counts
``SLOT`` seconds, and cookies of the present and the last slot hold.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from enum import IntEnum
from typing import NamedTuple

from vc_core.bucket import customer
from vc_core.envelope import COOKIE_SIZE
from vc_core.wire import fields

# Specification
LABEL_COOKIE = "vchat-1 cookie"

# Implementation
SLOT = 30.0
"""Seconds: a cookie holds for 30 to 60."""
KEY_SIZE = 32
_ADDRESS = struct.Struct(">HBH")  # ``fields`` of carrier and host, up to the host itself
_TIME = struct.Struct(">HHHq")  # and of port and slot


class Carrier(IntEnum):
    """What brings datagrams."""

    UDP = 1
    """A UDP port."""
    TCP = 2
    """A WebSocket connection."""
    LINK = 3
    """Something private, such as an ICE pair; its address means nothing outside."""


class Where(NamedTuple):
    """An address as limits and cookies need it."""

    carrier: Carrier
    host: bytes
    """4 or 16 packed bytes; for a link any name of whoever is behind it."""
    port: int

    @property
    def customer(self) -> bytes:
        """Who counts as one."""
        return b"link" + self.host if self.carrier is Carrier.LINK else customer(self.host)


class Cookies:
    """Bakes cookies and knows them again."""

    def __init__(self, key: bytes) -> None:
        self._begun = hashlib.blake2s(fields(LABEL_COOKIE), key=key, digest_size=COOKIE_SIZE)

    def bake(self, where: Where, now: float) -> bytes:
        """The cookie for an address."""
        return self._mac(where, int(now // SLOT))

    def holds(self, cookie: bytes, where: Where, now: float) -> bool:
        """Whether we gave this cookie to this address, not long ago."""
        slot = int(now // SLOT)
        return any(hmac.compare_digest(cookie, self._mac(where, one)) for one in (slot, slot - 1))

    def _mac(self, where: Where, slot: int) -> bytes:
        """The hash is begun once, since a flood of false claims asks for it twice each."""
        mac = self._begun.copy()
        mac.update(_ADDRESS.pack(1, where.carrier, len(where.host)) + where.host)
        mac.update(_TIME.pack(2, where.port, 8, slot))
        return mac.digest()
