"""NAT-PMP (RFC 6886), the client's half: what PCP calls version 0. IPv4 only.

Questions, UDP to port 5351 of the gateway, of 2 and 12 bytes:

    +-----------+-----------+
    | version 0 | opcode 0  |                     what is your external address?
    +-----------+-----------+-----------------------+
    | version 0 | 1 UDP,    | zeros                 |
    |           | 2 TCP     |                       |   map a port; lifetime 0 and
    +-----------+-----------+-----------------------+   external port 0 remove it
    | our port              | external port         |
    +-----------------------+-----------------------+
    | lifetime that is wanted, seconds              |
    +-----------------------------------------------+

Answers, of 12 and 16 bytes; after a refusal the last four and eight may be missing:

    +-----------+-----------+-----------------------+
    | version 0 | 128 + op  | result; 0 is fine     |
    +-----------+-----------+-----------------------+
    | epoch: seconds since the gateway forgot       |
    +-----------------------------------------------+
    | external address      (opcode 0)              |
    +-----------------------+-----------------------+
    | our port              | external port         |   (opcodes 1 and 2)
    +-----------------------+-----------------------+
    | lifetime that is granted                      |
    +-----------------------------------------------+
"""

from __future__ import annotations

import ipaddress

from client.net.portmap.mapping import Wanted, external
from vc_core.errors import RemoteProtocolError
from vc_core.record import record

# Specification
VERSION = 0
ADDRESS, OPCODES = 0, {"udp": 1, "tcp": 2}
UNSUPPORTED_VERSION = 1  # a result; it answers the PCP that was asked at the same time
ERROR_SIZE, ADDRESS_SIZE, MAP_SIZE = 8, 12, 16  # bytes of answers
_ANSWER = 0x80


@record
class Answer:
    """What every answer says."""

    opcode: int
    result: int
    epoch: int
    body: bytes


def write_address() -> bytes:
    """What is your external address?"""
    return bytes([VERSION, ADDRESS])


def write_map(wanted: Wanted, lifetime: int) -> bytes:
    """A mapping, or with lifetime 0 the end of it."""
    suggested = wanted.external_port if lifetime else 0
    ports = wanted.port.to_bytes(2, "big") + suggested.to_bytes(2, "big")
    head = bytes([VERSION, OPCODES[wanted.protocol], 0, 0])
    return head + ports + lifetime.to_bytes(4, "big")


def read_answer(data: bytes) -> Answer:
    """The head of an answer, and what follows it."""
    if not ERROR_SIZE <= len(data) <= MAP_SIZE or data[0] != VERSION or not data[1] & _ANSWER:
        raise RemoteProtocolError("no NAT-PMP answer")
    result, epoch = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:8], "big")
    return Answer(data[1] & ~_ANSWER, result, epoch, data[8:])


def read_address(data: bytes) -> tuple[Answer, str | None]:
    """The answer to the question for the address; None when it is refused."""
    answer = read_answer(data)
    if answer.opcode != ADDRESS or answer.result == UNSUPPORTED_VERSION:
        raise RemoteProtocolError("a NAT-PMP answer to something else")
    if answer.result:
        return answer, None
    if len(data) != ADDRESS_SIZE:
        raise RemoteProtocolError("a NAT-PMP answer of a wrong length")
    return answer, external(ipaddress.IPv4Address(answer.body))


def read_map(data: bytes, wanted: Wanted) -> tuple[Answer, tuple[int, int] | None]:
    """The answer to ``wanted``: external port and lifetime, or None when it is refused."""
    answer = read_answer(data)
    if answer.opcode != OPCODES[wanted.protocol]:
        raise RemoteProtocolError("a NAT-PMP answer to something else")
    if answer.result and len(data) == ERROR_SIZE:
        return answer, None
    if len(data) != MAP_SIZE or int.from_bytes(answer.body[:2], "big") != wanted.port:
        raise RemoteProtocolError("a NAT-PMP answer to somebody else's mapping")
    port, lifetime = int.from_bytes(answer.body[2:4], "big"), int.from_bytes(answer.body[4:], "big")
    return answer, None if answer.result or not (port and lifetime) else (port, lifetime)
