"""A desktop of our own: Xvfb, and a page that scrolls on it with a mark in its top.

The page is a pixmap of the server's, so scrolling is the server's copy and the
mark a few rectangles: drawing costs the client next to nothing. Nobody can look
at the screen between the two.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from video.pattern import BLACK, COLUMNS, ROWS, WHITE, Mark, cells, mark_height, page
from video.x11 import Connection

# Specification (X Window System Protocol)
_CREATE_WINDOW, _MAP, _CREATE_PIXMAP, _CREATE_GC = 1, 8, 53, 55
_COPY_AREA, _FILL, _PUT_IMAGE, _WARP_POINTER = 62, 70, 72, 41
_GRAB_SERVER, _UNGRAB_SERVER = 36, 37

# Implementation
MISSING = "" if shutil.which("Xvfb") else "Xvfb is not installed"
UNRESIZABLE = " and ".join(one for one in ("Xvnc", "xrandr") if shutil.which(one) is None)
"""What is missing for a screen whose size can be changed."""
PAGES = 2


@contextmanager
def xvfb(width: int, height: int, *more: str) -> Iterator[tuple[str, int]]:
    """A display with one screen: its name and its server's process."""
    size = ["-screen", "0", f"{width}x{height}x24"]
    yield from _serve(["Xvfb", *size, "-nolisten", "tcp", *more])


@contextmanager
def xvnc(width: int, height: int) -> Iterator[tuple[str, int]]:
    """The same, of a server that lets ``resize`` change the size."""
    size = ["-geometry", f"{width}x{height}", "-depth", "24"]
    nobody = ["-SecurityTypes", "None", "-rfbport", "-1", "-nolisten", "tcp"]
    yield from _serve(["Xvnc", *size, *nobody])


def resize(display: str, width: int, height: int) -> None:
    """Give it another of its sizes."""
    environment = {**os.environ, "DISPLAY": display}
    subprocess.run(["xrandr", "-s", f"{width}x{height}"], env=environment, check=True)


def _serve(command: list[str]) -> Iterator[tuple[str, int]]:
    reading, writing = os.pipe()
    command = [*command, "-displayfd", str(writing)]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as number:
            display = f":{number.readline().strip()}"
        yield display, server.pid
    finally:
        server.terminate()
        server.wait()


class Desk:
    """A window over the whole screen."""

    def __init__(self, display: str, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._x = Connection(display)
        x = self._x
        self._window, self._gc, self._sheet = x.new_id(), x.new_id(), x.new_id()
        where = struct.pack("<IIhhHHHHI", self._window, x.root, 0, 0, width, height, 0, 1, 0)
        x.send(_CREATE_WINDOW, 0, where + struct.pack("<III", 0x202, 0xE1E1E1, 1))  # override
        x.send(_MAP, 0, struct.pack("<I", self._window))
        x.send(_CREATE_GC, 0, struct.pack("<IIII", self._gc, self._window, 0x10000, 0))
        self._inks = x.new_id(), x.new_id()
        for ink, shade in zip(self._inks, (BLACK, WHITE), strict=True):
            x.send(_CREATE_GC, 0, struct.pack("<IIII", ink, self._window, 0x4, shade * 0x10101))
        self._rows = height * PAGES
        sheet = struct.pack("<IIHH", self._sheet, self._window, width, self._rows)
        x.send(_CREATE_PIXMAP, x.depth, sheet)
        self._put(self._sheet, page(width, self._rows))
        self._number = 0

    def _put(self, target: int, grey: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> None:
        rows = max(1, 200_000 // (self.width * 4))
        for top in range(0, len(grey), rows):
            band = grey[top : top + rows]
            head = struct.pack(
                "<IIHHhhBBH", target, self._gc, self.width, len(band), 0, top, 0, self._x.depth, 0
            )
            self._x.send(_PUT_IMAGE, 2, head + np.repeat(band, 4, axis=1).tobytes())

    def show(self, scrolled: int) -> Mark:
        """Draw the page, scrolled by that many rows, with the next mark."""
        top = mark_height(self.height)
        begin = scrolled % (self._rows - self.height)
        copy = struct.pack(
            "<IIIhhhhHH",
            *(self._sheet, self._window, self._gc, 0, begin, 0, top),
            *(self.width, self.height - top),
        )
        self._x.send(_GRAB_SERVER, 0)
        self._x.send(_COPY_AREA, 0, copy)
        mark = Mark(self._number, time.monotonic_ns() // 1000)
        self._number += 1
        self._draw(mark, top)
        self._x.send(_UNGRAB_SERVER, 0)
        self._x.pointer()  # a round trip: all of it is drawn now
        return mark

    def _draw(self, mark: Mark, height: int) -> None:
        """The mark, as ``video.pattern.draw_mark`` draws it."""
        white = cells(mark).astype(bool)
        for ink, wanted in zip(self._inks, (~white, white), strict=True):
            boxes = bytearray()
            for row, column in np.argwhere(wanted).tolist():
                left, right = (-(-one * self.width // COLUMNS) for one in (column, column + 1))
                top, bottom = (-(-one * height // ROWS) for one in (row, row + 1))
                boxes += struct.pack("<hhHH", left, top, right - left, bottom - top)
            self._x.send(_FILL, 0, struct.pack("<II", self._window, ink) + bytes(boxes))

    def move_pointer(self, x: int, y: int) -> None:
        """Put the pointer there."""
        where = struct.pack("<IIhhHHhh", 0, self._x.root, 0, 0, 0, 0, x, y)
        self._x.send(_WARP_POINTER, 0, where)
        self._x.pointer()

    def close(self) -> None:
        """Take the window away."""
        self._x.close()


class Scrolling:
    """A thread that scrolls a desk in a rate until it is told to stop."""

    def __init__(self, desk: Desk, fps: float, rows: int = 4) -> None:
        self._desk, self._fps, self._rows = desk, fps, rows
        self._ending = threading.Event()
        self.shown = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            self._desk.show(self.shown * self._rows)
            self.shown += 1
            due = max(due + 1 / self._fps, time.monotonic() - 1 / self._fps)

    def stop(self) -> None:
        """The page stands still."""
        self._ending.set()
        self._thread.join()
