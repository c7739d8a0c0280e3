"""The devices of a call: what can be had is opened, the rest is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from client.events import AudioFailed, AudioOpened, RoomEvent

if TYPE_CHECKING:
    from client.media import Sound
    from client.settings import Settings

# Implementation
OPENING_LIMIT = 15.0  # s; a library that looks for its server takes one or two
LOSS_INTERVAL = 1.0  # s between two looks at the paths' loss
NO_ROOM = "is there room, and may vchat write there?"
PATIENCE = 3.0  # s that the report about devices waits for their first sample


async def open_devices(sound: Sound, settings: Settings, tell: Callable[[RoomEvent], None]) -> None:
    """Open microphone and speaker, or as much of them as works; report what was opened."""
    for opening, spec in (
        (sound.open_speaker, settings.speaker),
        (sound.open_microphone, settings.mic),
    ):
        if (failed := await _try(opening, spec)) is not None:
            tell(failed)
            await opening("none")
    await _first_samples(sound)
    tell(_report(sound))


async def _try(opening: Callable[[str], Awaitable[None]], spec: str) -> AudioFailed | None:
    """Open a device; why it cannot be had, or None."""
    from audio.unavailable import AudioUnavailable

    try:
        async with asyncio.timeout(OPENING_LIMIT):
            await opening(spec)
    except AudioUnavailable as error:
        return AudioFailed(error.code, error.message, error.hint)
    except TimeoutError:
        message = f"the sound system does not answer when '{spec}' is opened"
        return AudioFailed("audio-device", message, "try another device, or none")
    return None


def unwritten(tell: Callable[[RoomEvent], None]) -> Callable[[str], None]:
    """Tell why a sound file is written no longer."""
    return lambda why: tell(AudioFailed("audio-file", why, NO_ROOM))


async def follow_loss(sound: Sound, loss: Callable[[], float]) -> None:
    """Tell the encoder again and again what the paths lose."""
    while True:
        await asyncio.sleep(LOSS_INTERVAL)
        sound.set_loss(loss())


async def _first_samples(sound: Sound) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        speaker = sound.speaker
        waiting = speaker is not None and speaker.started is None
        waiting |= sound.microphone.name != "none" and sound.microphone.started is None
        if not waiting:
            return
        await asyncio.sleep(0.02)


def _report(sound: Sound) -> AudioOpened:
    microphone, speaker = sound.microphone, sound.speaker
    assert speaker is not None
    missing = [
        word
        for word, advice in (
            ("no-microphone", microphone.advice),
            ("no-speaker", speaker.advice),
        )
        if advice
    ]
    if len(missing) > 1:
        missing = ["no-sound"]
    return AudioOpened(
        microphone.name, speaker.name, microphone.started, speaker.started, tuple(missing)
    )
