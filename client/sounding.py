"""The devices of a call: what can be had is opened, the rest is said.

A device that calls no more, as one that is unplugged, is given up for the default one;
while there is none, for nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.events import AudioFailed, AudioOpened, RoomEvent
from vc_core.events import Warned

if TYPE_CHECKING:
    from audio.microphone import Microphone
    from audio.speaker import Speaker
    from client.media import Sound
    from client.settings import Settings

# Implementation
OPENING_LIMIT = 15.0  # s; a library that looks for its server takes one or two
LOSS_INTERVAL = 1.0  # s between two looks at the paths' loss
NO_ROOM = "is there room, and may vchat write there?"
PATIENCE = 3.0  # s that the report about devices waits for their first sample
LOOK = 1.0  # s between two looks at whether devices call
SELDOM = 60.0  # s; where there is no device that could go
STILL = 2  # looks without a call, after which a device has gone; this process may sleep in one
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0  # s between two tries to open another one, doubling

Tell = Callable[[RoomEvent], None]
Opening = Callable[[str], Awaitable[None]]


async def keep_devices(sound: Sound, settings: Settings, tell: Tell) -> None:
    """Open them, and replace those that go; never ends by itself."""
    await open_devices(sound, settings, tell)
    speaker = _End("speaker-gone", lambda: sound.speaker, sound.open_speaker)
    microphone = _End("microphone-gone", lambda: sound.microphone, sound.open_microphone)
    one_by_one = asyncio.Lock()  # a library that is not there must not be looked for by two
    await asyncio.gather(*(_keep(end, sound, tell, one_by_one) for end in (speaker, microphone)))


async def open_devices(sound: Sound, settings: Settings, tell: Tell) -> None:
    """Open microphone and speaker, or as much of them as works; report what was opened."""
    for opening, spec in (
        (sound.open_speaker, settings.speaker),
        (sound.open_microphone, settings.mic),
    ):
        if (failed := await _try(opening, spec)) is not None:
            tell(failed)
            await opening("none")
    tell(await _report(sound))


async def _try(opening: Opening, spec: str) -> AudioFailed | None:
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


@dataclass
class _End:
    """A microphone or a speaker."""

    word: str
    """What is said when it has gone."""
    device: Callable[[], Microphone | Speaker | None]
    opening: Opening

    async def goes(self) -> None:
        """Wait until it calls no more; one that never called is only slow."""
        still, before = 0, None
        while True:
            device = self.device()
            calls = device.calls if device is not None else None
            still = still + 1 if calls and calls == before else 0
            if still == STILL:
                return
            before = calls
            await asyncio.sleep(LOOK if calls is not None else SELDOM)

    async def replace(self) -> bool:
        """Open the default one, or none; whether it is one that calls."""
        before = self.device()
        if await _try(self.opening, "default") is not None:
            await self.opening("none")
        if before is not None:
            before.close()
        device = self.device()
        return device is not None and device.calls is not None


async def _keep(end: _End, sound: Sound, tell: Tell, one_by_one: asyncio.Lock) -> None:
    while True:
        await end.goes()
        tell(Warned(end.word))
        if (gone := end.device()) is sound.microphone:
            sound.break_off()
        if gone is not None:
            gone.close()
        pause, found, told = FIRST_PAUSE, False, False
        while not found:
            async with one_by_one:
                found = await end.replace()
            if found or not told:
                tell(await _report(sound))
                told = True
            if not found:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)


def unwritten(tell: Tell) -> Callable[[str], None]:
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


async def _report(sound: Sound) -> AudioOpened:
    await _first_samples(sound)
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
