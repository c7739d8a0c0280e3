"""Wayland: the pictures of the chosen screen, from PipeWire by a GStreamer child.

gst-launch-1.0 pipewiresrc fd=… path=… ! I420 ! y4menc ! fdsink

The child knows one size. When the compositor says that its screens have changed, the
child is ended, and another one begins when they have come to rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import os
import select
import shutil
import signal
import subprocess
import time
from functools import cache
from typing import IO

import av
import numpy as np
from numpy.typing import NDArray

from video.outputs import Outputs
from video.picture import Size, same
from video.portal import Portal, missing
from video.source import Shot, Wish
from video.stir import stir
from video.unavailable import PictureUnavailable
from video.y4m import FRAME, LONGEST_LINE, MAGIC, NoFilm, layout, picture_bytes, read_header

log = logging.getLogger(__name__)
_LIBC = ctypes.CDLL(None)  # only Linux comes here

# Specification (Linux)
_F_SETPIPE_SZ = 1031
_PR_SET_PDEATHSIG = 1

# Implementation
GSTREAMER = "gst-launch-1.0"
FIRST_PICTURE = 10.0  # seconds
TURN = 0.1  # seconds that one read waits at most
REST = 0.5  # seconds without a change after which the screens have come to rest
DOUBT, TRIES = 1.0, 3
"""Seconds in which the first pictures after a change come, and how often they are asked for: a
child that comes while the desktop changes its pictures' size gets none, or parts of them."""
STIR, STIRRED = 0.4, 3
"""Seconds after which a child that has got no picture is helped to one, and how often."""
PROOF = 3.0  # seconds for a picture that says who has died
STALL = 2.0  # seconds that a begun picture may pause
PROBE = 5.0  # seconds for GStreamer to draw a picture of its own
PIPE = 1 << 20  # bytes that may wait in the pipe
NO_GSTREAMER = (
    "this Wayland desktop shows its screen through GStreamer, which is missing",
    "install gst-launch-1.0 with its pipewire and good plugins "
    "(Debian: gstreamer1.0-tools gstreamer1.0-pipewire gstreamer1.0-plugins-good)",
)
NO_PICTURES = ("GStreamer gives no pictures of the screen", NO_GSTREAMER[1])
STILL = (
    "the desktop sends no picture of its screen, as nothing has changed on it",
    "move something there, and share it again",
)


def pipeline(descriptor: int, node: int) -> list[str]:
    """The child's command line."""
    return [
        *(GSTREAMER, "-q", "pipewiresrc", f"fd={descriptor}", f"path={node}"),
        *("do-timestamp=true", "!", "queue", "leaky=downstream", "max-size-buffers=1"),
        *("!", "videoconvert", "!", "video/x-raw,format=I420", "!", "y4menc"),
        *("!", "fdsink", "fd=1", "sync=false"),
    ]


