"""Real engines as processes, driven over the JSON interface."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0  # s; how long a test waits for something that must happen

Told = dict[str, Any]


class EngineProcess:
    """One ``vchat host --json`` or ``vchat join --json``.

    ``events`` holds all that was told so far; ``wait`` returns the first event
    that fits, also one that was told before, from ``since`` on.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        """``folder`` is home and config; ``prefix`` e.g. ``ip netns exec NAME``."""
        folder.mkdir(parents=True, exist_ok=True)
        self.events: list[Told] = []
        self._fresh: queue.Queue[Told | None] = queue.Queue()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("VCHAT_")}
        runtime = folder / "run"
        runtime.mkdir(mode=0o700, exist_ok=True)
        self.stderr_path = folder / "stderr.txt"
        self._stderr = self.stderr_path.open("ab")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "client", *arguments, "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=ROOT,
            env={
                **inherited,
                "HOME": str(folder),
                "VCHAT_CONFIG": str(folder / "config"),
                "XDG_RUNTIME_DIR": str(runtime),
                "PYTHONPATH": str(ROOT),
                **(environment or {}),
            },
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            event["seen"] = time.monotonic()
            self._fresh.put(event)
        self._fresh.put(None)

    def say(self, do: str, **fields: Any) -> None:
        """Give an order."""
        self.write(json.dumps({"do": do, **fields}).encode() + b"\n")

    def write(self, data: bytes) -> None:
        """Raw bytes on stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def of(self, event: str, **fields: Any) -> list[Told]:
        """Everything of one kind that was told so far."""
        self._drain()
        return [told for told in self.events if _fits(told, event, fields)]

    def wait(
        self,
        event: str,
        timeout: float = PATIENCE,
        since: int = 0,
        where: Callable[[Told], bool] = lambda _told: True,
        **fields: Any,
    ) -> Told:
        """The first event that fits; ``AssertionError`` with all events if none comes."""
        deadline = time.monotonic() + timeout
        at = since
        while True:
            while at < len(self.events):
                told = self.events[at]
                at += 1
                if _fits(told, event, fields) and where(told):
                    return told
            left = deadline - time.monotonic()
            try:
                fresh = self._fresh.get(timeout=max(0.0, left))
            except queue.Empty:
                fresh = None
            if fresh is None:
                errors = self.stderr_path.read_text(errors="replace")[-2000:]
                raise AssertionError(f"no {event} {fields} in {self.events}\n{errors}")
            self.events.append(fresh)

    def mark(self) -> int:
        """A place in ``events`` for ``wait(since=…)``."""
        self._drain()
        return len(self.events)

    def _drain(self) -> None:
        while True:
            try:
                fresh = self._fresh.get_nowait()
            except queue.Empty:
                return
            if fresh is not None:
                self.events.append(fresh)

    def leave(self, timeout: float = 10.0) -> int:
        """Leave politely; the exit code."""
        if self.process.poll() is None:
            try:
                self.say("leave")
            except OSError:
                pass
        return self.finish(timeout)

    def finish(self, timeout: float = 10.0) -> int:
        """Wait for the end; the exit code. Whoever does not end is killed and fails the test."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the engine did not end") from None
        finally:
            self._stderr.close()

    def kill(self) -> None:
        """As ``kill -9``."""
        self.process.kill()
        self.process.wait()
        self._stderr.close()


def _fits(told: Told, event: str, fields: dict[str, Any]) -> bool:
    return told["event"] == event and all(told.get(k) == v for k, v in fields.items())
