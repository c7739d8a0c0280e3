"""Pictures for a terminal: to the process that owns it, over a private socket.

    it → us   {"width": W, "height": H}\\n            one picture of this size, the newest
    us → it   u32 length | u16 width | u16 height | RGB24      big-endian; length of the rest

Each picture is asked for, so a slow terminal gets fewer and never old ones. A picture
that was sent is not sent again: the answer waits for the next one. The sizes are
pixels of what will be drawn, and both of the terminal's process and here limited.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

from video.pipe import FrameRecord
from video.sink import ClosedError, Shown, UnusableError

if TYPE_CHECKING:
    from av import VideoFrame

# Specification
HEAD = struct.Struct(">IHH")
MAX_LINE = 256  # bytes of a question
MAX_WIDTH, MAX_HEIGHT = 3840, 2160


class Canvas:
    """The painter's end."""

    decodes, opens_files, writes_files, patience = True, False, False, 0.5

    def __init__(self, path: str, shown: Shown) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._shown = shown
        self._newest: tuple[VideoFrame, FrameRecord] | None = None
        self._changed = threading.Condition()
        self._gone = threading.Event()
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(path)
        except (OSError, AttributeError) as error:
            message = "the terminal does not take pictures"
            raise UnusableError("no-terminal", message, "try /watch NAME window") from error
        threading.Thread(target=self._paint, name="terminal", daemon=True).start()

    def unit(self, frame: FrameRecord) -> bool:
        """Only pictures count."""
        return True

    def picture(self, picture: VideoFrame, frame: FrameRecord) -> None:
        """The newest one; what was not asked for in time is gone."""
        with self._changed:
            self._newest = (picture, frame)
            self._changed.notify()

    def turn(self) -> None:
        """Look whether the terminal is still there."""
        if self._gone.is_set():
            raise ClosedError("terminal")

    def overlay(self, text: str) -> None:
        """The terminal has lines of its own."""

    def report(self, shown: dict[str, Any]) -> None:
        """The terminal has lines of its own."""

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _paint(self) -> None:
        asked = self._socket.makefile("rb")
        try:
            while (size := _size(asked.readline(MAX_LINE))) is not None:
                with self._changed:
                    while self._newest is None:
                        self._changed.wait()
                    (picture, frame), self._newest = self._newest, None
                self._socket.sendall(self._scaled(picture, *size))
                self._shown(frame)
        except (OSError, ValueError):  # hung up
            pass
        self._gone.set()

    def _scaled(self, picture: VideoFrame, width: int, height: int) -> bytes:
        from av.video.reformatter import Interpolation

        small = self._reformatter.reformat(
            picture, width, height, "rgb24", interpolation=Interpolation.AREA
        )
        plane = small.planes[0]
        rows, stride = memoryview(plane), plane.line_size
        if stride == 3 * width:
            body = bytes(rows)[: 3 * width * height]
        else:
            body = b"".join(rows[y * stride : y * stride + 3 * width] for y in range(height))
        return HEAD.pack(4 + len(body), width, height) + body


def _size(line: bytes) -> tuple[int, int] | None:
    """What is asked for; None when nothing more is."""
    if not line.endswith(b"\n"):
        return None
    words = json.loads(line)
    width, height = (words.get("width"), words.get("height")) if isinstance(words, dict) else (0, 0)
    if not (isinstance(width, int) and isinstance(height, int)):
        return None
    if not (0 < width <= MAX_WIDTH and 0 < height <= MAX_HEIGHT):
        return None
    return width, height
