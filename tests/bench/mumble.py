"""A Mumble client that only speaks and counts, and Mumble's server to talk to.

Control goes over TLS (u16 type, u32 length, protobuf), voice over UDP, sealed with
OCB2-AES128 under the key of ``CryptSetup``:

    1 byte of the nonce | 3 bytes of the tag | sealed packet
    packet = u8 type (3 bits), target (5 bits) | varint sequence | varint size | opus
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import time
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.bench.turn import free_port

# Specification
VERSION, AUTHENTICATE, PING, SERVER_SYNC, CRYPT_SETUP = 0, 2, 3, 5, 15
REJECT = 4
UDP_PING, UDP_OPUS = 1 << 5, 4 << 5
BLOCK = 16

CONFIG = """
database={folder}/murmur.sqlite
logfile={folder}/murmur.log
pidfile={folder}/murmur.pid
host=127.0.0.1
port={port}
users=200
bandwidth=100000000
autobanAttempts=0
bonjour=false
dbus=
ice=
"""


class Murmur:
    """Mumble's server on loopback."""

    def __init__(self, folder: Path, program: str) -> None:
        self.port = free_port()
        folder.chmod(0o777)  # started by root, it becomes somebody else
        config = folder / "murmur.ini"
        config.write_text(CONFIG.format(folder=folder, port=self.port))
        self._process = subprocess.Popen(
            [program, "-fg", "-ini", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)


class MumbleClient:
    """One user in the root channel."""

    def __init__(self, port: int, name: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._control = context.wrap_socket(_connected(port))
        self._say(VERSION, _field(1, (1 << 16) | (3 << 8)))
        self._say(AUTHENTICATE, _text(1, name.encode()) + _field(5, 1))
        setup = self._wait_for(CRYPT_SETUP)
        self._wait_for(SERVER_SYNC)
        self._aes = Cipher(algorithms.AES(setup[1]), modes.ECB()).encryptor()
        self._nonce = bytearray(setup[2])
        self._sequence = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(2)
        self.stay()
        self.socket.recv(2048)  # the answer: UDP works from now on

    def stay(self) -> None:
        """Sign of life, by both ways."""
        self._say(PING, b"")
        self.socket.send(self.seal(bytes((UDP_PING, 1))))
        self._control.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            while self._control.recv(65536):
                pass
        self._control.setblocking(True)

    def voice(self, size: int) -> bytes:
        """The next sealed packet of ``size`` bytes of Opus, to everybody here."""
        self._sequence += 1
        head = bytes((UDP_OPUS,)) + _mumble_number(self._sequence) + _mumble_number(size)
        return self.seal(head + bytes(range(256))[:size].ljust(size, b"x"))

    def seal(self, data: bytes) -> bytes:
        """OCB2 with the next nonce."""
        for at in range(BLOCK):
            self._nonce[at] = (self._nonce[at] + 1) & 0xFF
            if self._nonce[at]:
                break
        sealed, tag = self._ocb(data)
        return bytes(self._nonce[:1]) + tag[:3] + sealed

    def close(self) -> None:
        """Leave."""
        self.socket.close()
        self._control.close()

    def _ocb(self, data: bytes) -> tuple[bytes, bytes]:
        encrypt, delta, checksum, sealed = self._aes.update, 0, 0, b""
        delta = int.from_bytes(encrypt(bytes(self._nonce)), "big")
        while len(data) > BLOCK:
            delta = _twice(delta)
            block, data = int.from_bytes(data[:BLOCK], "big"), data[BLOCK:]
            checksum ^= block
            mixed = int.from_bytes(encrypt((delta ^ block).to_bytes(BLOCK, "big")), "big")
            sealed += (mixed ^ delta).to_bytes(BLOCK, "big")
        delta = _twice(delta)
        pad = encrypt((len(data) * 8 ^ delta).to_bytes(BLOCK, "big"))
        padded = data + pad[len(data) :]
        checksum ^= int.from_bytes(padded, "big")
        sealed += bytes(a ^ b for a, b in zip(data, pad, strict=False))
        delta ^= _twice(delta)
        return sealed, encrypt((delta ^ checksum).to_bytes(BLOCK, "big"))

    def _say(self, kind: int, body: bytes) -> None:
        self._control.sendall(kind.to_bytes(2, "big") + len(body).to_bytes(4, "big") + body)

    def _wait_for(self, wanted: int) -> dict[int, bytes]:
        while True:
            head = self._read(6)
            kind, body = (
                int.from_bytes(head[:2], "big"),
                self._read(int.from_bytes(head[2:], "big")),
            )
            assert kind != REJECT, body
            if kind == wanted:
                return _fields(body)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._control.recv(size - len(data))
            assert piece, "Mumble's server hung up"
            data += piece
        return data


def _connected(port: int) -> socket.socket:
    for _ in range(100):  # it makes a certificate first
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError("Mumble's server does not listen")


def _twice(block: int) -> int:
    """Multiplication by x in GF(2^128)."""
    block <<= 1
    return block ^ ((1 << 128) | 0x87) if block >> 128 else block


def _mumble_number(value: int) -> bytes:
    """Mumble's varint, of up to 14 bits."""
    return bytes((value,)) if value < 0x80 else bytes((0x80 | value >> 8 & 0x3F, value & 0xFF))


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def _field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _text(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _fields(data: bytes) -> dict[int, bytes]:
    """Fields of bytes and text of a protobuf; numbers are skipped."""
    found: dict[int, bytes] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            number()
            continue
        size = number()
        found[key >> 3] = data[at : at + size]
        at += size
    return found
