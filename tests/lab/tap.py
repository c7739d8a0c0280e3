"""Overhear everything in a namespace: ``python -m tests.lab.tap FILE``.

    FILE: u32 length | frame with its Ethernet header, one after another

A frame that crosses a bridge is there twice, once in and once out.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

ALL = 0x0003  # ETH_P_ALL
LENGTH = struct.Struct(">I")
LARGE = 8 * 1024 * 1024  # bytes of socket buffer: nothing is lost while the disk is slow


def listen(path: Path) -> None:
    """Write frames until killed."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LARGE)
    with path.open("wb", buffering=0) as file:
        print(json.dumps({"event": "listening"}), flush=True)
        while frame := tap.recv(65536):
            file.write(LENGTH.pack(len(frame)) + frame)


def frames(path: Path) -> Iterator[bytes]:
    """What was written."""
    data, at = path.read_bytes(), 0
    while at + LENGTH.size <= len(data):
        (size,) = LENGTH.unpack_from(data, at)
        yield data[at + LENGTH.size : at + LENGTH.size + size]
        at += LENGTH.size + size


def udp_payload(frame: bytes) -> bytes | None:
    """What a UDP packet over IPv4 carries (RFC 791, 768); None for all else."""
    if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return None
    start = 14 + 4 * (frame[14] & 15)
    (size,) = struct.unpack_from(">H", frame, start + 4)
    return frame[start + 8 : start + size]


if __name__ == "__main__":
    listen(Path(sys.argv[1]))
