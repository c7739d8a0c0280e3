"""Forwarders as the driver keeps them: which of those that a host names are tried."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from client.net import channels
from client.net.channels import WebChannel
from client.net.forwarders import Forwarders
from relay.forwarder import Forwarder
from relay.limits import Limits
from vc_core.commands import OpenForwarder
from vc_core.grant import Claims, make_grant, open_secret
from vc_core.ids import Rung
from vc_core.relay_address import Target

GRANT = make_grant(open_secret(), Claims(bytes(16), 1, 1000, 2**40))


class Told:
    """Remembers what was lost."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def attached(self, number: int, transport: str, *, ending: bool) -> None:
        """Not here: nobody answers."""

    def lost(self, number: int, word: str) -> None:
        """Why."""
        self.words.append(word)

    def inner(self, number: int, slot: int, datagram: bytes) -> None:
        """Not here."""


class Silent:
    """Takes what a channel says."""

    def on_ready(self) -> None:
        """It can carry."""

    def on_datagram(self, data: bytes) -> None:
        """Something came."""

    def on_gone(self) -> None:
        """It carries nothing."""


@pytest.fixture
def relay() -> Iterator[socket.socket]:
    """A port that hears who comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        yield one


async def knocked(relay: socket.socket) -> bool:
    """Whether anything comes within a moment."""
    loop = asyncio.get_running_loop()
    try:
        return bool(await asyncio.wait_for(loop.sock_recv(relay, 2000), 0.5))
    except TimeoutError:
        return False


async def test_a_host_that_names_ever_other_places_costs_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And is found at the last of them, as one that roams all day long."""
    held = list[str]()
    monkeypatch.setattr(channels.UdpChannel, "open", lambda one, _: held.append(one.place))
    monkeypatch.setattr(channels.UdpChannel, "close", lambda one: held.remove(one.place))
    forwarders = Forwarders(Told(), loopback=True, own=None)
    for port in range(100, 300):
        places = tuple(f"udp://127.0.0.1:{port}{more}" for more in range(5))
        forwarders.open(OpenForwarder(7, Rung.RELAYED, places, (GRANT,)))
        assert sorted(held) == sorted(places)
    forwarders.close()
    assert not held


@pytest.mark.parametrize("named", [True, False])
async def test_who_hides_tries_no_relay_that_the_host_alone_names(
    relay: socket.socket, named: bool
) -> None:
    address = f"udp://127.0.0.1:{relay.getsockname()[1]}"
    told = Told()
    forwarders = Forwarders(told, loopback=True, own=None)
    forwarders.trusted = frozenset({address} if named else {"udp://127.0.0.1:9"})
    forwarders.open(OpenForwarder(7, Rung.RELAYED, (address,), (GRANT,)))
    assert await knocked(relay) is named
    assert told.words == ([] if named else ["relay-unknown"])
    forwarders.close()


async def test_who_does_not_hide_tries_whatever_the_host_names(relay: socket.socket) -> None:
    address = f"udp://127.0.0.1:{relay.getsockname()[1]}"
    forwarders = Forwarders(Told(), loopback=True, own=None)
    forwarders.open(OpenForwarder(7, Rung.RELAYED, (address,), (GRANT,)))
    assert await knocked(relay)
    forwarders.close()


async def test_a_forwarder_that_is_found_elsewhere_is_asked_there_too(
    relay: socket.socket,
) -> None:
    ports = [relay.getsockname()[1], 9]
    places = [f"udp://127.0.0.1:{port}" for port in ports]
    told = Told()
    forwarders = Forwarders(told, loopback=True, own=None)
    for addresses in (places[1:], places, places[1:]):
        forwarders.open(OpenForwarder(7, Rung.HOSTED, tuple(addresses), (GRANT,)))
        assert await knocked(relay) is (addresses == places)
    forwarders.open(OpenForwarder(7, Rung.HOSTED, tuple(places[:1]), (GRANT,)))
    assert await knocked(relay), "it may come back to where it was"
    forwarders.addresses_changed()
    assert await knocked(relay)
    forwarders.close()


