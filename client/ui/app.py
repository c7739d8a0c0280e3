"""The full-screen face from start to end: engine, waiting, screen, last words.

Until the room stands there is no screen: what goes wrong before (a wrong code, no
server) stays readable where the command was typed.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client import words
from client.interface.attach import Engine, attach, follow, start_engine
from client.ui.typed import GOES_ON
from vc_core.clean import clean_text
from vc_core.errors import Ending

if TYPE_CHECKING:
    from client.ui.screen import Screen

# Implementation
STATS_INTERVAL = 5.0  # s between two looks at the round trips

Events = AsyncIterator[dict[str, Any]]


def run(argv: Sequence[str]) -> int:
    """Start the engine for ``argv`` (``["host", …]``) and show its call; the exit code."""
    return follow(start_engine(argv), _face)


def run_attached(path: Path) -> int:
    """Show the call behind a socket; the exit code."""
    return follow(attach(path), _face)


async def _face(engine: Engine) -> int:
    story = Story(engine)
    loading = asyncio.create_task(asyncio.to_thread(importlib.import_module, "client.ui.screen"))
    told = await _until_room(story)
    await loading
    shown = bool(told) and told[-1]["event"] == "room"
    if shown:
        await _show(engine, story, told)
    code = await engine.close()
    story.say_goodbye(code, shown=shown)
    return code


class Story:
    """The events of one call, and how it ended."""

    def __init__(self, engine: Engine) -> None:
        self.events: Events = engine.events()
        self._engine = engine
        self._ended: dict[str, Any] | None = None
        self._problem: dict[str, Any] | None = None

    def __aiter__(self) -> Story:
        return self

    async def __anext__(self) -> dict[str, Any]:
        event = await anext(self.events)
        if event.get("event") == "ended":
            self._ended = event
        elif event.get("event") == "error":
            self._problem = event
        return event

    def say_goodbye(self, code: int, *, shown: bool) -> None:
        """Why the screen is gone, where the command was typed."""
        if self._engine.detached:
            print(GOES_ON)
        elif self._ended is not None and code == 0:
            print(words.of_ending_word(str(self._ended.get("reason"))).message)
        elif self._ended is not None and shown and self._problem is not None:
            _print_problem(self._problem)
        elif self._ended is None and code not in (0, Ending.INTERRUPTED.exit_code):
            print(self._engine.last_words() or "vchat: error: the call broke off", file=sys.stderr)


async def _until_room(story: Story) -> list[dict[str, Any]]:
    """Everything up to ``room`` or ``ended``; problems are printed as they come."""
    told = []
    async for event in story:
        told.append(event)
        if event.get("event") in ("error", "warning"):
            _print_problem(event)
        if event.get("event") in ("room", "ended"):
            break
    return told


async def _show(engine: Engine, story: Story, told: list[dict[str, Any]]) -> None:
    """The screen, until the call ends."""
    from client.ui.screen import Screen

    screen = Screen(engine)
    for event in told:
        screen.receive(event)
    engine.send({"do": "stats", "every": STATS_INTERVAL})
    pumping: list[asyncio.Task[None]] = []

    def begin() -> None:
        pumping.append(asyncio.create_task(_pump(screen, story)))

    try:
        await screen.app.run_async(pre_run=begin, handle_sigint=False)
    finally:
        screen.close()
        for task in pumping:
            task.cancel()
    await asyncio.wait(pumping)
    for task in pumping:
        if not task.cancelled():
            task.result()


async def _pump(screen: Screen, story: Story) -> None:
    try:
        async for event in story:
            screen.receive(event)
    finally:
        if screen.app.is_running and not screen.app.is_done:
            screen.app.exit()


def _print_problem(event: dict[str, Any]) -> None:
    kind, message = event["event"], clean_text(str(event.get("message", "")))
    print(f"vchat: {kind}: {message}", file=sys.stderr)
    if event.get("hint"):
        print(f"vchat: hint: {clean_text(str(event['hint']))}", file=sys.stderr)
