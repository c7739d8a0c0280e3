"""Wayland: a transparent pixel for a moment, so that a still screen is drawn once more.

The portal of wlroots gives a picture only when something is drawn after the last one, also to
whoever has seen none yet. So we draw, by a layer (wlr-layer-shell-unstable-v1.xml), which is
how panels do it:

    registry ──► compositor, shm, layer shell, outputs
    surface, layer of 1 x 1 on each output ──► configure ──► ack, buffer, commit ──► drawn
"""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

from video.outputs import DISPLAY, HEAD, REGISTRY, split, text

# Specification (wayland.xml, wlr-layer-shell-unstable-v1.xml)
_SYNC, _GET_REGISTRY, _BIND, _GLOBAL = 0, 1, 0, 0
_CREATE_SURFACE, _CREATE_POOL, _CREATE_BUFFER, _GET_LAYER = 0, 0, 0, 0
_SET_SIZE, _SET_ANCHOR, _CONFIGURE, _ACK = 0, 1, 0, 6
_ATTACH, _DAMAGE, _FRAME, _COMMIT = 1, 2, 3, 6
_OVERLAY, _TOP_LEFT, _ARGB = 3, 1 | 4, 0
_PIXEL = 4  # bytes
_COMPOSITOR, _SHM, _OUTPUT = b"wl_compositor", b"wl_shm", b"wl_output"
_SHELL = b"zwlr_layer_shell_v1"

# Implementation
PATIENCE = 0.5  # seconds for all of it
_READ = 1 << 16


def stir() -> None:
    """Have every screen drawn once more; blocks. ``OSError`` where that is impossible."""
    path = Path(os.environ.get("XDG_RUNTIME_DIR", "/"), os.environ["WAYLAND_DISPLAY"])
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(PATIENCE)
        one.connect(str(path))
        Layers(one).draw()  # they go with the connection


class Layers:
    """A pixel over everything on each screen."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._until = time.monotonic() + PATIENCE
        self._used = REGISTRY
        self._rest = b""
        self._globals: list[tuple[bytes, bytes]] = []

    def _send(self, to: int, opcode: int, *words: int | bytes, file: int | None = None) -> None:
        body = b"".join(one if isinstance(one, bytes) else struct.pack("=I", one) for one in words)
        data = HEAD.pack(to, opcode, HEAD.size + len(body)) + body
        if file is None:
            self._socket.sendall(data)
        else:
            socket.send_fds(self._socket, [data], [file])

    def _make(self, to: int, opcode: int, *words: int | bytes, file: int | None = None) -> int:
        """A request whose first argument is a new object."""
        self._used += 1
        self._send(to, opcode, self._used, *words, file=file)
        return self._used

    def _bind(self, name: bytes, interface: bytes) -> int:
        self._used += 1
        self._send(REGISTRY, _BIND, name, text(interface), 1, self._used)
        return self._used

    def _wait(self, to: int, opcode: int) -> None:
        """Until the callback that this makes is called."""
        callback = self._make(to, opcode)
        if to != DISPLAY:
            self._send(to, _COMMIT)
        while True:
            for of, _, _ in self._hear():
                if of == callback:
                    return

    def _hear(self) -> list[tuple[int, int, bytes]]:
        if time.monotonic() > self._until:
            raise TimeoutError("the compositor does not draw")
        data = self._socket.recv(_READ)
        if not data:
            raise ConnectionResetError("the compositor is gone")
        said, self._rest = split(self._rest + data)
        for of, opcode, words in said:
            if (of, opcode) == (REGISTRY, _GLOBAL):
                self._globals.append((words[:4], words[4:-4]))
        return said

    def draw(self) -> None:
        """Returns when they are on the screens."""
        self._send(DISPLAY, _GET_REGISTRY, REGISTRY)
        self._wait(DISPLAY, _SYNC)
        known = {what: name for name, what in self._globals}
        try:
            compositor, shm, shell = (
                self._bind(known[text(one)], one) for one in (_COMPOSITOR, _SHM, _SHELL)
            )
        except KeyError as error:
            raise OSError("this compositor has no layers") from error
        buffer = self._pixel(shm)
        layers = {}
        for name, what in self._globals:
            if what == text(_OUTPUT):
                surface = self._make(compositor, _CREATE_SURFACE)
                where = surface, self._bind(name, _OUTPUT), _OVERLAY, text(b"vchat")
                layers[layer := self._make(shell, _GET_LAYER, *where)] = surface
                self._send(layer, _SET_SIZE, 1, 1)
                self._send(layer, _SET_ANCHOR, _TOP_LEFT)
                self._send(surface, _COMMIT)
        waits = dict(layers)
        while waits:
            for of, opcode, body in self._hear():
                if of in waits and opcode == _CONFIGURE:
                    surface = waits.pop(of)
                    self._send(of, _ACK, body[:4])
                    self._send(surface, _ATTACH, buffer, 0, 0)
                    self._send(surface, _DAMAGE, 0, 0, 1, 1)
                    self._send(surface, _COMMIT)
        for surface in layers.values():
            self._wait(surface, _FRAME)

    def _pixel(self, shm: int) -> int:
        """A buffer of one transparent pixel."""
        memory = os.memfd_create("vchat")
        try:
            os.truncate(memory, _PIXEL)
            pool = self._make(shm, _CREATE_POOL, _PIXEL, file=memory)
        finally:
            os.close(memory)
        return self._make(pool, _CREATE_BUFFER, 0, 1, 1, _PIXEL, _ARGB)
