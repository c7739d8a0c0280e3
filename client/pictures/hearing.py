"""Hearing: the sound of streams that we watch, in time with their pictures.

packet, opened ─► ``Pictures.takes_sound`` (asked for?) ─► ``Sound`` ─► speaker
the viewing child says how old pictures are ─► ``Lips`` ─► how long sound is held back
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from audio.lips import Lips
from client.fields import optional
from vc_core.ids import Member
from vc_core.senderkeys import Opened

if TYPE_CHECKING:
    from client.driver import Driver
    from client.media import Sound
    from video.pipe import Words

# Implementation
OUT = 0.02  # s from the mixer to the air, about

Name = tuple[Member, int]


class Hearing:
    """All tracks that we hear."""

    def __init__(self, driver: Driver, sound: Sound) -> None:
        self._driver = driver
        self._sound = sound
        self._lips: dict[Name, Lips] = {}

    def begin(self, name: Name) -> None:
        """Its pictures are watched."""
        self._lips[name] = Lips()
        self._sound.listening.tracks.open(name)

    def end(self, name: Name) -> None:
        """They are watched no more."""
        if self._lips.pop(name, None) is not None:
            self._sound.listening.tracks.close(name)

    def receive(self, opened: Opened) -> Name | None:
        """A packet of sound that was opened; its stream, or None and nothing if nobody asked."""
        session = self._driver.session
        pictures = session.pictures if session is not None else None
        if pictures is None:
            return None
        stream = pictures.takes_sound(opened, time.monotonic())
        if stream is None:
            return None
        self._sound.receive_track((opened.member, stream), opened.media)
        return opened.member, stream

    def shown(self, name: Name, words: Words) -> None:
        """How old the pictures are that the viewing child shows."""
        lips, session, now = self._lips.get(name), self._driver.session, time.monotonic()
        pictures = session.pictures if session is not None else None
        playing = self._sound.listening.tracks.playing(name)
        age = _age(words)
        if lips is None or pictures is None or playing is None or age is None:
            return
        timestamp, until = playing
        taken = pictures.heard_at(*name, timestamp, now)
        if taken is not None:
            hold = lips.compare(age, now + until + OUT - taken)
            self._sound.listening.tracks.hold(name, hold)

    def stats(self) -> dict[Name, dict[str, Any]]:
        """By stream, since this was last asked."""
        found = {}
        for name, voice in self._sound.listening.tracks.stats().items():
            lips = self._lips.get((Member(name[0]), name[1]))
            ahead = lips.ahead if lips is not None else None
            found[Member(name[0]), name[1]] = {
                "loss": round(voice.loss, 4),
                "playout_ms": round(voice.playout_ms, 2),
                "concealed": round(voice.concealed, 4),
                "ahead_ms": round(ahead * 1000) if ahead is not None else None,
            }
        return found


def _age(words: Words) -> float | None:
    """Seconds from taking a picture to showing it, the median; None while nothing is shown."""
    latency = words.get("latency_ms")
    shown = latency.get("shown") if isinstance(latency, dict) else None
    median = optional(shown, "p50") if isinstance(shown, dict) else None
    return median / 1000 if median is not None else None
