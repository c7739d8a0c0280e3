"""The devices of a call, where one of them does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from client import sounding
from client.events import AudioFailed, AudioOpened
from client.settings import Settings
from client.sounding import keep_devices, open_devices
from vc_core.events import Warned


class Sound:
    """A speaker that never opens, and a microphone that does."""

    def __init__(self) -> None:
        self.speaker: Any = None
        self.microphone: Any = None

    async def open_speaker(self, spec: str) -> None:
        if spec != "none":
            await asyncio.Event().wait()
        self.speaker = SimpleNamespace(name=spec, started=1.0, advice=None, calls=None)

    async def open_microphone(self, spec: str) -> None:
        self.microphone = SimpleNamespace(name=spec, started=1.0, advice=None)


class Plugged:
    """A machine with one microphone, if it is plugged in, and a file for a speaker."""

    def __init__(self) -> None:
        self.speaker = SimpleNamespace(name="file:ear.wav", started=1.0, advice=None, calls=None)
        self.microphone: Any = None
        self.plugged = True
        self.pulled = ""
        self.closed: list[str] = []
        self.broken_off = 0

    async def open_speaker(self, spec: str) -> None:
        assert spec == self.speaker.name

    async def open_microphone(self, spec: str) -> None:
        name = spec if self.plugged else "none"
        calls, advice = (1, None) if self.plugged else (None, "there is none")
        close = partial(self.closed.append, name)
        self.microphone = SimpleNamespace(
            name=name, started=1.0, advice=advice, calls=calls, close=close
        )

    def break_off(self) -> None:
        self.broken_off += 1

    async def run(self) -> None:
        """Its thread calls; never that of a headset that was pulled out."""
        while True:
            await asyncio.sleep(0.001)
            if self.microphone is not None and self.microphone.name != self.pulled:
                self.microphone.calls = self.microphone.calls and self.microphone.calls + 1


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


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


@pytest.mark.parametrize("another", [True, False])
async def test_a_microphone_that_goes_is_named_and_replaced_as_soon_as_there_is_one(
    another: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounding, "LOOK", 0.01)
    monkeypatch.setattr(sounding, "FIRST_PAUSE", 0.05)
    told: list[Any] = []
    sound, settings = Plugged(), Settings(hosting=True, name="ann", config=Path("nowhere"))
    settings = replace(settings, mic="Headset", speaker="file:ear.wav")
    running = asyncio.create_task(sound.run())
    keeping = asyncio.create_task(keep_devices(cast(Any, sound), settings, told.append))
    await until(lambda: len(told) == 1)
    sound.pulled, sound.plugged = "Headset", another
    if not another:
        await until(lambda: len(told) == 3)
        assert (told[2].mic, told[2].missing) == ("none", ("no-microphone",))
        await asyncio.sleep(0.1)
        sound.plugged = True
    await until(lambda: len(told) == (3 if another else 4))
    await asyncio.sleep(0.1)
    keeping.cancel()
    running.cancel()
    assert told[0].mic == "Headset" and told[1] == Warned("microphone-gone")
    assert told[-1].mic == sound.microphone.name == "default" and told[-1].missing == ()
    assert len(told) == (3 if another else 4)
    assert (sound.closed[0], sound.broken_off) == ("Headset", 1)
