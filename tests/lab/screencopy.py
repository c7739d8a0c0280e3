"""Stands between a compositor and its portal, and says what a graphics card would say.

    python -m tests.lab.screencopy LISTEN COMPOSITOR

xdg-desktop-portal-wlr 0.7 refuses a picture that could not be in a card's memory as well, even
where it takes it from shared memory afterwards. A compositor that draws without a card never
says so; here ``linux_dmabuf`` is put before each ``buffer_done`` of zwlr_screencopy_frame_v1.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable

# Specification (wayland.xml, wlr-screencopy-unstable-v1.xml)
_HEAD = struct.Struct("=IHH")
_BUFFER, _LINUX_DMABUF, _BUFFER_DONE = (0, 24), 5, (6, 8)  # opcode and length
_XRGB8888 = 0x34325258

# Implementation
_READ, _MOST_FILES = 1 << 16, 28


class Words:
    """What the compositor says, message by message."""

    def __init__(self) -> None:
        self._rest = b""
        self._sizes: dict[int, tuple[int, int]] = {}

    def feed(self, data: bytes) -> bytes:
        """The same, with what is missing."""
        data, told = self._rest + data, bytearray()
        while len(data) >= _HEAD.size:
            of, opcode, length = _HEAD.unpack_from(data)
            if len(data) < length:
                break
            if (opcode, length) == _BUFFER:
                self._sizes[of] = struct.unpack_from("=II", data, 12)
            if (opcode, length) == _BUFFER_DONE and of in self._sizes:
                told += _HEAD.pack(of, _LINUX_DMABUF, 20)
                told += struct.pack("=III", _XRGB8888, *self._sizes.pop(of))
            told += data[:length]
            data = data[length:]
        self._rest = data
        return bytes(told)


def carry(source: socket.socket, to: socket.socket, change: Callable[[bytes], bytes]) -> None:
    """Pass on bytes and files until one side hangs up."""
    with contextlib.suppress(OSError):
        while True:
            data, files, _, _ = socket.recv_fds(source, _READ, _MOST_FILES)
            if not data:
                break
            data = change(data)
            sent = socket.send_fds(to, [data], files) if files else 0
            to.sendall(data[sent:])
            for file in files:
                os.close(file)
    for one in (source, to):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def main(listen: str, compositor: str) -> None:
    """Until it is ended."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(listen)
    listener.listen()
    while True:
        client, _ = listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(compositor)
        for way in ((client, server, bytes), (server, client, Words().feed)):
            threading.Thread(target=carry, args=way, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
