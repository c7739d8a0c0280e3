"""Members' own sockets: what comes and goes over them is what the port would have brought."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import platform
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import ANY

import pytest

from relay import connected
from relay.connected import ConnectedSockets
from relay.members import MANY
from relay.server import Relay, Settings, serve
from relay.udp import UdpThread
from tests.relay.bottle import INNER
from tests.relay.callers import (
    PATIENCE,
    Carrier,
    Udp,
    attach,
    dial,
    ports,
    running,
    until,
    who_has_one,
)
from vc_core.envelope import (
    EVERYBODY,
    read_cookie,
    write_bye,
    write_hello,
    write_pass,
    write_ping,
    write_spread,
    write_want,
)
from vc_core.errors import CannotListenError

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has them"),
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]


def sockets_of(relay: Relay) -> ConnectedSockets:
    """Those of its members, over IPv4."""
    port = relay.forwarder._ports[2]
    assert isinstance(port, UdpThread)
    return port._members


async def ping(client: Udp) -> None:
    """Wait until everything that it sent was handled."""
    await client.send(write_ping(1))
    await client.receive()


@contextlib.asynccontextmanager
async def room(**changes: Any) -> AsyncIterator[tuple[Relay, Udp, Udp]]:
    """A relay and two who hear each other."""
    async with running(**changes) as relay:
        anna, ben = Udp(relay.port), Udp(relay.port)
        for slot, one in enumerate((anna, ben), 1):
            await attach(one, slot)
            await one.send(write_want(1, ((EVERYBODY, 0),)))
            await ping(one)
        yield relay, anna, ben


async def talk(anna: Udp, ben: Udp, count: int = 300) -> None:
    """Each says so many things to all, and hears those of the other: all, once, in order."""
    said = [b"\x80" + number.to_bytes(2, "big") for number in range(count)]
    for inner in said:
        for one in (anna, ben):
            await one.send(write_spread(0, inner))
        for slot, one in ((2, anna), (1, ben)):
            assert await one.receive() == write_pass(slot, inner)
    assert anna.has_nothing() and ben.has_nothing()


async def test_each_member_has_a_socket_of_its_own() -> None:
    async with room() as (relay, anna, ben):
        assert who_has_one(relay.port) == ports(anna, ben)
        await talk(anna, ben)
    assert who_has_one(relay.port) == set()
    assert not [one for one in threading.enumerate() if one.name == "udp member"]


async def test_strangers_have_none() -> None:
    async with room() as (relay, anna, ben):
        stranger = Udp(relay.port)
        await stranger.send(write_hello())
        assert read_cookie(await stranger.receive())
        assert who_has_one(relay.port) == ports(anna, ben)


async def test_all_carriers_at_once() -> None:
    async with running(host="0.0.0.0", tcp=("127.0.0.1", 0)) as relay:
        four, six, web = Udp(relay.port), Udp(relay.port, "::1"), await dial(relay.tcp_port)
        everybody: tuple[Carrier, ...] = (four, six, web)
        for slot, one in enumerate(everybody):
            await attach(one, slot)
            await one.send(write_want(1, ((EVERYBODY, 0),)))
            await one.send(write_ping(1))
            await one.receive()
        assert who_has_one(relay.port) == ports(four, six)
        for _ in range(3):
            for slot, one in enumerate(everybody):
                await one.send(write_spread(0, INNER))
                for other in everybody:
                    if other is not one:
                        assert await other.receive() == write_pass(slot, INNER)


async def test_others_than_the_first_are_served_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connected, "MOST", 1)
    async with room() as (relay, anna, ben):
        assert who_has_one(relay.port) == ports(anna)
        await talk(anna, ben)


@pytest.mark.parametrize("release", ["5.3.18-150300.59-default", "4.19.0", "unknown"])
async def test_a_kernel_that_mixes_up_sockets_gets_none(
    monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    monkeypatch.setattr(platform, "release", lambda: release)
    async with room() as (relay, anna, ben):
        await talk(anna, ben)
        assert who_has_one(relay.port) == set()


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "too many"), RuntimeError("no thread")])
async def test_where_there_can_be_none_all_are_served(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tries: list[Any] = []

    def fail(*arguments: Any) -> None:
        tries.append(arguments)
        raise error

    monkeypatch.setattr(connected, "ConnectedSocket", fail)
    async with room() as (relay, anna, ben):
        await talk(anna, ben)
        assert who_has_one(relay.port) == set()
        assert len(tries) == 1, "it is not tried again at once"


async def test_who_goes_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as relay:
        anna, ben = Udp(relay.port), Udp(relay.port)
        await anna.send(write_hello())
        cookie = read_cookie(await anna.receive()).cookie
        for slot, one in enumerate((anna, ben), 1):
            await attach(one, slot)
        send = sockets_of(relay).find(anna.socket.getsockname())
        await anna.send(write_bye(cookie))
        await until(lambda: who_has_one(relay.port) == ports(ben))
        assert send is not None
        with pytest.raises(OSError):
            send(memoryview(b"what another thread is about to send"), 0)
        await attach(anna, 3)
        await until(lambda: who_has_one(relay.port) == ports(anna, ben))


async def test_a_slot_that_moves_takes_its_socket_along() -> None:
    async with room() as (relay, anna, ben):
        moved = Udp(relay.port)
        await attach(moved, 1)
        await until(lambda: who_has_one(relay.port) == ports(moved, ben))
        await talk(moved, ben)
        assert anna.has_nothing()


async def test_while_threads_would_wait_for_each_other_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connected, "CROWDED", 0.0)
    async with room() as (relay, anna, ben):
        await until(lambda: not who_has_one(relay.port))
        await talk(anna, ben)
        assert not who_has_one(relay.port), "it rests"
        monkeypatch.setattr(connected, "CROWDED", 1.0)
        sockets_of(relay)._opens = 0.0
        await talk(anna, ben)
        assert who_has_one(relay.port) == ports(anna, ben), "who has something to say comes first"


async def test_a_flood_of_strangers_is_no_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    async with room() as (relay, anna, ben):
        await asyncio.sleep(1.1)  # what they did until now is counted
        monkeypatch.setattr(connected, "CROWDED", 0.001)
        stranger, began = Udp(relay.port), time.monotonic()
        while time.monotonic() < began + 2.5:
            for _ in range(100):
                await stranger.send(b"\x0fgarbage")
            await asyncio.sleep(0)
        assert who_has_one(relay.port) == ports(anna, ben)


async def test_none_is_lost_when_they_are_closed_and_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connected, "CROWDED", -1.0)  # at each look
    monkeypatch.setattr(connected, "REST", 0.1)
    async with room() as (relay, anna, ben):
        began, sent = time.monotonic(), 0
        heard: list[int] = []
        seen: set[bool] = set()
        while time.monotonic() < began + 3.5:
            await anna.send(write_pass(2, b"\x80" + sent.to_bytes(4, "big")))
            sent += 1
            await asyncio.sleep(0.0002)
            heard += numbers(ben)
            if sent % 50 == 0:
                seen.add(bool(who_has_one(relay.port)))
        await asyncio.sleep(0.1)
        heard += numbers(ben)
        assert sorted(heard) == list(range(sent))
        assert seen == {False, True}


def numbers(client: Udp) -> list[int]:
    """Of all that came."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(int.from_bytes(client.socket.recv(2048)[-4:], "big"))
    return found


