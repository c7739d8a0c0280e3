"""The pipe from the sharing process to its engine: events and frames, in order."""

from __future__ import annotations

import os

from video.pipe import FrameRecord, frame_head, write_words
from video.unavailable import PictureUnavailable


class Outlet:
    """Writing waits while the pipe is full. ``OSError`` when it is gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

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
