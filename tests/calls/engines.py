"""Real engines as processes, driven over the JSON interface."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
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


def environment(folder: Path) -> dict[str, str]:
    """Variables of a program of ours whose home, settings and sockets are in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    runtime = folder / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("VCHAT_")}
    return {
        **inherited,
        "HOME": str(folder),
        "VCHAT_CONFIG": str(folder / "config"),
        "XDG_RUNTIME_DIR": str(runtime),
        "PYTHONPATH": str(ROOT),
    }


class Program:
    """A process that writes one JSON object per line.

    ``events`` holds all that was told so far; ``wait`` returns the first event
    that fits, also one that was told before, from ``since`` on. Each event has
    ``seen``, the monotonic time at which it was read.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        variables: dict[str, str] | None = None,
    ) -> None:
        """``folder`` is home and config; ``prefix`` e.g. ``ip netns exec NAME``."""
        self.events: list[Told] = []
        self.folder = folder
        self._fresh: queue.Queue[Told | None] = queue.Queue()
        self._raw: list[bytes] = []
        env = {**environment(folder), **(variables or {})}
        self.stderr_path = folder / "stderr.txt"
        self._stderr = self.stderr_path.open("ab")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=ROOT,
            env=env,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self.stdout:
                self._raw.append(line)
                self._fresh.put({**_parsed(line), "seen": time.monotonic()})
        except ValueError:
            pass  # a test closed it
        self._fresh.put(None)

    def of(self, event: str, since: int = 0, **fields: Any) -> list[Told]:
        """Everything of one kind that was told so far."""
        self._drain()
        return [told for told in self.events[since:] if _fits(told, event, fields)]

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
                raise AssertionError(f"no {event} {fields}\n{self.story()}")
            self.events.append(fresh)

    def story(self) -> str:
        """All events and the end of stderr, for whoever reads a failure."""
        told = "\n".join(json.dumps(event)[:400] for event in self.events)
        return f"{told}\n{self.errors()[-2000:]}"

    def raw_lines(self) -> list[bytes]:
        """All lines as they were written."""
        return list(self._raw)

    def errors(self) -> str:
        """What was written to stderr so far."""
        return self.stderr_path.read_text(errors="replace")

    def mark(self) -> int:
        """A place in ``events`` for ``since``."""
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

    def signal(self, number: signal.Signals) -> None:
        """As ``kill`` does."""
        self.process.send_signal(number)

    def finish(self, timeout: float = 10.0) -> int:
        """Wait for the end; the exit code. Whoever does not end is killed and fails the test."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end\n{self.story()}") from None
        self._let_go()
        return code

    def kill(self) -> None:
        """As ``kill -9``; nothing if it has ended."""
        self.process.kill()
        self.process.wait()
        self._let_go()

    def _let_go(self) -> None:
        self._stderr.close()
        with contextlib.suppress(OSError):  # what it never read
            self.stdin.close()


class EngineProcess(Program):
    """One ``vchat host --json`` or ``vchat join --json``."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        variables: dict[str, str] | None = None,
        start: Sequence[str] = ("-m", "client"),
    ) -> None:
        command = [*start, *arguments, "--json"]
        super().__init__(command, folder, prefix=prefix, variables=variables)

    @property
    def room(self) -> Told:
        """The ``room`` event."""
        return self.wait("room")

    @property
    def code(self) -> str:
        """The newest code of a host."""
        newest = self.of("code")
        return str((newest[-1] if newest else self.room)["code"])

    @property
    def member(self) -> str:
        """Its own member id."""
        return str(self.room["member"])

    def say(self, do: str, **fields: Any) -> None:
        """Give an order."""
        self.write(json.dumps({"do": do, **fields}).encode() + b"\n")

    def write(self, data: bytes) -> None:
        """Raw bytes on stdin."""
        self.stdin.write(data)
        self.stdin.flush()

    def meets(self, *others: EngineProcess, rung: str = "direct") -> None:
        """Wait until there is a road to each of the others; a second attempt may be needed."""
        for other in others:
            self.wait("path", 2.5 * PATIENCE, member=other.member, rung=rung)

    def ended(self, timeout: float = PATIENCE) -> tuple[str, int, int]:
        """Reason and exit code as told, and the exit code of the process."""
        told = self.wait("ended", timeout)
        return told["reason"], told["exit"], self.finish()

    def leave(self, timeout: float = 10.0) -> int:
        """Leave politely; the exit code."""
        if self.process.poll() is None:
            with contextlib.suppress(OSError):  # it is going already
                self.say("leave")
        return self.finish(timeout)


def _parsed(line: bytes) -> Told:
    """One event; what is none fails the test that waits, and can be read in its story."""
    try:
        told = json.loads(line)
        return told if isinstance(told, dict) and "event" in told else {"event": "?", "raw": told}
    except ValueError:
        return {"event": "not-json", "raw": repr(line)}


def _fits(told: Told, event: str, fields: dict[str, Any]) -> bool:
    return told["event"] == event and all(told.get(k) == v for k, v in fields.items())