async def test_a_thread_that_ends_takes_nobody_along(monkeypatch: pytest.MonkeyPatch) -> None:
    async with room() as (relay, anna, ben):
        receive = relay.forwarder.receive_datagram

        def fail(data: bytes, source: Any) -> None:
            if data == b"\x0fdie":
                raise RuntimeError
            receive(data, source)

        monkeypatch.setattr(relay.forwarder, "receive_datagram", fail)
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
        await anna.send(b"\x0fdie")
        await until(lambda: who_has_one(relay.port) == ports(ben))
        await talk(anna, ben)


async def test_copies_go_out_over_them_while_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(copy: memoryview, flags: int) -> None:
        sent.append(bytes(copy))
        if not ways:
            raise BrokenPipeError

    sent: list[bytes] = []
    ways: list[Any] = []
    monkeypatch.setattr(ConnectedSockets, "find", lambda *_: ways[0] if ways else None)
    async with room() as (_, anna, ben):
        await talk(anna, ben)
        ways.append(send)
        for _ in range(MANY + 1):
            await anna.send(write_spread(0, INNER))
            await ping(anna)
            if sent:
                break
        assert sent == [write_pass(1, INNER)], "it is looked for again with the next payment"
        ways.clear()
        while not ben.has_nothing():
            pass
        for _ in range(3):
            await anna.send(write_spread(0, INNER))
            assert await ben.receive() == write_pass(1, INNER)
        assert len(sent) == 2, "what failed is not tried again"


