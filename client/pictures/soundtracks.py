"""Sound that goes with our own pictures: where it comes from, and to whom it goes.

    source (what the machine plays, a film's sound, test tones) ─► ``Soundtrack`` ─ 20 ms packets
      ─► ``Pictures.seal_sound`` ─► each viewer, the way its pictures go, but not behind them

Rule 1: a stream whose sound cannot be had is shared without, and that is said.
Rule 2: nothing is captured while nobody watches.
Rule 3: voice comes first: a path that drowns gets no sound until it breathes again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from audio.files import FilmSound
from audio.pcm import RATE
from audio.soundtrack import Soundtrack, Tones
from audio.system import Source, SystemSound
from audio.unavailable import AudioUnavailable
from client.events import RoomEvent, SoundNotShared
from vc_core.ids import Member
from video.pipe import SoundRecord

if TYPE_CHECKING:
    from client.driver import Driver
    from vc_core.pictures import Pictures

# Specification
WRAP = 1 << 32  # timestamps are u32

# Implementation
OVERLAP = 1.0  # s of own copies after a viewer was told that a forwarder brings them
LOOK = 1.0  # s between two looks at a viewer's path
AGAIN = 0.04  # s after which a packet is sent a second time where packets get lost
LOSSY = 0.02  # share of lost packets from which a second copy is worth it
DROWNING = 0.12  # share from which sound only adds to the flood, if pictures are slowed down too
NARROW = 200_000.0  # bit/s for pictures: a path that has no room
WIDE = 600_000.0  # bit/s: one on which loss is not our own doing

RateOf = Callable[[Member], float]
"""bit/s that a viewer's path has for pictures."""


def copies(loss: float, rate: float) -> int:
    """How often a packet is sent on a path with such a loss and such a rate for pictures."""
    if loss >= DROWNING and rate < NARROW:
        return 0
    return 2 if loss >= LOSSY and rate >= WIDE else 1


async def open_sound(source: str, tell: Callable[[RoomEvent], None]) -> Source | None:
    """The sound that belongs to what is shared; None, and a warning, where there is none."""
    kind, _, path = source.partition(":")
    try:
        if kind in ("file", "loop"):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, FilmSound, path)
        if kind == "test":
            return Tones()
        system = SystemSound()
        await system.open()
        return system
    except AudioUnavailable as error:
        if kind in ("file", "loop") and not error.hint:
            return None  # it cannot be read at all, which its pictures tell
        tell(SoundNotShared(error.code, error.message, error.hint))
        return None


def _when(timestamp: int, now: float) -> float:
    """The time on our clock, nearest to now, that a timestamp means."""
    ahead = (timestamp - round(now * RATE) + WRAP // 2) % WRAP - WRAP // 2
    return now + ahead / RATE


class OwnTrack:
    """The sound of one stream of ours."""

    def __init__(self, driver: Driver, source: Source, rate_of: RateOf) -> None:
        self.stream = 0
        """Of the pictures; 0 until they are offered."""
        self.ears: dict[object, Callable[[SoundRecord], None]] = {}
        """Who records our own stream here."""
        self._driver = driver
        self._rate_of = rate_of
        self._track = Soundtrack(source, self._send)
        self._carried: dict[Member, tuple[int, float]] = {}
        """By which forwarder a viewer gets its copies, and since when."""
        self._copies: dict[Member, int] = {}
        self._looked_at = -LOOK
        self._again: deque[tuple[float, Member, bytes]] = deque()

    def listen(self, on: bool) -> None:
        """Somebody watches, or nobody."""
        self._track.listen(on)

    def film(self, zero: float, turn: int) -> None:
        """A film's clock showed 0 at ``zero``; ``turn`` counts how often it began."""
        if isinstance(self._track.source, FilmSound):
            self._track.source.begins(zero, turn)

    def close(self) -> None:
        """The end."""
        self._track.close()

    def _send(self, timestamp: int, payload: bytes) -> None:
        session, now = self._driver.session, time.monotonic()
        played = SoundRecord(round(_when(timestamp, now) * 1e6), payload)
        for ear in self.ears.values():
            ear(played)
        pictures = session.pictures if session is not None else None
        if pictures is None:
            return
        viewers = pictures.viewers(self.stream)
        datagram = pictures.seal_sound(self.stream, timestamp, payload, now) if viewers else None
        if datagram is None:
            return
        if now - self._looked_at >= LOOK:
            self._look(viewers, now)
        alone, forwarders = self._ways(pictures, viewers, now)
        for number in forwarders:
            self._driver.forwarders.spread(number, pictures.sound_handle(self.stream), datagram)
        for member in alone:
            self._send_to(member, datagram, now)
        while self._again and self._again[0][0] <= now:
            _, member, before = self._again.popleft()
            self._driver.send_to(member, before)

    def _send_to(self, member: Member, datagram: bytes, now: float) -> None:
        """Now, and again a little later, as its path wants it."""
        often = self._copies.get(member, 1)
        if often:
            self._driver.send_to(member, datagram)
        if often > 1:
            self._again.append((now + AGAIN, member, datagram))

    def _ways(
        self, pictures: Pictures, viewers: list[Member], now: float
    ) -> tuple[list[Member], set[int]]:
        """Who gets a copy of its own, and which forwarders copy for the others."""
        told = pictures.carried(self.stream)
        alone, forwarders = [], set()
        for member in viewers:
            number = told.get(member, 0)
            known = self._carried.get(member)
            if known is None or known[0] != number:
                known = self._carried[member] = number, now
            if number:
                forwarders.add(number)
            if not number or now - known[1] < OVERLAP:
                alone.append(member)
        return alone, forwarders

    def _look(self, viewers: list[Member], now: float) -> None:
        """How each viewer's path is doing."""
        self._looked_at = now
        self._copies = {one: copies(self._loss(one), self._rate_of(one)) for one in viewers}
        self._carried = {one: way for one, way in self._carried.items() if one in viewers}

    def _loss(self, member: Member) -> float:
        session = self._driver.session
        peer = session.room.peers.get(member) if session is not None else None
        link = peer.link if peer is not None else None
        path = link.paths.get(link.used) if link is not None and link.used is not None else None
        return path.loss_out if path is not None else 0.0
