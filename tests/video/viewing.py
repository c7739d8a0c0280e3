"""The viewing process, run as the engine runs it."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from tests.rules.source import ROOT
from video.confine import environment
from video.pipe import FrameRecord, Reader, write_frame, write_words

# Implementation
PATIENCE = 10.0  # s that a test waits for a word

Words = dict[str, Any]


class Child:
    """Orders and frames in, events out."""

    def __init__(
        self, to: str = "none", more: Mapping[str, str] | None = None, *, sound: bool = False
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "video.view"],
            cwd=ROOT,
            env={**environment(os.environ), **(more or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.events: list[Words] = []
        self._heard: queue.SimpleQueue[Words | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.order(do="open", to=to, title="ann's screen", sound=sound)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()

    def order(self, **words: Any) -> None:
        """WORDS."""
        self.raw(write_words(words))

    def frames(self, frames: Iterable[FrameRecord], every: float = 0.0) -> None:
        """FRAMEs, one ``every`` so many seconds."""
        for frame in frames:
            self.raw(write_frame(frame))
            time.sleep(every)

    def raw(self, data: bytes) -> None:
        """Bytes; what cannot be written any more is dropped."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except OSError:
            pass

    def hear(self, event: str, patience: float = PATIENCE) -> Words:
        """The next event of this kind; those before it are kept in ``events``."""
        until = time.monotonic() + patience
        while True:
            try:
                words = self._heard.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event}, but {self.events}") from None
            assert words is not None, f"ended without {event}: {self.events} {self.said()}"
            self.events.append(words)
            if words["event"] == event:
                return words

    def end(self) -> tuple[Words, int]:
        """Its last word and its exit code."""
        return self.hear("ended"), self.process.wait(PATIENCE)

    def said(self) -> str:
        """What it wrote for people, once it is over."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        reader = Reader()
        while data := os.read(self.process.stdout.fileno(), 65536):
            for record in reader.feed(data):
                assert isinstance(record, dict)
                self._heard.put(record)
        self._heard.put(None)
