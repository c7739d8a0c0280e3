"""A Wayland compositor with one screen, of which it only tells the size."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path

_HEAD = struct.Struct("=IHH")
_DISPLAY, _REGISTRY = 1, 2
_SYNC, _BIND = 0, 0
_CURRENT = 1


def _text(data: bytes) -> bytes:
    return struct.pack("=I", len(data) + 1) + data + b"\0" + bytes(-(len(data) + 1) % 4)


class Compositor:
    """Answers each client in a thread."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        self._size = width, height
        self._outputs: list[tuple[socket.socket, int]] = []
        self._clients: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        data = b""
        while more := client.recv(4096):
            data += more
            while len(data) >= _HEAD.size:
                of, opcode, length = _HEAD.unpack_from(data)
                if len(data) < length:
                    break
                self._obey(client, of, opcode, data[_HEAD.size : length])
                data = data[length:]

    def _obey(self, client: socket.socket, of: int, opcode: int, body: bytes) -> None:
        (new,) = struct.unpack("=I", body[-4:])
        if (of, opcode) == (_DISPLAY, _SYNC):
            _say(client, new, 0, struct.pack("=I", 0))
        elif of == _DISPLAY:  # the list, with something else in it
            shm = struct.pack("=I", 7) + _text(b"wl_shm") + struct.pack("=I", 1)
            output = struct.pack("=I", 9) + _text(b"wl_output") + struct.pack("=I", 4)
            _say(client, _REGISTRY, 0, shm)
            _say(client, _REGISTRY, 0, output)
        elif (of, opcode) == (_REGISTRY, _BIND):
            name, version = struct.unpack("=I", body[:4])[0], struct.unpack("=I", body[-8:-4])[0]
            assert (name, version) == (9, 2)
            self._outputs.append((client, new))
            self._tell(client, new)

    def _tell(self, client: socket.socket, output: int) -> None:
        _say(client, output, 1, struct.pack("=IiiI", 0, 9999, 9999, 60_000))  # it could as well
        _say(client, output, 1, struct.pack("=IiiI", _CURRENT, *self._size, 60_000))
        _say(client, output, 2, b"")

    def resize(self, width: int, height: int) -> None:
        """The screen has another size."""
        self._size = width, height
        for client, output in self._outputs:
            self._tell(client, output)

    def close(self) -> None:
        """It dies."""
        self._listener.close()
        while self._clients:
            with contextlib.suppress(OSError):  # it has hung up
                self._clients.pop().shutdown(socket.SHUT_RDWR)


def _say(client: socket.socket, of: int, opcode: int, body: bytes) -> None:
    client.sendall(_HEAD.pack(of, opcode, _HEAD.size + len(body)) + body)
