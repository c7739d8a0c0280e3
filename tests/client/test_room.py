"""Which signaling server a room takes, and whether it is announced."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from client import room as rooms
from client.driver import Driver
from client.hosting import host as hosting
from client.hosting.signaling import Embedded
from client.net.lan import Missing, NotFoundError
from client.net.mailbox import SignalingUnreachable
from client.net.post import Post
from client.room import Room
from client.settings import RUNGS, Settings
from signaling.server import Settings as ServerSettings
from signaling.server import serve
from tests.vectors.seeded import seeded
from vc_core.commands import UseServer
from vc_core.errors import LocalProtocolError
from vc_core.invite import parse_invitation
from vc_core.keys import Identity

CODE = "4821-apple-robot-candle"
GUEST = Settings(hosting=False, name="ann", config=Path("nowhere"), code=CODE)
HOST = Settings(hosting=True, name="ann", config=Path("nowhere"))


@pytest.fixture
def sought(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nameplates that were looked for in the network; each is found."""
    nameplates: list[str] = []

    async def look_for(nameplate: str) -> str:
        nameplates.append(nameplate)
        return "ws://192.168.1.9:8765"

    monkeypatch.setattr(rooms, "look_for", look_for)
    return nameplates


async def server_for(settings: Settings) -> tuple[Room, str]:
    """A guest's room and its server."""
    room = Room(settings, Identity.generate(seeded("ann")))
    return room, await room._server(parse_invitation(settings.code or ""))


async def test_a_code_without_a_server_is_looked_for_in_the_network(sought: list[str]) -> None:
    room, url = await server_for(GUEST)
    assert (url, sought, room.found_in_lan) == ("ws://192.168.1.9:8765", ["4821"], True)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (replace(GUEST, code=f"{CODE}@a.example:1"), "ws://a.example:1"),
        (replace(GUEST, signal="wss://b.example"), "wss://b.example"),
        (replace(GUEST, code=f"{CODE}@a.example", signal="wss://b"), "ws://a.example:8765"),
    ],
)
async def test_nothing_is_looked_for_when_a_server_is_named(
    settings: Settings, url: str, sought: list[str]
) -> None:
    room, taken = await server_for(settings)
    assert (taken, sought, room.found_in_lan) == (url, [], False)


async def test_nothing_is_looked_for_without_leave(sought: list[str]) -> None:
    with pytest.raises(LocalProtocolError):
        await server_for(replace(GUEST, lan=False))
    assert sought == []


async def test_a_host_that_is_not_found_is_told_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_for(_nameplate: str) -> str:
        raise NotFoundError(Missing.NOBODY)

    monkeypatch.setattr(rooms, "look_for", look_for)
    with pytest.raises(NotFoundError):
        await Room(GUEST, Identity.generate(seeded("ann"))).open()


