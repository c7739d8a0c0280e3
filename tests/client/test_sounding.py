"""The devices of a call, where one of them does not answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from client import sounding
from client.events import AudioFailed, AudioOpened
from client.settings import Settings
from client.sounding import open_devices


class Sound:
    """A speaker that never opens, and a microphone that does."""

    def __init__(self) -> None:
        self.speaker: Any = None
        self.microphone: Any = None

    async def open_speaker(self, spec: str) -> None:
        if spec != "none":
            await asyncio.Event().wait()
        self.speaker = SimpleNamespace(name=spec, started=1.0, advice=None)

    async def open_microphone(self, spec: str) -> None:
        self.microphone = SimpleNamespace(name=spec, started=1.0, advice=None)


async def test_a_device_that_does_not_answer_keeps_nobody_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(sounding, "OPENING_LIMIT", 0.01, raising=False)
    settings = Settings(hosting=True, name="ann", config=Path("nowhere"), mic="Headset")
    async with asyncio.timeout(1):
        await open_devices(cast(Any, Sound()), settings, told.append)
    failed, opened = told
    assert isinstance(failed, AudioFailed) and failed.hint
    assert isinstance(opened, AudioOpened) and (opened.mic, opened.speaker) == ("Headset", "none")
