"""A TURN client (RFC 8656) of one allocation and one channel, and coturn to talk to."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

# Specification
MAGIC = bytes.fromhex("2112a442")
ALLOCATE, CREATE_PERMISSION, CHANNEL_BIND = 0x0003, 0x0008, 0x0009
SUCCESS = 0x0100
CHANNEL_NUMBER, XOR_PEER_ADDRESS, REQUESTED_TRANSPORT = 0x000C, 0x0012, 0x0019
CHANNEL = 0x4000
UDP = 17

Address = tuple[str, int]


class Coturn:
    """``turnserver`` on loopback, without authentication, with one thread that relays."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [
                *("turnserver", "-n", "--no-auth", "--no-cli", "--no-tls", "--no-dtls"),
                *("--no-tcp", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"),
                *(f"--listening-port={self.port}", "--allow-loopback-peers", "-m", "1"),
                *("--log-file=stdout", f"--pidfile={folder / 'turn.pid'}"),
                f"--db={folder / 'turn.db'}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)


class TurnSender:
    """Sends to one peer through a channel."""

    def __init__(self, server: Address, peer: Address) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect(server)
        peer_value = b"\x00\x01" + _xor(peer[1].to_bytes(2, "big"), MAGIC)
        peer_value += _xor(socket.inet_aton(peer[0]), MAGIC)
        self._ask(ALLOCATE, (REQUESTED_TRANSPORT, bytes((UDP, 0, 0, 0))))
        self._ask(CREATE_PERMISSION, (XOR_PEER_ADDRESS, peer_value))
        channel = CHANNEL.to_bytes(2, "big") + bytes(2)
        self._ask(CHANNEL_BIND, (CHANNEL_NUMBER, channel), (XOR_PEER_ADDRESS, peer_value))

    def wrap(self, data: bytes) -> bytes:
        """As channel data."""
        return CHANNEL.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data

    def _ask(self, method: int, *attributes: tuple[int, bytes]) -> None:
        body = b"".join(
            kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
            for kind, value in attributes
        )
        transaction = os.urandom(12)
        question = method.to_bytes(2, "big") + len(body).to_bytes(2, "big")
        question += MAGIC + transaction + body
        self.socket.settimeout(0.3)
        for _ in range(20):  # a server that starts does not hear the first
            try:
                self.socket.send(question)
                answer = self.socket.recv(2000)
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.1)
                continue
            if answer[8:20] == transaction:
                kind = int.from_bytes(answer[:2], "big")
                assert kind == method | SUCCESS, f"TURN says {kind:#06x}: {answer[20:]!r}"
                return
        raise TimeoutError("coturn does not answer")


def free_port() -> int:
    """A UDP port that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _xor(data: bytes, mask: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))
