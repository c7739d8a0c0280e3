"""Those who play in ``vchat demo``: engines in processes of their own, driven by JSON."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Told = dict[str, Any]
Command = Callable[[str], Sequence[str]]
"""The words that start the engine of the player with this name."""

# Implementation
FAREWELL = 3.0  # s that a player has to end, politely and then less so


def engine(_name: str) -> Sequence[str]:
    """This program."""
    return (sys.executable, "-m", "client")


class PlayerFailed(Exception):
    """Something that must happen did not; the text says what."""


class Player:
    """One engine: what it told, and what it is told to do."""

    def __init__(self, name: str, folder: Path) -> None:
        """``folder`` is this player's alone: settings, sound and log."""
        self.name = name
        self.folder = folder
        self.events: list[Told] = []
        self._news = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def microphone(self) -> Path:
        """The sound that this player says, over and over."""
        return self.folder / "said.wav"

    @property
    def speaker(self) -> Path:
        """What this player hears."""
        return self.folder / "heard.wav"

    @property
    def recordings(self) -> Path:
        """The folder with one file for each other player."""
        return self.folder / "voices"

    async def start(self, command: Sequence[str], *words: str) -> None:
        """Start the engine with the command line ``words`` (``host …`` or ``join …``)."""
        sound = ("--mic", f"loop:{self.microphone}", "--speaker", f"file:{self.speaker}")
        with (self.folder / "log.txt").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*command, *words, "--json", "--name", self.name, "--no-stun"),
                *(*sound, "--record", str(self.recordings)),
                *("--config", str(self.folder / "config")),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for us; we end our players ourselves
            )
        self._reading = asyncio.create_task(self._read())

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("VCHAT_")}
        runtime = self.folder / "run"
        runtime.mkdir(mode=0o700)
        house = str(Path(__file__).resolve().parents[1])
        paths = [house, *filter(None, [kept.get("PYTHONPATH")])]
        return {**kept, "XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": os.pathsep.join(paths)}

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with suppress(ValueError):
                self.events.append(json.loads(line))
            self._news.set()
        self._news.set()

    def told(self, event: str, **fields: Any) -> list[Told]:
        """All events of one kind so far."""
        return [
            one
            for one in self.events
            if one.get("event") == event and all(one.get(k) == v for k, v in fields.items())
        ]

    async def wait(self, event: str, count: int = 1, seconds: float = 10.0, **fields: Any) -> Told:
        """The ``count``-th such event, also one told before; ``PlayerFailed`` if it never comes."""
        try:
            async with asyncio.timeout(seconds):
                while len(found := self.told(event, **fields)) < count:
                    if self._reading is None or self._reading.done():
                        raise PlayerFailed(f"{self.name} has ended{self._why()}")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            missing = f"{event} {' '.join(str(value) for value in fields.values())}".strip()
            raise PlayerFailed(f"{self.name} waited in vain for: {missing}") from None
        return found[count - 1]

    def _why(self) -> str:
        errors = self.told("error")
        return f": {errors[-1].get('message')}" if errors else ""

    def say(self, do: str, **fields: Any) -> None:
        """Give an order; one who has ended does not hear it."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, RuntimeError):
                self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")

    async def end(self) -> int | None:
        """Leave; whoever does not is stopped. The exit code, None if there never was one."""
        process = self._process
        if process is None:
            return None
        self.say("leave")
        for stop in (None, process.terminate, process.kill):
            if stop is not None:
                with suppress(ProcessLookupError):
                    stop()
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await process.wait()
                break
        if self._reading is not None:
            await self._reading
        return process.returncode
