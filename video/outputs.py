"""Whether a Wayland desktop's screens have changed: a few words of its protocol, over its socket.

    request, event   u32 object | u16 opcode | u16 length in bytes | …

All in the byte order of the machine. PipeWire's pictures do not say that a screen has
another size: GStreamer 1.22 cuts or loses them then. So the compositor is asked itself.
Everything that it says after its list of screens is a change: of a mode, a scale, a
turn, or of what there is.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from video.picture import Size

# Specification (wayland.xml)
DISPLAY, REGISTRY = 1, 2  # objects
_SYNC, _GET_REGISTRY, _BIND, _GLOBAL = 0, 1, 0, 0
_ERROR = 0
_OUTPUT, _VERSION = b"wl_output", 2
_MODE, _CURRENT = 1, 1
HEAD = struct.Struct("=IHH")

# Implementation
PATIENCE = 2.0  # seconds for an answer
_READ = 1 << 16


def text(data: bytes) -> bytes:
    """As an argument: its length, itself with a NUL, filled up to whole words."""
    ended = data + b"\0"
    return struct.pack("=I", len(ended)) + ended + bytes(-len(ended) % 4)


def split(data: bytes) -> tuple[list[tuple[int, int, bytes]], bytes]:
    """Object, opcode and arguments of each whole message, and what is left; ``OSError`` of an
    error."""
    found = []
    while len(data) >= HEAD.size:
        of, opcode, length = HEAD.unpack_from(data)
        if length < HEAD.size or (of, opcode) == (DISPLAY, _ERROR):
            raise ConnectionResetError("the compositor does not understand us")
        if len(data) < length:
            break
        found.append((of, opcode, data[HEAD.size : length]))
        data = data[length:]
    return found, data


class Outputs:
    """One client of the compositor."""

    def __init__(self) -> None:
        """Connect; blocks. ``OSError`` where the compositor cannot be reached."""
        path = Path(os.environ.get("XDG_RUNTIME_DIR", "/"), os.environ["WAYLAND_DISPLAY"])
        self._socket = socket.socket(socket.AF_UNIX)
        self._rest = b""
        self._used = REGISTRY
        self._waits_for = 0
        self._sizes: dict[int, Size] = {}
        """In pixels, by object, as they were shown when not turned."""
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.connect(str(path))
            self._send(DISPLAY, _GET_REGISTRY, struct.pack("=I", REGISTRY))
            self._catch_up()  # with what there is
            self._catch_up()  # with how the screens are
            self._socket.setblocking(False)
        except BaseException:
            self.close()
            raise

    def _new(self) -> bytes:
        """The number of a new object."""
        self._used += 1
        return struct.pack("=I", self._used)

    def _catch_up(self) -> None:
        """Read until it has answered all that was asked."""
        self._send(DISPLAY, _SYNC, self._new())
        self._waits_for = self._used
        while self._waits_for:
            self.hear()

    def _send(self, to: int, opcode: int, body: bytes) -> None:
        self._socket.sendall(HEAD.pack(to, opcode, HEAD.size + len(body)) + body)

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def hear(self) -> None:
        """Take what it has said; ``OSError`` when the compositor is gone."""
        data = self._socket.recv(_READ)
        if not data:
            raise ConnectionResetError("the compositor is gone")
        said, self._rest = split(self._rest + data)
        for of, opcode, words in said:
            if (of, opcode) == (REGISTRY, _GLOBAL):
                self._bind(words)
            elif of in self._sizes and opcode == _MODE:
                flags, width, height = struct.unpack_from("=Iii", words)
                if flags & _CURRENT:
                    self._sizes[of] = Size(width, height)
            if of == self._waits_for:
                self._waits_for = 0

    def _bind(self, what: bytes) -> None:
        """Hear of it if it is a screen."""
        if text(_OUTPUT) == what[4:-4]:
            (version,) = struct.unpack("=I", what[-4:])
            wanted = struct.pack("=I", min(version, _VERSION)) + self._new()
            self._send(REGISTRY, _BIND, what[:-4] + wanted)
            self._sizes[self._used] = Size(0, 0)

    def show(self, size: Size) -> bool:
        """Whether one of the screens has that size, or has it when turned."""
        return not {size, Size(size.height, size.width)}.isdisjoint(self._sizes.values())

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
