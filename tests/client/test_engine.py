"""The engine around a room that a test leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client import engine as module
from client.contacts import Contacts
from client.engine import Engine
from client.interface.orders import Order
from client.refused import Refused
from client.settings import Settings
from tests.vectors.seeded import seeded
from vc_core.ids import Member
from vc_core.keys import Identity


class Room:
    """A room that opens when it is told to."""

    signal_url = ""
    member = Member(1)

    def __init__(self, settings: Settings, identity: Identity, _judge: object) -> None:
        self.settings, self.identity = settings, identity
        self.may_open = asyncio.Event()
        self.sound = SimpleNamespace(muted=False)
        self.shown = ["camera", "film"]
        self.pictures = SimpleNamespace(unshare_all=self._unshare_all)
        self.accepted: list[Member] = []
        seat = SimpleNamespace(name="bob", identity=Identity.generate(seeded("bob")).public)
        inside = SimpleNamespace(inside=True, peers={Member(2): SimpleNamespace(seat=seat)})
        self.session = SimpleNamespace(room=inside)

    def _unshare_all(self, *, live: bool) -> None:
        self.shown = ["film"] if live else []

    async def open(self) -> None:
        await self.may_open.wait()

    async def events(self) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    def mute(self, on: bool) -> None:
        self.sound.muted = on

    def accept(self, member: Member) -> None:
        self.accepted.append(member)


@pytest.fixture
async def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    monkeypatch.setattr(module, "Room", Room)
    made = Engine(Settings(hosting=True, name="ann", config=tmp_path))
    calling = asyncio.create_task(made._call())
    yield made
    calling.cancel()
    await asyncio.wait([calling])
    made.close()


@pytest.fixture
def told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(engine._faces, "tell", found.append)
    return found


async def opened(engine: Engine) -> None:
    engine._room.may_open.set()  # type: ignore[attr-defined]
    while not engine._opened:
        await asyncio.sleep(0)


async def test_a_face_that_vanishes_while_the_room_opens_leaves_no_live_microphone(
    engine: Engine,
) -> None:
    engine._watched(True)
    await asyncio.sleep(0)
    engine._watched(False)
    await opened(engine)
    assert engine._room.sound.muted


async def test_a_face_that_vanishes_in_the_call_leaves_no_live_camera(engine: Engine) -> None:
    engine._watched(True)
    await opened(engine)
    assert engine._room.shown == ["camera", "film"]  # type: ignore[attr-defined]
    engine._watched(False)
    assert engine._room.shown == ["film"]  # type: ignore[attr-defined]


async def test_a_face_that_comes_back_while_the_room_opens_is_not_muted(engine: Engine) -> None:
    engine._watched(False)
    engine._watched(True)
    await opened(engine)
    assert not engine._room.sound.muted


@pytest.mark.parametrize("do", ["accept", "save"])
async def test_a_contact_that_cannot_be_kept_is_said(
    do: str, engine: Engine, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Refused("contacts-folder", "cannot keep contacts", "choose another folder")

    monkeypatch.setattr(Contacts, "save", full)
    await opened(engine)
    engine._obey(Order(do, {"member": "bob"}))
    async with asyncio.timeout(5):
        while not told:
            await asyncio.sleep(0.002)
    assert (told[0]["event"], told[0]["code"]) == ("error", "contacts-folder")
    assert told[0]["hint"]
