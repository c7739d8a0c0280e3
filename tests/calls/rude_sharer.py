"""A member who shares what no sharer shares: ``python -m tests.calls.rude_sharer CODE CRIME``.

It joins properly, offers a stream and waits until somebody watches it; then it commits its
crime for a while, sealed and signed as its own, and stays until killed. One line of JSON says
when it begins, one when it is through.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from client.room import Room
from client.settings import Settings
from tests.video.encoded import stream as encoded
from vc_core.attest import picture_digest
from vc_core.events import PathChanged, StreamWatched
from vc_core.ids import Member
from vc_core.keys import Identity
from vc_core.messages import StreamOffered
from vc_core.pictures import SCREEN, Pictures
from vc_core.senderkeys import MAX_STREAMS
from video.fragment import MAX_PIECES, PIECE_LAYOUT, Flag, Fragments, Picture

# Implementation
FPS = 30
LASTS = 5.0  # s that a crime goes on
MILLION = 1_000_000  # pieces at most; a machine sends fewer in that time
BATCH = 64  # pieces between two looks at the loop
CHANCE = random.Random(7)

Piece = tuple[int, int, bytes]
"""(stream, timestamp, payload)."""


class Sharer:
    """One who seals whatever it is told to."""

    def __init__(self, room: Room, stream: int, viewer: Member) -> None:
        self._room, self.stream, self._viewer = room, stream, viewer
        self.sent = 0
        self._number = 0

    @property
    def pictures(self) -> Pictures:
        """Of the session."""
        pictures = self._room.session.pictures
        assert pictures is not None
        return pictures

    def feed(self, action: Callable[[], None]) -> None:
        """Change the session."""
        self._room._driver.feed(action)

    def send(self, piece: Piece) -> None:
        """One piece, whatever stream it names."""
        stream, timestamp, payload = piece
        keyring = self.pictures._keyring
        sealed = keyring.seal_piece(stream, timestamp, payload, time.monotonic())
        if sealed is not None:
            self._room._driver.send_to(self._viewer, sealed.datagram)
            self.sent += 1

    def frame(self, picture: Picture) -> None:
        """All pieces of a frame, and our signature for it."""
        picture = replace(picture, number=self._number)
        self._number += 1
        digest = picture_digest(
            picture.number, picture.timestamp, picture.key, picture.codec, picture.body()
        )
        self.feed(lambda: self.pictures.sign(self.stream, picture.number, digest, time.monotonic()))
        fragments = Fragments(picture)
        for index in range(fragments.count):
            self.send((self.stream, picture.timestamp, fragments.data(index)))

    def offer(self, **fields: Any) -> None:
        """An offer of our stream that is as we like it."""
        room = self._room.session.room
        offer = StreamOffered(self.stream, SCREEN, 1280, 720, FPS, 0)
        peer = room.peers[self._viewer]
        courier = self.pictures._courier

        def send() -> None:
            courier.send(peer, replace(offer, **fields))

        self.feed(send)


def clock() -> int:
    """As timestamps count."""
    return int(time.monotonic() * 1000) % (1 << 32)


def picture(data: bytes, width: int = 1280, height: int = 720, at: int | None = None) -> Picture:
    """A key frame."""
    return Picture(0, 0, 1, clock() if at is None else at, width, height, data)


async def paced() -> AsyncIterator[int]:
    """Numbers in the rate of pictures, for as long as a crime goes on."""
    for number in range(round(LASTS * FPS)):
        yield number
        await asyncio.sleep(1 / FPS)


async def garbage(sharer: Sharer) -> None:
    """Frames that are whole, and nothing that a codec has ever made."""
    async for _ in paced():
        sharer.frame(picture(b"\0\0\0\1\x67" + CHANCE.randbytes(4000)))


async def sizes(sharer: Sharer) -> None:
    """Pictures that nobody can show, which say to be larger still."""
    [big] = encoded(1, 16384, 64)
    async for _ in paced():
        sharer.frame(picture(big.data, 65535, 65535))


async def nonsense(sharer: Sharer) -> None:
    """Pieces that are none."""
    heads = (
        PIECE_LAYOUT.pack(1, 0, 0, Flag.KEY, 1, 0),
        PIECE_LAYOUT.pack(1, 9, 3, Flag.KEY, 1, 0),
        PIECE_LAYOUT.pack(1, 0, 65535, Flag.KEY, 1, 0),
        PIECE_LAYOUT.pack(1, 0, 1, 255, 1, 0),
        PIECE_LAYOUT.pack(1, 0, 1, Flag.KEY, 77, 0),
        PIECE_LAYOUT.pack(1, 0, 1, 0, 1, 9),
        b"",
    )
    async for _ in paced():
        for head in heads:
            sharer.send((sharer.stream, clock(), head + CHANCE.randbytes(30)))


def endless() -> Iterator[bytes]:
    """Pieces of frames that never become whole."""
    for number in range(MILLION):
        flags = Flag.KEY | Flag.PARITY
        head = PIECE_LAYOUT.pack(number // 3, number % 900, MAX_PIECES, flags, 1, 0)
        yield head + bytes(1 + 2)


async def million(sharer: Sharer) -> None:
    """As many of those as can be sent."""
    ends = time.monotonic() + LASTS
    for number, payload in enumerate(endless()):
        sharer.send((sharer.stream, clock(), payload))
        if number % BATCH == 0:
            await asyncio.sleep(0)
            if time.monotonic() > ends:
                return


async def clocks(sharer: Sharer) -> None:
    """Good pictures that were taken at any time, on clocks that leap."""
    films = list(encoded(30))
    async for number in paced():
        if number % 15 == 0:
            sharer.offer(clock=CHANCE.getrandbits(32))
        one = films[number % len(films)]
        if one.key:
            sharer.frame(picture(one.data, one.width, one.height, CHANCE.getrandbits(32)))


async def unoffered(sharer: Sharer) -> None:
    """Pieces of streams that nobody was offered, and of numbers that no stream has."""
    async for _ in paced():
        for stream in (*range(2, MAX_STREAMS + 1), 5, 999, 65535):
            payload = Fragments(picture(bytes(3000))).data(0)
            sharer.send((stream, clock(), payload))


async def offers(sharer: Sharer) -> None:
    """An offer of a picture that is larger than pictures are."""
    sharer.offer(width=60000, height=60000)
    await asyncio.sleep(LASTS)


CRIMES = {
    crime.__name__: crime
    for crime in (garbage, sizes, nonsense, million, clocks, unoffered, offers)
}


async def main(code: str, crime: str) -> None:
    """Join, offer, wait, do it, stay."""
    settings = Settings(False, "Rudy", Path(), code=code, mic="none", speaker="none")
    async with Room(settings, Identity.generate(os.urandom)) as room:
        shared = False
        async for event in room.events():
            if isinstance(event, PathChanged) and not shared:
                shared = True
                room._driver.feed(partial(_share, room))
            if isinstance(event, StreamWatched) and event.on:
                sharer = Sharer(room, event.stream, event.member)
                print(json.dumps({"event": "begun", "crime": crime}), flush=True)
                await CRIMES[crime](sharer)
                print(json.dumps({"event": "through", "sent": sharer.sent}), flush=True)
                await asyncio.sleep(60)


def _share(room: Room) -> None:
    if (pictures := room.session.pictures) is not None:
        pictures.share(SCREEN, 1280, 720, FPS)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