@cache
def pads_rows() -> bool:
    """Whether this GStreamer fills rows up to whole words, against the format, as 1.22 does."""
    drawn = ("videotestsrc", "num-buffers=1", "!", "video/x-raw,format=I420,width=2,height=2")
    command = [GSTREAMER, "-q", *drawn, "!", "y4menc", "!", "fdsink", "fd=1"]
    try:
        film = subprocess.run(command, stdout=subprocess.PIPE, timeout=PROBE, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return len(film.partition(b"FRAME\n")[2]) > picture_bytes(Size(2, 2))


def why_impossible() -> PictureUnavailable | None:
    """What is missing here, as far as it can be seen without asking the person."""
    return None if shutil.which(GSTREAMER) else missing(*NO_GSTREAMER)


def open_cast(wish: Wish) -> Cast:
    """The screen that the person chooses; blocks until then."""
    if why := why_impossible():
        raise why
    try:
        outputs = Outputs()
    except OSError as error:
        raise missing(f"the Wayland desktop does not answer: {error}") from error
    try:
        portal = Portal()
    except BaseException:
        outputs.close()
        raise
    try:
        node = portal.choose(cursor=wish.cursor)
    except BaseException:
        outputs.close()
        portal.close()
        raise
    return Cast(portal, outputs, node)


def _end_with_us() -> None:
    """However we end: of a still screen nothing comes whose writing would fail."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Broken(Exception):
    """The child's pictures ended, or are none."""


class Cast:
    """Pictures from PipeWire; they come when something has changed."""

    name = "screen"
    glance = 0.0
    fps = 0.0
    ended = False

    def __init__(self, portal: Portal, outputs: Outputs, node: int) -> None:
        """Waits for the first picture. ``portal`` and ``outputs`` are closed with it."""
        self._portal, self._outputs, self._node = portal, outputs, node
        self._poll = select.poll()
        for one in (portal, outputs):
            self._poll.register(one, select.POLLIN)
        self._remote: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._begins = time.monotonic()
        """When the child is started, or was."""
        self._tries = 0
        """How often another one may be, as its pictures are of a size that no screen has."""
        self._proof = math.inf
        """When a picture must have come, after a part of the portal has died."""
        self._stirs = 0
        """How often something is still drawn for the child, which has no picture yet."""
        self.size = Size(0, 0)
        self._padded = False
        self._latest: Shot | None = None
        self._bytes: NDArray[np.uint8] = np.empty(0, np.uint8)
        """Of the latest picture, as they came."""
        self._again = False
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        until = time.monotonic() + FIRST_PICTURE
        while self.read() is None:
            if time.monotonic() > until:
                raise missing(*STILL)
        self._again = True

    # ---- The child -------------------------------------------------------------------

    def _start(self) -> None:
        self._remote = self._portal.remote()
        self._poll.register(self._remote, 0)  # its words are the child's, its end is ours too
        self._child = subprocess.Popen(
            pipeline(self._remote, self._node),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            bufsize=0,  # so that waiting sees all that has come
            pass_fds=[self._remote],
            preexec_fn=_end_with_us,  # noqa: PLW1509  (one call of a library that is loaded)
        )
        self._stirs = STIRRED
        self._widen()
        self._poll.register(self._out, select.POLLIN)

    def _widen(self) -> None:
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(self._out.fileno(), _F_SETPIPE_SZ, PIPE)

    @property
    def _out(self) -> IO[bytes]:
        assert self._child is not None and self._child.stdout is not None
        return self._child.stdout

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._poll.unregister(self._out)
            self._out.close()
            self._child, self._stirs = None, 0
        if self._remote is not None:
            self._poll.unregister(self._remote)
            os.close(self._remote)
            self._remote = None

    # ---- Pictures --------------------------------------------------------------------

    def read(self) -> Shot | None:
        """The next picture; None if none comes for a moment."""
        if not self._waited():
            again, self._again = self._again, False
            return self._latest if again else None
        try:
            shot = self._picture()
        except (Broken, NoFilm) as error:
            if self._latest is None:
                raise missing(*NO_PICTURES) from error
            if not self._moved(REST):
                raise missing(f"the screen is gone: {error}", "share it again") from error
            return None
        again, self._again = self._again, False
        self._latest = shot or self._latest
        return self._latest if shot or again else None

    def _waited(self) -> bool:
        """Whether a picture comes; sees to the child meanwhile."""
        now = time.monotonic()
        if self._tries and now >= self._begins + DOUBT:
            self._tries -= 1
            self._begins = now
            self._end_child()
        if self._child is None and now >= self._begins:
            self._start()
        if self._stirs and now >= self._begins + STIR * (STIRRED - self._stirs + 1):
            self._stirs -= 1
            self._stir()
        patience = 0.0 if self._again else TURN
        told = self._poll.poll(patience * 1000)
        ready = {descriptor for descriptor, _ in told}
        if self._portal.fileno() in ready and self._portal.ended():
            raise missing("the desktop has ended the sharing of its screen", "share it again")
        if self._portal.lost():
            self._end_child()  # another one gets no pictures, if they were that part's
            self._begins, self._proof = now, now + PROOF
            return False
        if now > self._proof:
            raise missing("the desktop's portal has died", "share it again")
        if self._remote in ready:
            raise missing("PipeWire is gone", "share it again")
        if self._outputs.fileno() in ready and self._moved(0):
            return False
        return self._child is not None and self._out.fileno() in ready

    def _moved(self, patience: float) -> bool:
        """Whether the screens have changed, within ``patience`` seconds; then the child ends."""
        if not select.select([self._outputs], [], [], patience)[0]:
            return False
        try:
            self._outputs.hear()
        except OSError as error:
            raise missing("the desktop is gone", "share it again") from error
        self._end_child()
        self._begins, self._tries = time.monotonic() + REST, TRIES
        return True

    def _stir(self) -> None:
        """Of a still screen some desktops (wlroots) give no picture until something is drawn."""
        try:
            stir()
        except OSError as error:
            log.info("nothing can be drawn on this desktop: %s", error)

    def _picture(self) -> Shot | None:
        """The next one; None if it is as the last: something was drawn as it was."""
        line = self._line()
        if line.startswith(MAGIC):
            self.size = read_header(line)
            if self._outputs.show(self.size):
                self._tries = 0
            self._padded = bool(self.size.width % 8) and pads_rows()
            line = self._line()
        if not line.startswith(FRAME):
            raise Broken("its pictures are damaged")
        captured = time.monotonic_ns() // 1000
        data = np.empty(picture_bytes(self.size, padded=self._padded), np.uint8)
        self._fill(data.data)
        self._stirs, self._proof = 0, math.inf
        if same(self._bytes, data):
            return None
        self._bytes = data
        return Shot(self._frame(data), captured)

    def _line(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self._out.read(1)
            if not piece or len(line) > LONGEST_LINE:
                raise Broken("its pictures ended")
            line += piece
        return bytes(line)

    def _fill(self, into: memoryview) -> None:
        filled = 0
        while filled < len(into):
            ready, _, _ = select.select([self._out], [], [], STALL)
            count = self._out.readinto(into[filled:]) if ready else 0  # type: ignore[attr-defined]
            if not count:
                raise Broken("its pictures ended")
            filled += count

    def _frame(self, data: NDArray[np.uint8]) -> av.VideoFrame:
        width, height = self.size.width, self.size.height
        if not self._padded and width % 2 == height % 2 == 0:
            return av.VideoFrame.from_numpy_buffer(
                data.reshape(height * 3 // 2, width), format="yuv420p"
            )
        frame = av.VideoFrame(width, height, "yuv420p")
        begin = 0
        planes = zip(frame.planes, layout(self.size, padded=self._padded), strict=True)
        for plane, (row, rows) in planes:
            into = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            whole = data[begin : begin + row * rows].reshape(rows, row)
            into[: plane.height, : plane.width] = whole[: plane.height, : plane.width]
            begin += row * rows
        return frame

    def forget(self) -> None:
        """Let the next read give the last picture, if no new one comes."""
        self._again = True

    def close(self) -> None:
        """End the pictures and the portal's session."""
        self._end_child()
        self._outputs.close()
        self._portal.close()
