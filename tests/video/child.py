"""A sharing process, driven as the engine drives it."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.rules.source import ROOT
from video.pipe import FrameRecord, Reader, Words, write_words

# Implementation
PATIENCE = 20.0  # seconds; a busy machine


class Child:
    """One ``python -m video.share`` and what it said."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "video.share"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )
        assert self.process.stdin and self.process.stdout
        self._in, self._out = self.process.stdin, self.process.stdout
        os.set_blocking(self._out.fileno(), False)
        self._reader = Reader()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self.frames: list[FrameRecord] = []
        self.events: list[Words] = []
        self.closed = False

    def order(self, do: str, **words: Any) -> None:
        """Give an order."""
        self.raw(write_words({"do": do, **words}))

    def raw(self, data: bytes) -> None:
        """Write bytes to its stdin."""
        self._in.write(data)
        self._in.flush()

    def hang_up(self) -> None:
        """Close its stdin."""
        self._in.close()

    def listen(self, seconds: float) -> None:
        """Take in what comes during ``seconds`` or until its stdout closes."""
        deadline = time.monotonic() + seconds
        while not self.closed and (left := deadline - time.monotonic()) > 0:
            self._take(left)

    def _take(self, patience: float) -> None:
        if not self._selector.select(patience):
            return
        data = os.read(self._out.fileno(), 1 << 20)
        self.closed = not data
        for record in self._reader.feed(data):
            if isinstance(record, FrameRecord):
                self.frames.append(record)
            else:
                assert isinstance(record, dict)
                self.events.append(record)

    def wait(self, event: str, patience: float = PATIENCE) -> Words:
        """The first such event that is not yet taken."""
        deadline = time.monotonic() + patience
        while True:
            for number, one in enumerate(self.events):
                if one["event"] == event:
                    return self.events.pop(number)
            assert not self.closed and time.monotonic() < deadline, f"no {event}: {self.events}"
            self._take(0.2)

    def wait_frames(self, count: int, patience: float = PATIENCE) -> list[FrameRecord]:
        """The next frames, at least ``count``; they are taken."""
        deadline = time.monotonic() + patience
        while len(self.frames) < count:
            assert not self.closed, f"it ended: {self.events}"
            assert time.monotonic() < deadline, f"{len(self.frames)} frames only: {self.events}"
            self._take(0.2)
        taken, self.frames = self.frames, []
        return taken

    def wait_end(self, patience: float = PATIENCE) -> int:
        """Its exit code."""
        self.listen(patience)
        return self.process.wait(patience)


@contextmanager
def child(environment: dict[str, str] | None = None) -> Iterator[Child]:
    """A child that does not outlive the test."""
    one = Child(environment)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        one._selector.close()
        for pipe in (one._in, one._out):
            pipe.close()
