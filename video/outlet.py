"""The pipe from the sharing process to its engine: events and frames, in order."""

from __future__ import annotations

import contextlib
import os
import sys

from video.pipe import FrameRecord, frame_head, write_words
from video.unavailable import PictureUnavailable

# Implementation
PIPE_SIZE = 256 * 1024  # bytes; Linux gives 64 KiB unless asked


class Outlet:
    """Writing waits while the pipe is full. ``OSError`` when it is gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _widen(descriptor)

    def say(self, event: str, **words: object) -> None:
        """An event."""
        self._write(memoryview(write_words({"event": event, **words})))

    def complain(self, error: PictureUnavailable) -> None:
        """An ``error`` event."""
        self.say("error", code=error.code, message=error.message, hint=error.hint)

    def frame(self, record: FrameRecord, data: memoryview) -> None:
        """A frame; ``data`` instead of the record's."""
        self._write(memoryview(frame_head(record, len(data))))
        self._write(data)

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]


def _widen(descriptor: int) -> None:
    """Room for a key frame in a pipe, where that can be had: the engine reads it in few pieces."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # no pipe, or more than a user may have
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
