"""Addresses at TURN servers of others, against a real one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aioice import stun

from client.net import direct, ice_socket, turn
from client.net.candidates import Description
from client.net.ice_moving import MovingConnection
from client.net.turn_uri import TurnServer, parse_turn, without_password
from tests.client.net import turn_server
from tests.client.net.test_direct import MEDIA, End, close, talk
from tests.client.net.waiting import until

pytestmark = [
    pytest.mark.usefixtures("clean_loop"),
    pytest.mark.filterwarnings("error"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnServer]:
    """One that knows a user."""
    why = turn_server.why_impossible()
    if why is not None:
        pytest.skip(why)
    with turn_server.turn_server(tmp_path_factory.mktemp("turn")) as port:
        credentials = f"{turn_server.USER}:{quote(turn_server.PASSWORD, safe='')}"
        yield parse_turn(f"turn:{credentials}@127.0.0.1:{port}")


def pair(server: TurnServer, **more: Any) -> tuple[End, End]:
    """``one`` has nothing but the server, ``two`` only its own addresses."""
    one = End(controlling=True, turn=[server], **more)
    two = End(controlling=False)
    one.tell, two.tell = two.carrier.add_remote, one.carrier.add_remote
    return one, two


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_carries_datagrams_both_ways_through_a_server(
    server: TurnServer, transport: str
) -> None:
    one, two = pair(replace(server, transport=transport), relayed_only=True)
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await talk(one, two)
    assert one.carrier.selected() == ("relay", "host")
    assert one.carrier.relayed and two.carrier.relayed
    assert all(" typ relay" in line for line in one.candidates)
    two.got.clear()
    for number in range(200):
        one.carrier.send(b"\x80" + bytes([number]) * number)
        await asyncio.sleep(0.001)
    await until(lambda: len(two.got) == 200)
    assert two.got == [b"\x80" + bytes([number]) * number for number in range(200)]
    await close(one, two)


async def test_both_ends_through_the_server(server: TurnServer) -> None:
    one, two = pair(server, relayed_only=True)
    two = End(controlling=False, turn=[server], relayed_only=True)
    one.tell, two.tell = two.carrier.add_remote, one.carrier.add_remote
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await talk(one, two)
    assert one.carrier.selected() == ("relay", "relay")
    await close(one, two)


async def test_a_way_without_the_server_is_preferred(server: TurnServer) -> None:
    one, two = pair(server)
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await talk(one, two)
    await until(lambda: one.described[-1].done)
    await asyncio.sleep(0.1)
    assert one.carrier.selected() == ("host", "host")
    assert [line for line in one.candidates if " typ relay" in line]
    await close(one, two)


async def test_a_way_without_the_server_is_taken_when_it_is_found_later(
    server: TurnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "IMPROVE", (0.05,))
    one, two = pair(server)
    shut = True
    send = ice_socket.IceSocket.send_stun

    def unless_shut(self: Any, message: stun.Message, addr: tuple[str, int]) -> None:
        request = message.message_class == stun.Class.REQUEST
        if not (shut and request and type(self) is ice_socket.IceSocket):
            send(self, message, addr)

    def only_the_relay(description: Description) -> None:
        relayed = tuple(line for line in description.candidates if " typ relay" in line)
        two.carrier.add_remote(replace(description, candidates=relayed))

    monkeypatch.setattr(ice_socket.IceSocket, "send_stun", unless_shut)
    one.tell = only_the_relay
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await until(lambda: one.states == ["connected"])
    assert one.carrier.selected() == ("relay", "host")
    shut = False
    await talk(one, two)
    await until(lambda: not one.carrier.relayed and not two.carrier.relayed)
    assert one.carrier.selected() == ("host", "host")
    await close(one, two)


@pytest.mark.parametrize("wrong", ["password", "user", "port", "name"])
async def test_a_server_that_gives_nothing_delays_nothing_and_is_named(
    server: TurnServer, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        bad = {
            "password": replace(server, password="guessed"),
            "user": replace(server, user=None, password=None),
            "port": replace(server, port=silent.getsockname()[1]),
            "name": replace(server, host="nowhere.invalid"),
        }[wrong]
        one, two = pair(bad)
        await asyncio.gather(one.carrier.start(), two.carrier.start())
        await until(lambda: one.states == two.states == ["connected"], bound=0.4)
        await talk(one, two)
        if wrong in ("password", "user"):
            await until(lambda: "gives no address: STUN transaction failed (401" in caplog.text)
        await asyncio.wait_for(close(one, two), 2.0)


async def test_a_server_that_dies_does_not_keep_the_carrier_from_closing(tmp_path: Path) -> None:
    why = turn_server.why_impossible()
    if why is not None:
        pytest.skip(why)
    with turn_server.turn_server(tmp_path / "turn") as port:
        dying = TurnServer("127.0.0.1", port, turn_server.USER, turn_server.PASSWORD, "udp", False)
        one, two = pair(dying, relayed_only=True)
        await asyncio.gather(one.carrier.start(), two.carrier.start())
        await talk(one, two)
    await asyncio.wait_for(close(one, two), 2.0)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("milliseconds", [0, 1, 2, 3, 4, 6, 8, 12, 20, 500, 600])
async def test_closes_at_any_moment_and_leaves_nothing(
    server: TurnServer, transport: str, milliseconds: int
) -> None:
    one, two = pair(replace(server, transport=transport))
    starting = asyncio.gather(one.carrier.start(), two.carrier.start())
    await asyncio.sleep(milliseconds / 1000)
    await asyncio.wait_for(close(one, two), 2.0)
    await starting


async def test_a_turn_server_is_a_stun_server_too(
    server: TurnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = pair(server)
    asked: list[tuple[str, int]] = []
    real = MovingConnection.ask

    async def noted(self: Any, opened: Any, address: tuple[str, int]) -> Any:
        asked.append(address)
        return await real(self, opened, address)

    monkeypatch.setattr(MovingConnection, "ask", noted)
    await one.carrier.start()
    await until(lambda: asked)
    assert asked == [("127.0.0.1", server.port)]
    await close(one)


async def test_a_channel_is_refreshed_while_datagrams_go_on(
    server: TurnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "CHANNEL_REFRESH", 0.05)
    monkeypatch.setattr(turn, "RETRY_REFRESH", 0.05)
    one, two = pair(server, relayed_only=True)
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await talk(one, two)
    bound: list[int] = []
    opened = next(p for p in one.carrier._ice._protocols if isinstance(p, turn.RelaySocket))  # type: ignore[union-attr]
    bind = opened.client.channel_bind

    async def counted(number: int, addr: tuple[str, int]) -> None:
        bound.append(number)
        await bind(number, addr)

    monkeypatch.setattr(opened.client, "channel_bind", counted)
    two.got.clear()
    for _ in range(40):
        one.carrier.send(MEDIA)
        await asyncio.sleep(0.01)
    await until(lambda: len(two.got) == 40)
    assert 2 <= len(bound) <= 10
    await close(one, two)


# ---- URIs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("turn:t.example", TurnServer("t.example", 3478, None, None, "udp", False)),
        ("turn:u:p@t.example:99", TurnServer("t.example", 99, "u", "p", "udp", False)),
        ("turn:u:p@[::1]:99", TurnServer("::1", 99, "u", "p", "udp", False)),
        (
            "turn:a%40b:c%3Ad@10.0.0.1?transport=tcp",
            TurnServer("10.0.0.1", 3478, "a@b", "c:d", "tcp", False),
        ),
        ("turns:u:p@t.example", TurnServer("t.example", 5349, "u", "p", "tcp", True)),
        (
            "turns:u:p@t.example:443?transport=tcp",
            TurnServer("t.example", 443, "u", "p", "tcp", True),
        ),
    ],
)
def test_reads_a_uri(text: str, server: TurnServer) -> None:
    assert parse_turn(text) == server


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t.example:3478",
        "stun:t.example",
        "turn:",
        "turn:u@t.example",
        "turn:u:p@",
        "turn:u:p@t.example:0",
        "turn:u:p@t.example:65536",
        "turn:u:p@t.example?transport=sctp",
        "turns:u:p@t.example?transport=udp",
        "turn:u:p:q@t.example",
        "turn:u:p@t.example/path",
        "turn:u:p@t.ex ample",
    ],
)
def test_refuses_what_is_no_uri(text: str) -> None:
    with pytest.raises(ValueError):
        parse_turn(text)


def test_does_not_show_the_password() -> None:
    assert without_password("turn:u:p4:ss@t.example:1") == "turn:u:…@t.example:1"
    assert without_password("turn:t.example:1") == "turn:t.example:1"
    assert "p4ss" not in repr(parse_turn("turn:u:p4ss@t.example"))
