"""Pictures for a terminal: to the process that owns it, over a private socket.

    it → us   {"width": W, "height": H}\\n            one picture of this size, the newest
    us → it   u32 length | u16 width | u16 height | RGB24      big-endian; length of the rest

Each picture is asked for, so a slow terminal gets fewer and never old ones. A picture
that was sent is not sent again in the same size: the answer waits for the next one. A
question that has not been answered is replaced by a newer one. Sizes are pixels of what
will be drawn; both ends limit them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

from video.pipe import FrameRecord, SoundRecord
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
        self._fresh = False
        """Whether the newest one was not sent yet."""
        self._asked: tuple[int, int] | None = None
        self._sent = (0, 0)
        """The size of what was sent last."""
        self._changed = threading.Condition()
        self._gone = threading.Event()
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(path)
        except (OSError, AttributeError) as error:
            message = "no terminal takes pictures" if not path else "the terminal takes no pictures"
            raise UnusableError("no-terminal", message, "try /watch NAME window") from error
        for work in (self._listen, self._paint):
            threading.Thread(target=work, name="terminal", daemon=True).start()

    def unit(self, frame: FrameRecord) -> bool:
        """Only pictures count."""
        return True

    def sound(self, sound: SoundRecord) -> None:
        """The engine plays it."""

    def picture(self, picture: VideoFrame, frame: FrameRecord) -> None:
        """The newest one; what was not asked for in time is gone."""
        with self._changed:
            self._newest, self._fresh = (picture, frame), True
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

    def _listen(self) -> None:
        lines = self._socket.makefile("rb")
        with contextlib.suppress(OSError, ValueError):  # hung up
            while (size := _size(lines.readline(MAX_LINE))) is not None:
                with self._changed:
                    self._asked = size
                    self._changed.notify()
        self._gone.set()

    def _paint(self) -> None:
        with contextlib.suppress(OSError):  # hung up
            while True:
                picture, frame, size = self._next()
                self._socket.sendall(self._scaled(picture, *size))
                self._shown(frame)
        self._gone.set()

    def _next(self) -> tuple[VideoFrame, FrameRecord, tuple[int, int]]:
        """Wait until a picture is wanted and there is one."""
        with self._changed:
            while True:
                size = self._asked
                if size and self._newest and (self._fresh or size != self._sent):
                    self._asked, self._sent, self._fresh = None, size, False
                    return *self._newest, size
                self._changed.wait()

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