@pytest.mark.parametrize(
    ("settings", "loopback", "announced"),
    [
        (HOST, False, True),
        (HOST, True, False),
        (replace(HOST, lan=False), False, False),
        (replace(HOST, only=("relayed",)), False, False),
        (replace(HOST, only=("hosted", "relayed")), False, False),
        (replace(HOST, only=RUNGS[:1]), False, True),
    ],
)
async def test_a_server_inside_is_announced_where_others_may_come_directly(
    settings: Settings, loopback: bool, announced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(ServerSettings(host="127.0.0.1", port=0))

    async def embed(*_: object) -> Embedded:
        return Embedded(server, "ws://127.0.0.1", "192.168.1.9:8765", loopback)

    monkeypatch.setattr(hosting, "embed", embed)
    room = Room(settings, Identity.generate(seeded("ann")))
    await room._server(None)
    assert (room._own_server._announcer is not None) is announced
    await room.close()


async def test_a_server_elsewhere_is_not_announced() -> None:
    room = Room(replace(HOST, signal="wss://b.example"), Identity.generate(seeded("ann")))
    assert await room._server(None) == "wss://b.example"
    assert room._own_server._announcer is None


@pytest.mark.parametrize("how", ["from the start", "in the call"])
async def test_who_hides_its_address_opens_no_server_for_the_others(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    only = ("relayed",) if how == "from the start" else RUNGS
    settings = replace(HOST, signal="wss://b.example", only=only)
    room = Room(settings, Identity.generate(seeded("ann")))
    room._post = Post("wss://b.example", on_signal=print, on_change=print)
    office = SimpleNamespace(server_opened=lambda url, _now: opened.append(url))
    session = SimpleNamespace(office=office, room=SimpleNamespace(hosting=False))
    room._driver = cast(
        Driver,
        SimpleNamespace(session=session, feed=lambda action: action(), allow=lambda _: None),
    )

    async def embed(*_: object) -> Embedded:
        raise AssertionError("a server was opened")

    monkeypatch.setattr(hosting, "embed", embed)
    if how == "in the call":
        room.only(["relayed"])
    await room._keep_server()
    assert opened == [None]


@pytest.mark.parametrize(("only", "told"), [(RUNGS, ["ws://10.0.0.7:1"]), (("relayed",), [])])
async def test_where_our_server_has_moved_is_told_unless_nobody_may_learn_our_address(
    only: tuple[str, ...], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    room = Room(HOST, Identity.generate(seeded("ann")))
    office = SimpleNamespace(server_moved=found.append)
    session = SimpleNamespace(office=office, room=SimpleNamespace(hosting=False))
    double = SimpleNamespace(
        session=session,
        feed=lambda action: action(),
        addresses_changed=lambda: None,
        allow=lambda _: None,
    )
    room._driver = cast(Driver, double)
    monkeypatch.setattr(room._own_server, "moved", lambda: "ws://10.0.0.7:1")
    room.only(only)
    room._addresses_changed()
    assert found == told


@pytest.mark.parametrize("how", ["takes over", "moves"])
async def test_a_host_that_takes_over_or_moves_asks_routers_and_relays_anew(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    improved: list[bool] = []

    async def improve(*, loopback: bool) -> bool:
        improved.append(loopback)
        return False

    room = Room(replace(GUEST, signal="wss://b.example"), Identity.generate(seeded("ann")))
    room._post = Post("wss://b.example", on_signal=print, on_change=print)
    session = SimpleNamespace(room=SimpleNamespace(hosting=True), office=None)
    room._driver = cast(
        Driver,
        SimpleNamespace(
            session=session,
            pump=lambda: None,
            addresses_changed=lambda: None,
            close=room._post.close,
        ),
    )
    monkeypatch.setattr(room._offers, "publish", lambda *_, **__: None)
    monkeypatch.setattr(room._offers, "improve", improve)
    if how == "moves":
        room._addresses_changed()
        await asyncio.sleep(0.01)
    else:
        await room._offer_anew()
    assert len(improved) == 1


async def test_a_room_that_does_not_open_lets_go_of_what_it_had(unused_tcp_port: int) -> None:
    nobody = replace(HOST, signal=f"ws://127.0.0.1:{unused_tcp_port}")
    room = Room(nobody, Identity.generate(seeded("ann")))
    with pytest.raises(SignalingUnreachable):
        async with room:
            raise AssertionError("it opened")
    await asyncio.sleep(0.01)
    hosted = room._offers.hosted
    assert hosted is not None and hosted.udp_port is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heir:
        heir.bind(("0.0.0.0", hosted.udp_port))


@pytest.mark.parametrize(("only", "follows"), [(RUNGS, True), (("relayed",), False)])
async def test_who_hides_its_address_follows_nobody_to_another_server(
    only: tuple[str, ...], follows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(replace(GUEST, only=only, signal="wss://b.example"), Identity.generate(seeded("a")))
    added: list[str] = []
    room._post = Post("wss://b.example", on_signal=print, on_change=print)
    monkeypatch.setattr(room._post, "add", added.append)
    room._server_wanted(UseServer("ws://192.0.2.66"))
    assert added == (["ws://192.0.2.66"] if follows else [])
