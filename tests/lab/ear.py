"""What was heard, and what was written, during a call: gaps and lines.

An ``Ear`` is the file of a speaker in real time, silence included; a gap is the
longest time in it without the other's tone. ``Lines`` writes on and on at both
ends, and knows afterwards whether every line arrived once and in order.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio.pcm import RATE
from tests.calls.engines import EngineProcess
from tests.calls.sounds import read_wav, wait_until
from vc_core.record import record

STEP = 0.01  # s of one level
QUIET = 0.25  # of the usual level: less is a gap
PAUSE = 0.4  # s between two lines of one writer


@record
class Ear:
    """What comes out of one speaker."""

    engine: EngineProcess
    path: Path

    def _began(self) -> float:
        """Monotonic time of the first sample."""
        started: float = self.engine.wait("audio")["speaker_started"]
        return started - (time.time() - time.monotonic())

    def _levels(self, begin: float, end: float) -> NDArray[np.float64]:
        began = self._began()
        wait_until(lambda: self._seconds() >= end - began, 10.0)
        samples = read_wav(self.path).astype(np.float64)
        size = round(STEP * RATE)
        blocks = samples[: len(samples) // size * size].reshape(-1, size)
        levels = np.sqrt((blocks**2).mean(axis=1))
        usual = float(np.percentile(levels, 99))
        first = max(0, round((begin - began) / STEP))
        return np.asarray(levels[first : round((end - began) / STEP)] / usual)

    def _seconds(self) -> float:
        return len(read_wav(self.path)) / RATE if self.path.exists() else 0.0

    def silences(self, begin: float, end: float) -> list[tuple[float, float]]:
        """(when, how long), both in seconds, of all that was quiet between two monotonic times."""
        quiet = self._levels(begin, end) < QUIET
        edges = np.flatnonzero(np.diff(np.concatenate(([0], quiet.view(np.int8), [0]))))
        return [
            (begin + a * STEP, (b - a) * STEP) for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]

    def gap(self, begin: float, end: float) -> float:
        """Seconds of the longest silence between two monotonic times."""
        return max((length for _, length in self.silences(begin, end)), default=0.0)

    def share(self, begin: float, end: float) -> float:
        """The share of the time in which something was heard."""
        return float((self._levels(begin, end) >= QUIET).mean())


@dataclass
class Lines:
    """Both ends write, all the time; use it as a context."""

    engines: tuple[EngineProcess, ...]
    pause: float = PAUSE
    _said: Counter[int] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Lines:
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _write(self) -> None:
        while not self._over.wait(self.pause):
            for index, engine in enumerate(self.engines):
                engine.say("chat", text=f"line {index} {self._said[index]}")
                self._said[index] += 1

    def all_arrived(self, patience: float = 20.0) -> int:
        """How many lines; ``AssertionError`` unless each arrived everywhere, once, in order."""
        assert self._over.is_set(), "they still write"
        for index, count in self._said.items():
            wanted = [f"line {index} {number}" for number in range(count)]
            for other in self.engines:
                if other is self.engines[index]:
                    continue
                other.wait("chat", patience, text=wanted[-1])
                got = [
                    t["text"] for t in other.of("chat") if t["text"].startswith(f"line {index} ")
                ]
                assert got == wanted, _difference(wanted, got)
        return sum(self._said.values())


def _difference(wanted: list[str], got: list[str]) -> str:
    lost = [line for line in wanted if line not in got]
    twice = [line for line, count in Counter(got).items() if count > 1]
    return f"of {len(wanted)} lines lost {lost}, twice {twice}, or out of order"
