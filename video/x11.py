"""A few words of the X11 protocol, over its socket: no library, no process that exits on errors.

    request   u8 opcode | u8 detail | u16 length in words | …
    answer    u8 1 | … | u16 sequence | u32 further words | …     (32 bytes at least)
    event     u8 number | … (32 bytes);   error: u8 0 | u8 code | …

All in the byte order that the first byte asks for: ours is little-endian.
Only local displays (``:0``); ``OSError`` for all that goes wrong.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from pathlib import Path

# Specification (X Window System Protocol, X11R7)
_QUERY_EXTENSION, _QUERY_POINTER = 98, 38
_COOKIE = b"MIT-MAGIC-COOKIE-1"

# Implementation
PATIENCE = 2.0  # seconds for an answer


def padded(data: bytes) -> bytes:
    """Filled up to whole words."""
    return data + bytes(-len(data) % 4)


def display_number(display: str) -> int:
    """Of a local display; ``OSError`` if it is none."""
    found = re.fullmatch(r"(?:unix)?:(\d+)(?:\.\d+)?", display)
    if found is None:
        raise OSError(f"not a local X display: '{display}'")
    return int(found.group(1))


def cookie(number: int) -> bytes:
    """The display's secret in the person's authority file; empty if there is none."""
    path = Path(os.environ.get("XAUTHORITY") or Path.home() / ".Xauthority")
    try:
        data = path.read_bytes()
    except OSError:
        return b""
    place = 0
    while place + 2 <= len(data):
        place += 2  # family
        fields = []
        for _ in range(4):  # address, display, name, secret
            (length,) = struct.unpack_from(">H", data.ljust(place + 2, b"\0"), place)
            fields.append(data[place + 2 : place + 2 + length])
            place += 2 + length
        if fields[1] in {b"", b"%d" % number} and fields[2] == _COOKIE:
            return fields[3]
    return b""


class Connection:
    """One client of a display."""

    def __init__(self, display: str) -> None:
        """Connect; blocks."""
        number = display_number(display)
        self._socket = _connect(number)
        self._sequence = 0
        self._events: list[bytes] = []
        try:
            self._introduce(cookie(number))
        except BaseException:
            self._socket.close()
            raise

    def _introduce(self, secret: bytes) -> None:
        name = _COOKIE if secret else b""
        head = struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(secret))
        self._socket.sendall(head + padded(name) + padded(secret))
        status, words = struct.unpack("<B5xH", self._read(8))
        answer = self._read(words * 4)
        if status != 1:
            raise OSError("the X server refuses us")
        base, mask, vendor, formats = struct.unpack_from("<4xII4xH3xB", answer)
        self._base, self._step, self._used = int(base), int(mask & -mask), 0
        screen = 32 + len(padded(bytes(vendor))) + formats * 8
        (self.root,) = struct.unpack_from("<I", answer, screen)
        self.depth: int = answer[screen + 38]

    def close(self) -> None:
        """Hang up; the server forgets what was made."""
        self._socket.close()

    def new_id(self) -> int:
        """A number for something that is made."""
        self._used += 1
        return self._base | self._used * self._step

    def send(self, opcode: int, detail: int, body: bytes = b"") -> None:
        """A request without an answer; beyond 256 kB of ``body`` BIG-REQUESTS must be on."""
        body, words = padded(body), 1 + (len(body) + 3) // 4
        if words <= 0xFFFF:
            head = struct.pack("<BBH", opcode, detail, words)
        else:
            head = struct.pack("<BBHI", opcode, detail, 0, words + 1)
        self._sequence = self._sequence + 1 & 0xFFFF
        self._socket.sendall(head + body)

    def ask(self, opcode: int, detail: int, body: bytes = b"") -> bytes:
        """A request and its answer."""
        self.send(opcode, detail, body)
        while True:
            packet = self._packet()
            if packet[0] == 0 and int.from_bytes(packet[2:4], "little") == self._sequence:
                raise OSError(f"the X server answers with error {packet[1]}")
            if packet[0] == 1:
                return packet
            self._events.append(packet)

    def events(self, patience: float = 0.0) -> list[bytes]:
        """Events (and errors of requests without answers) that have arrived.

        ``patience``: seconds to wait for a first one.
        """
        self._socket.settimeout(0 if self._events else patience)
        try:
            while self._socket.recv(1, socket.MSG_PEEK):
                self._socket.settimeout(PATIENCE)
                self._events.append(self._packet())
                self._socket.settimeout(0)
            raise OSError("the X server is gone")
        except (BlockingIOError, TimeoutError):
            found, self._events = self._events, []
            return found
        finally:
            self._socket.settimeout(PATIENCE)

    def extension(self, name: str) -> tuple[int, int]:
        """First request and first event of an extension; ``OSError`` if it is missing."""
        body = struct.pack("<Hxx", len(name)) + name.encode()
        present, opcode, event = struct.unpack_from("<8xBBB", self.ask(_QUERY_EXTENSION, 0, body))
        if not present:
            raise OSError(f"the X server has no {name}")
        return opcode, event

    def pointer(self) -> tuple[int, int]:
        """Where the pointer is."""
        answer = self.ask(_QUERY_POINTER, 0, struct.pack("<I", self.root))
        x, y = struct.unpack_from("<16xhh", answer)
        return int(x), int(y)

    def _packet(self) -> bytes:
        head = self._read(32)
        return head + self._read(int.from_bytes(head[4:8], "little") * 4) if head[0] == 1 else head

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise OSError("the X server is gone")
            data += piece
        return bytes(data)


def _connect(number: int) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(PATIENCE)
    path = f"/tmp/.X11-unix/X{number}"
    try:
        try:
            one.connect(path)
        except FileNotFoundError:
            one.connect("\0" + path)
    except OSError:
        one.close()
        raise
    return one