async def test_a_new_udp_address_ranks_before_a_websocket_that_was_known_earlier() -> None:
    forwarders = Forwarders(Told(), loopback=True, own=None)
    web, udp = "ws://127.0.0.1:9", "udp://127.0.0.1:9"
    for addresses in ((web,), (web, udp, "udp://127.0.0.1:10")):
        forwarders.open(OpenForwarder(7, Rung.HOSTED, addresses, (GRANT,)))
    channels = forwarders._holdings[7]._channels
    ranked = [channels[index].place for index in sorted(channels)]
    assert ranked == [udp, "udp://127.0.0.1:10", "", web]
    forwarders.close()


async def test_a_name_that_nobody_knew_is_asked_for_again(
    relay: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, asked = asyncio.get_running_loop(), list[str]()

    async def told(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if len(asked) == 1:
            raise socket.gaierror("temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port))]

    monkeypatch.setattr(channels, "PAUSE", 0.02)
    with monkeypatch.context() as names:
        names.setattr(loop, "getaddrinfo", told)
        forwarders = Forwarders(Told(), loopback=True, own=None)
        address = f"udp://relay.example:{relay.getsockname()[1]}"
        forwarders.open(OpenForwarder(7, Rung.RELAYED, (address,), (GRANT,)))
        assert await knocked(relay) and len(asked) == 2
    forwarders.close()


async def test_a_slot_at_our_own_forwarder_that_was_given_back_says_nothing_more() -> None:
    told = Told()
    forwarders = Forwarders(told, loopback=True, own=Forwarder(bytes(32), Limits()))
    forwarders.open(OpenForwarder(7, Rung.HOSTED, ("local",), (GRANT,)))
    await asyncio.sleep(0)  # an answer is under way
    holding = forwarders._holdings[7]
    forwarders.close()
    await asyncio.sleep(0.01)
    assert told.words == [] and holding._timer is not None and holding._timer.cancelled()


class Web:
    """A place that answers HTTP by some bytes, and counts who came."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readline())
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def web(answer: bytes = b"HTTP/1.1 404 No\r\n\r\n") -> AsyncIterator[tuple[Web, int]]:
    place = Web(answer)
    async with await asyncio.start_server(place.take, "127.0.0.1", 0) as server:
        yield place, server.sockets[0].getsockname()[1]


async def test_a_relay_sends_us_nowhere_else() -> None:
    async with web() as (inside, secret):
        elsewhere = f"HTTP/1.1 302 There\r\nLocation: ws://127.0.0.1:{secret}/admin\r\n\r\n"
        async with web(elsewhere.encode()) as (lure, port):
            channel = WebChannel(Target("ws", "127.0.0.1", port), loopback=True)
            with pytest.raises(Exception, match="302"):
                await channel._connect()
            assert len(lure.asked) == 1 and inside.asked == []


async def test_a_name_is_asked_once_so_that_what_was_looked_at_is_what_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, asked = asyncio.get_running_loop(), []

    async def told(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async with web() as (place, port):
        monkeypatch.setattr(loop, "getaddrinfo", told)
        channel = WebChannel(Target("ws", "relay.example", port), loopback=True)
        with pytest.raises(Exception, match="404"):
            await channel._connect()
        assert asked == ["relay.example"] and len(place.asked) == 1


async def test_a_proxy_that_cannot_be_used_does_not_end_the_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "WEB_DELAY", 0.0)
    monkeypatch.setenv("wss_proxy", "socks5h://127.0.0.1:9")
    channel = WebChannel(Target("wss", "127.0.0.1", 9), loopback=True)
    channel.open(Silent())
    task = channel._task
    assert task is not None and not (await asyncio.wait([task], timeout=0.3))[0]
    channel.close()


async def test_a_bug_in_who_hears_a_channel_is_loud_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "WEB_DELAY", 0.0)
    heard, loud = list[bytes](), list[object]()

    class Clumsy(Silent):
        def on_ready(self) -> None:
            raise ZeroDivisionError

        def on_datagram(self, data: bytes) -> None:
            heard.append(data)
            raise ZeroDivisionError

    async def talk(one: ServerConnection) -> None:
        for number in range(3):
            await one.send(bytes([number]))
        await one.wait_closed()

    asyncio.get_running_loop().set_exception_handler(lambda _, told: loud.append(told["exception"]))
    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        channel = WebChannel(Target("ws", "127.0.0.1", port), loopback=True)
        channel.open(Clumsy())
        async with asyncio.timeout(5):
            while len(heard) < 3:
                await asyncio.sleep(0.01)
        channel.close()
    assert len(loud) == 4 and all(isinstance(one, ZeroDivisionError) for one in loud)
