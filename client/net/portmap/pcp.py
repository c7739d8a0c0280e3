"""PCP (RFC 6887), the client's half: ANNOUNCE and MAP.

A question, UDP to port 5351 of the gateway:

     0               1               2               3
    +---------------+---------------+-------------------------------+
    | version 2     |0| opcode      | zeros                         |
    +---------------+---------------+-------------------------------+
    | lifetime that is wanted, seconds; 0 removes                   |
    +---------------------------------------------------------------+
    | our address, 16 bytes (IPv4 as ::ffff:a.b.c.d)                |
    +---------------------------------------------------------------+

An answer:

    +---------------+---------------+---------------+---------------+
    | version 2     |1| opcode      | zeros         | result        |
    +---------------+---------------+---------------+---------------+
    | lifetime that is granted; of an error: how long it will stay  |
    +---------------------------------------------------------------+
    | epoch: seconds since the gateway lost its mappings            |
    +---------------------------------------------------------------+
    | zeros, 12 bytes                                               |
    +---------------------------------------------------------------+

With opcode 1 (MAP) both go on; opcode 0 (ANNOUNCE) ends here:

    +---------------------------------------------------------------+
    | nonce, 12 bytes, ours                                         |
    +---------------+-----------------------------------------------+
    | 17 UDP, 6 TCP | zeros                                         |
    +---------------+---------------+-------------------------------+
    | our port                      | external port                 |
    +-------------------------------+-------------------------------+
    | external address, 16 bytes, like ours                         |
    +---------------------------------------------------------------+

Options may follow an answer; we ask for none and read none.
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum

from client.net.portmap.mapping import Granted, Wanted, external, granted
from vc_core.errors import RemoteProtocolError
from vc_core.record import record

# Specification
PORT = 5351
VERSION = 2
HEADER_SIZE, MAP_SIZE = 24, 60  # bytes, the latter with its header
MAX_SIZE = 1100  # bytes; section 7
PROTOCOLS = {"udp": 17, "tcp": 6}
_ANSWER = 0x80


class Opcode(IntEnum):
    """What is asked."""

    ANNOUNCE = 0
    MAP = 1


class Result(IntEnum):
    """Section 7.4, what matters to us; all other numbers are refusals too."""

    SUCCESS = 0
    NOT_AUTHORIZED = 2
    NO_RESOURCES = 8


@record
class Answer:
    """What every answer says."""

    opcode: int
    result: int
    epoch: int
    lifetime: int


def write_announce(host: str) -> bytes:
    """Are you there? ``host`` is the address that we ask from."""
    return _write_header(Opcode.ANNOUNCE, host, 0)


def write_map(wanted: Wanted, lifetime: int) -> bytes:
    """A mapping, or with lifetime 0 the end of it."""
    suggested = wanted.external_host or ("::" if ":" in wanted.host else "0.0.0.0")
    keep = lifetime > 0
    return b"".join(
        (
            _write_header(Opcode.MAP, wanted.host, lifetime),
            wanted.nonce,
            bytes([PROTOCOLS[wanted.protocol], 0, 0, 0]),
            wanted.port.to_bytes(2, "big"),
            (wanted.external_port if keep else 0).to_bytes(2, "big"),
            _pack(suggested),
        )
    )


def read_answer(data: bytes) -> Answer:
    """The header of an answer."""
    if not HEADER_SIZE <= len(data) <= MAX_SIZE or len(data) % 4:
        raise RemoteProtocolError(f"a PCP answer of {len(data)} bytes")
    if data[0] != VERSION or not data[1] & _ANSWER:
        raise RemoteProtocolError("no PCP answer")
    epoch, lifetime = int.from_bytes(data[8:12], "big"), int.from_bytes(data[4:8], "big")
    return Answer(data[1] & ~_ANSWER, data[3], epoch, lifetime)


def read_map(data: bytes, wanted: Wanted) -> tuple[Answer, Granted | None]:
    """The answer to ``wanted`` (another one raises), and what was granted unless it refuses."""
    answer = read_answer(data)
    if answer.opcode != Opcode.MAP or len(data) < MAP_SIZE:
        raise RemoteProtocolError("no PCP answer to MAP")
    same = (
        data[24:36] == wanted.nonce
        and data[36] == PROTOCOLS[wanted.protocol]
        and int.from_bytes(data[40:42], "big") == wanted.port
    )
    if not same:
        raise RemoteProtocolError("a PCP answer to somebody else's MAP")
    if answer.result != Result.SUCCESS or answer.lifetime == 0:
        return answer, None
    host = external(ipaddress.IPv6Address(data[44:60]))
    return answer, granted(host, int.from_bytes(data[42:44], "big"), answer.lifetime)


class Epoch:
    """Whether the gateway has forgotten us since we last heard it (section 8.5).

    NAT-PMP (RFC 6886, 3.6) judges by less; this serves for both.
    """

    def __init__(self) -> None:
        self._seen: tuple[int, float] | None = None

    def forgot(self, epoch: int, now: float) -> bool:
        """Take an epoch that was heard at ``now`` (seconds, monotonic)."""
        before, self._seen = self._seen, (epoch, now)
        if before is None:
            return False
        theirs, ours = epoch - before[0], now - before[1]
        if theirs < -1:
            return True
        return ours + 2 < theirs - theirs / 16 or theirs + 2 < ours - ours / 16


def _write_header(opcode: Opcode, host: str, lifetime: int) -> bytes:
    return bytes([VERSION, opcode, 0, 0]) + lifetime.to_bytes(4, "big") + _pack(host)


def _pack(host: str) -> bytes:
    address = ipaddress.ip_address(host)
    return (b"" if address.version == 6 else bytes(10) + b"\xff\xff") + address.packed