async def test_a_second_relay_cannot_have_the_port_too() -> None:
    async with room() as (relay, anna, ben):
        with pytest.raises(CannotListenError, match="is in use"):
            await serve(Settings("127.0.0.1", relay.port))
        await talk(anna, ben)


async def test_a_member_whose_port_is_closed_disturbs_nobody_and_may_come_back() -> None:
    async with room() as (relay, anna, ben):
        gone = Udp(relay.port)
        await attach(gone, 3)
        await gone.send(write_want(1, ((EVERYBODY, 0),)))
        await ping(gone)
        place = gone.socket.getsockname()
        gone.socket.close()
        await talk(anna, ben)
        back = Udp(relay.port, at=place)
        assert who_has_one(relay.port) == ports(anna, ben, back)
        await ping(back)
        await anna.send(write_pass(3, INNER))
        assert await back.receive() == write_pass(1, INNER)


async def test_a_flood_of_strangers_takes_no_place_from_members() -> None:
    async with room() as (relay, anna, ben):
        stranger = Udp(relay.port)
        for _ in range(20):  # now some are paid for at once
            await anna.send(write_pass(2, INNER))
            await ben.receive()
        ben.socket.settimeout(PATIENCE)
        with relay.forwarder.lock:  # the port's thread waits with the first of the garbage
            for _ in range(20_000):
                await stranger.send(b"\x0f" + bytes(1000))
            await anna.send(write_pass(2, INNER))
            assert ben.socket.recv(2048) == write_pass(1, INNER)


async def test_what_comes_before_it_is_connected_keeps_its_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between bind and connect the kernel gives a share of everything to the new socket."""

    class SlowSocket(socket.socket):
        def connect(self, place: Any) -> None:
            for stranger in strangers:
                stranger.sendto(b"not its own", self.getsockname())
            super().connect(place)

    def serve_what(read: connected.Read) -> None:
        memory = memoryview(bytearray(2048))
        for size, source in read(memory):
            served.append((bytes(memory[:size]), source))

    served: list[tuple[bytes, Any]] = []
    early: list[tuple[bytes, Any]] = []
    with contextlib.ExitStack() as stack:
        port, client, *strangers = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(40)
        )
        for one in (port, client, *strangers):
            one.bind(("127.0.0.1", 0))
        sockets = ConnectedSockets(port, serve_what, lambda *what: early.append(what))
        stack.callback(sockets.close)
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socket", SlowSocket)
            sockets.open(client.getsockname())
        assert early, "some came there"
        assert {data for data, _ in early} == {b"not its own"}
        assert {source for _, source in early} < {one.getsockname() for one in strangers}
        client.sendto(b"its own", port.getsockname())
        await until(lambda: served)
    assert served == [(b"its own", ANY)]
