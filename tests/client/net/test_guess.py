"""Guessed ports: each side alone on loopback; both together between real NATs in ``tests.lab``."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from client.net import direct, guess
from client.net.candidates import Description
from client.net.guess import PAUSE, REMEMBERED, SOCKETS, TRIES, Guessing, Tries, targets
from client.net.ice_moving import MovingConnection
from tests.client.net import stun_double
from tests.client.net.test_direct import End, close
from tests.client.net.waiting import until

pytestmark = [
    pytest.mark.usefixtures("clean_loop"),
    pytest.mark.filterwarnings("error"),
]

HOST = "127.0.0.1"


class Chance(random.Random):
    """Guesses what it was told, after a few misses."""

    def __init__(self, right: Sequence[int]) -> None:
        super().__init__(7)
        self.right = right

    def sample(self, population: Any, k: int, *, counts: Any = None) -> list[Any]:
        return [*super().sample(population, 20), *self.right[:1], *super().sample(population, k)]


@asynccontextmanager
async def strangers() -> AsyncIterator[tuple[MovingConnection, MovingConnection]]:
    """Two connections that check, know each other's passwords and no address."""
    both = [
        MovingConnection(
            controlling=controlling,
            on_datagram=lambda data: None,
            on_connected=lambda: None,
            on_lost=lambda: None,
        )
        for controlling in (True, False)
    ]
    for one in both:
        await one.bind([HOST])
    for one, other in (both, reversed(both)):
        one.remote_username, one.remote_password = other.local_username, other.local_password
    connecting = [asyncio.create_task(one.connect()) for one in both]
    await asyncio.sleep(0)
    try:
        yield both[0], both[1]
    finally:
        for task in connecting:
            task.cancel()
        await asyncio.gather(*connecting, return_exceptions=True)
        for one in both:
            await one.close()


async def test_a_knock_that_comes_through_is_answered_and_the_other_sockets_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guess, "SOCKETS", 16)
    async with strangers() as (hard, easy):
        guessing = Guessing(hard)
        await asyncio.wait_for(guessing.knock(HOST, [(HOST, easy.sockets[0].port)]), 5.0)
        assert hard.connected
        await until(lambda: easy.connected)
        assert 1 <= guessing.sent <= 16
        kept = {opened.id for opened in hard._protocols}
        assert hard._nominated[1].protocol.id in kept - {hard.sockets[0].id}


async def test_a_search_that_hits_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guess, "SOCKETS", 8)
    async with strangers() as (hard, easy):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind((HOST, 0))
            knocking = Guessing(hard)
            knocks = asyncio.create_task(knocking.knock(HOST, [nobody.getsockname()]))
            await until(lambda: len(knocking._opened) == 8)
            assert not easy.connected
            right = [opened.port for opened in knocking._opened]
            searching = Guessing(easy, Chance(right))
            await asyncio.wait_for(searching.search(easy.sockets[0], [HOST]), 5.0)
            await asyncio.wait_for(knocks, 5.0)
        assert hard.connected and easy.connected
        assert hard._nominated[1].local_addr[1] == right[0]
        assert easy._nominated[1].remote_addr == (HOST, right[0])


async def test_gives_up_within_bounds_and_closes_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guess, "LIMIT", 0.3)
    monkeypatch.setattr(guess, "SOCKETS", 8)
    async with strangers() as (hard, easy):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind((HOST, 0))
            knocking, searching = Guessing(hard), Guessing(easy)
            await asyncio.gather(
                knocking.knock(HOST, [nobody.getsockname()]),
                searching.search(easy.sockets[0], ["127.0.0.99"]),
            )
        for guessing in (knocking, searching):
            assert 8 <= guessing.sent <= 0.3 * 200 + 8
        assert not knocking._opened and len(hard._protocols) == 1


@pytest.mark.parametrize(
    ("mine", "peers", "goes"),
    [(True, False, "knock"), (False, True, "search"), (True, True, None), (False, False, None)],
)
async def test_is_tried_when_exactly_one_side_is_hard(
    mine: bool, peers: bool, goes: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "AFTER", 0.05)
    monkeypatch.setattr(direct, "ATTENTION", 0.02)
    tried: list[tuple[str, object]] = []

    async def knock(self: Guessing, host: str, others: object) -> None:
        tried.append(("knock", others))

    async def search(self: Guessing, opened: object, hosts: object) -> None:
        tried.append(("search", hosts))

    monkeypatch.setattr(Guessing, "knock", knock)
    monkeypatch.setattr(Guessing, "search", search)
    tries = Tries()
    ends: list[End] = []

    def answer(request: bytes) -> bytes:
        port = 4242 if mine else ends[-1].ports[0]
        return stun_double.mapped("203.0.113.7", port)(request)

    async with stun_double.stun_server(answer) as (server, _):
        for _ in range(2):
            ends.append(End(controlling=True, stun=[server], tries=tries))
            await ends[-1].carrier.start()
            await until(lambda: ends[-1].described[-1].done)
            line = "a 1 udp 1 203.0.113.9 4711 typ srflx"
            peer = Description("abcd", "x" * 22, (line,), done=False, hard=peers)
            ends[-1].carrier.add_remote(peer)
            await asyncio.sleep(0.2)
    await close(*ends)
    others: object = [("203.0.113.9", 4711)] if mine else ["203.0.113.9"]
    assert tried == ([(goes, others)] if goes else []), "once, and not again so soon"


def test_remembers_for_a_while_which_networks_were_tried_in_vain() -> None:
    tries = Tries()
    assert tries.may(["192.0.2.1"], 0.0)
    tries.failed(["192.0.2.1"], 0.0)
    assert not tries.may(["192.0.2.1"], PAUSE - 1)
    assert tries.may(["192.0.2.2"], 1.0)
    assert tries.may(["192.0.2.1"], PAUSE)
    for number in range(2 * REMEMBERED):
        tries.failed([f"host {number}"], 1.0 + number)
    assert len(tries._failed) == REMEMBERED


def test_a_peer_that_names_ever_other_addresses_is_followed_to_few_of_them() -> None:
    tries = Tries()
    made = sum(tries.may([f"host {n}"], n) and tries.begin(n) for n in range(600))
    assert made == TRIES.burst + 600 * TRIES.per_second - 1


def test_a_few_addresses_of_ip4_are_worth_it() -> None:
    many = [("2001:db8::1", 1), ("192.0.2.1", 1), ("192.0.2.1", 1), ("192.0.2.2", 1)]
    assert targets([*many, ("192.0.2.3", 1)]) == [("192.0.2.1", 1), ("192.0.2.2", 1)]


def test_leaves_files_for_the_rest_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 256))
    assert guess._allowed() == 64
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1 << 20, 1 << 20))
    assert guess._allowed() == SOCKETS
