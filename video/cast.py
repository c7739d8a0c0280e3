"""Wayland: the pictures of the chosen screen, from PipeWire by a GStreamer child.

gst-launch-1.0 pipewiresrc fd=… path=… ! I420 ! y4menc ! fdsink
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import time
from typing import IO

import av
import numpy as np
from numpy.typing import NDArray

from video.picture import Size
from video.portal import Portal, missing
from video.source import Shot, Wish
from video.y4m import FRAME, LONGEST_LINE, MAGIC, NoFilm, picture_bytes, read_header

# Specification (Linux)
_F_SETPIPE_SZ = 1031

# Implementation
GSTREAMER = "gst-launch-1.0"
FIRST_PICTURE = 10.0  # seconds
TURN = 0.1  # seconds that one read waits at most
PIPE = 1 << 20  # bytes that may wait in the pipe
NO_GSTREAMER = (
    "this Wayland desktop shows its screen through GStreamer, which is missing",
    "install gst-launch-1.0 with its pipewire and good plugins "
    "(Debian: gstreamer1.0-tools gstreamer1.0-pipewire gstreamer1.0-plugins-good)",
)


def pipeline(descriptor: int, node: int) -> list[str]:
    """The child's command line."""
    return [
        *(GSTREAMER, "-q", "pipewiresrc", f"fd={descriptor}", f"path={node}"),
        *("do-timestamp=true", "!", "queue", "leaky=downstream", "max-size-buffers=1"),
        *("!", "videoconvert", "!", "video/x-raw,format=I420", "!", "y4menc"),
        *("!", "fdsink", "fd=1", "sync=false"),
    ]


def open_cast(wish: Wish) -> Cast:
    """The screen that the person chooses; blocks until then."""
    if shutil.which(GSTREAMER) is None:
        raise missing(*NO_GSTREAMER)
    portal = Portal()
    try:
        descriptor, node = portal.choose(cursor=wish.cursor)
        try:
            return Cast(portal, pipeline(descriptor, node), descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        portal.close()
        raise


class Cast:
    """Pictures from PipeWire; they come when something has changed."""

    name = "screen"
    glance = 0.0
    fps = 0.0
    ended = False

    def __init__(self, portal: Portal, command: list[str], descriptor: int) -> None:
        """``command`` writes YUV4MPEG2 to its stdout; it inherits ``descriptor``."""
        self._portal = portal
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            bufsize=0,  # so that waiting sees all that has come
            pass_fds=[descriptor],
        )
        assert self._child.stdout is not None
        self._out: IO[bytes] = self._child.stdout
        self._latest: Shot | None = None
        self._again = False
        try:
            self._widen()
            self.size = self._begin()
        except BaseException:
            self._end_child()
            raise

    def _widen(self) -> None:
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(self._out.fileno(), _F_SETPIPE_SZ, PIPE)

    def _begin(self) -> Size:
        ready, _, _ = select.select([self._out], [], [], FIRST_PICTURE)
        try:
            return read_header(self._line() if ready else b"")
        except NoFilm as error:
            raise missing("no pictures come from PipeWire", NO_GSTREAMER[1]) from error

    def _line(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self._out.read(1)
            if not piece or len(line) > LONGEST_LINE:
                raise missing("the screen is gone: its pictures ended", "share it again")
            line += piece
        return bytes(line)

    def read(self) -> Shot | None:
        """The next picture; None if none comes for a moment."""
        if not select.select([self._out], [], [], TURN)[0]:
            again, self._again = self._again, False
            return self._latest if again and self._latest else None
        self._again = False
        try:
            line = self._line()
            if line.startswith(MAGIC):
                self.size = read_header(line)
                line = self._line()
        except NoFilm as error:
            raise missing(f"the screen's pictures are {error}", "share it again") from error
        if not line.startswith(FRAME):
            raise missing("the screen's pictures are damaged", "share it again")
        captured = time.monotonic_ns() // 1000
        data = np.empty(picture_bytes(self.size), np.uint8)
        if self._fill(data.data) < len(data):
            raise missing("the screen is gone: its pictures ended", "share it again")
        self._latest = Shot(self._frame(data), captured)
        return self._latest

    def _fill(self, into: memoryview) -> int:
        filled = 0
        while filled < len(into):
            count = self._out.readinto(into[filled:])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
        return filled

    def _frame(self, data: NDArray[np.uint8]) -> av.VideoFrame:
        width, height = self.size.width, self.size.height
        if width % 2 == height % 2 == 0:
            return av.VideoFrame.from_numpy_buffer(
                data.reshape(height * 3 // 2, width), format="yuv420p"
            )
        frame = av.VideoFrame(width, height, "yuv420p")
        sides = ((width, height), *[((width + 1) // 2, (height + 1) // 2)] * 2)
        begin = 0
        for plane, (wide, high) in zip(frame.planes, sides, strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            rows[:high, :wide] = data[begin : begin + wide * high].reshape(high, wide)
            begin += wide * high
        return frame

    def forget(self) -> None:
        """Let the next read give the last picture, if no new one comes."""
        self._again = True

    def _end_child(self) -> None:
        self._child.kill()
        self._child.wait()
        self._out.close()

    def close(self) -> None:
        """End the pictures and the portal's session."""
        self._end_child()
        self._portal.close()
