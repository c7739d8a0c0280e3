"""STUN Binding (RFC 8489): "from which address do you see me?"

     0                   1                   2                   3
    +-------------------------------+-------------------------------+
    | type: 0x0001 asks, 0x0101     | length of what follows byte 20|
    +-------------------------------+-------------------------------+
    | magic cookie 0x2112A442                                       |
    +---------------------------------------------------------------+
    | transaction id, 12 bytes, chosen by the one who asks          |
    +---------------------------------------------------------------+
    | attributes: u16 type | u16 length | value | zeros to 4 bytes  |
    +---------------------------------------------------------------+

The one attribute of our answer is XOR-MAPPED-ADDRESS (0x0020, section 14.2):

    u8 0 | u8 family: 1 IPv4, 2 IPv6 | u16 port XOR the cookie's upper half
    | address XOR (cookie, transaction id)

An answer has 32 bytes (IPv4) or 44 (IPv6) to a question of at least 20, so
with the headers of IP and UDP it is at most 1.4 times the question.

A question that carries an attribute which must be understood gets no answer
(section 6.3.1 would answer 420): it is an ICE check or a test of RFC 5780 that
went astray, and silence cannot be aimed at anybody.
"""

from __future__ import annotations

from vc_core.bucket import Buckets, Rate, customer, unmapped
from vc_core.errors import LocalProtocolError, RemoteProtocolError

# Specification
TRANSACTION_SIZE = 12  # bytes
HEADER_SIZE = 20  # bytes
_COOKIE = bytes.fromhex("2112a442")
_REQUEST = b"\x00\x01"
_SUCCESS = b"\x01\x01"
_XOR_MAPPED_ADDRESS = 0x0020
_FAMILIES = {1: 4, 2: 16}  # family: bytes of an address
_OPTIONAL = 0x8000  # from this number on an attribute need not be understood

# Implementation
MAX_SIZE = 1200  # bytes of a question or answer that is looked at
PER_CUSTOMER = Rate(per_second=50, burst=200)
"""Eight members behind one NAT ask once for each pair and each interface."""
IN_ALL = Rate(per_second=5000, burst=5000)
"""What a small machine can answer beside its other work."""
CUSTOMERS = 4096
"""How many customers are remembered."""

Address = tuple[bytes, int]
"""4 or 16 packed bytes of an IP address, and a port."""


def write_request(transaction: bytes) -> bytes:
    """The 20 bytes of a question; ``transaction`` are 12 random bytes."""
    if len(transaction) != TRANSACTION_SIZE:
        raise LocalProtocolError(f"a STUN transaction id of {len(transaction)} bytes")
    return _REQUEST + bytes(2) + _COOKIE + transaction


def read_request(data: bytes) -> bytes:
    """The transaction id of a question."""
    transaction, attributes = _read(data, _REQUEST)
    if any(kind < _OPTIONAL for kind, _ in attributes):
        raise RemoteProtocolError("a STUN attribute that must be understood")
    return transaction


def write_answer(transaction: bytes, address: Address) -> bytes:
    """The answer to one who asked from ``address``."""
    host, port = unmapped(address[0]), address[1]
    family = 1 if len(host) == 4 else 2
    mask = _COOKIE + transaction
    value = bytes([0, family]) + _xor(port.to_bytes(2, "big"), mask) + _xor(host, mask[: len(host)])
    attribute = _XOR_MAPPED_ADDRESS.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    return _SUCCESS + len(attribute).to_bytes(2, "big") + mask + attribute


def read_answer(data: bytes) -> tuple[bytes, Address]:
    """The transaction id and the address that an answer tells."""
    transaction, attributes = _read(data, _SUCCESS)
    for kind, value in attributes:
        if kind == _XOR_MAPPED_ADDRESS:
            return transaction, _read_address(value, transaction)
    raise RemoteProtocolError("a STUN answer without an address")


class StunResponder:
    """The whole STUN side of a server: datagrams in, answers out, with limits."""

    def __init__(
        self,
        now: float,
        per_customer: Rate = PER_CUSTOMER,
        in_all: Rate = IN_ALL,
        customers: int = CUSTOMERS,
    ) -> None:
        self._customers = Buckets(per_customer, customers)
        self._all = Buckets(in_all, 1)

    def receive_datagram(self, data: bytes, address: Address, now: float) -> bytes | None:
        """The answer to ``data`` from ``address``, or None for silence; raises nothing."""
        try:
            transaction = read_request(data)
        except RemoteProtocolError:
            return None
        if address[1] == 0 or not self._customers.take(customer(address[0]), now):
            return None
        return write_answer(transaction, address) if self._all.take(b"", now) else None


def _read(data: bytes, kind: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    if not HEADER_SIZE <= len(data) <= MAX_SIZE or data[:2] != kind or data[4:8] != _COOKIE:
        raise RemoteProtocolError("not the STUN message that belongs here")
    body = data[HEADER_SIZE:]
    if len(body) != int.from_bytes(data[2:4], "big") or len(body) % 4:
        raise RemoteProtocolError("a STUN message with a wrong length")
    return data[8:HEADER_SIZE], _read_attributes(body)


def _read_attributes(body: bytes) -> list[tuple[int, bytes]]:
    attributes, at = [], 0
    while at < len(body):
        kind = int.from_bytes(body[at : at + 2], "big")
        size = int.from_bytes(body[at + 2 : at + 4], "big")
        value = body[at + 4 : at + 4 + size]
        if len(value) < size:
            raise RemoteProtocolError("a STUN attribute ends too early")
        attributes.append((kind, value))
        at += 4 + size + -size % 4
    return attributes


def _read_address(value: bytes, transaction: bytes) -> Address:
    size = _FAMILIES.get(value[1]) if len(value) >= 2 else None
    if size is None or len(value) != 4 + size:
        raise RemoteProtocolError("a STUN address of unknown kind")
    mask = _COOKIE + transaction
    port = int.from_bytes(_xor(value[2:4], mask), "big")
    return _xor(value[4:], mask[:size]), port


def _xor(data: bytes, mask: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))
