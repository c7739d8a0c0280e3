"""Who is announced to a network, who is believed there, and when it is taken back."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.net import mdns
from client.net.interfaces import Interfaces
from client.net.lan import (
    GOODBYE_LIMIT,
    Announcer,
    Missing,
    NotFoundError,
    answers,
    believable,
    fits,
    look_for,
    make_tag,
    spoken_to,
)
from client.net.mdns import Announcement, MulticastError, Service
from tests.vectors.seeded import seeded
from vc_core.events import CodeEnded, CodeReady

HERE = Interfaces(
    ("192.168.1.5", "2001:db8::5"),
    (ipaddress.ip_network("172.17.0.0/16"),),
    (ipaddress.ip_network("192.168.1.0/24"), ipaddress.ip_network("2001:db8::/64")),
)
CODE = "4821-apple-robot-candle"


def service(nameplate: str = "4821", *addresses: str, port: int = 8765) -> Service:
    """What an honest host announces."""
    text: dict[bytes, bytes | None] = {
        b"v": b"1",
        b"tag": make_tag(seeded("salt"), nameplate),
    }
    return Service("one", addresses or ("192.168.1.9",), port, text)


# ---- The tag ------------------------------------------------------------------------


def test_a_tag_fits_its_nameplate_and_no_other() -> None:
    fitting = [n for n in range(10_000) if fits(service("4821"), f"{n:04}")]
    assert fitting == [4821]


def test_a_tag_is_what_the_specification_says() -> None:
    salt = bytes(range(8))
    parts = (b"vchat-1 lan", salt, b"4821")
    data = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    said = salt + hashlib.blake2s(data).digest()[:4]
    assert make_tag(lambda _size: salt, "4821") == said.hex().encode()


def test_two_tags_of_one_nameplate_differ_and_do_not_hold_its_digits() -> None:
    rng = seeded("salts")
    one, two = make_tag(rng, "4821"), make_tag(rng, "4821")
    assert one != two and len(one) == 24
    assert bytes.fromhex(one.decode())[:8] != bytes.fromhex(two.decode())[:8]


@pytest.mark.parametrize(
    "text",
    [
        {},
        {b"v": b"1"},
        {b"v": b"1", b"tag": None},
        {b"v": b"1", b"tag": b""},
        {b"v": b"1", b"tag": b"00"},
        {b"v": b"1", b"tag": "é".encode()},
        {b"v": b"2", b"tag": make_tag(seeded("salt"), "4821")},
        {b"tag": make_tag(seeded("salt"), "4821")},
        {b"v": b"1", b"tag": make_tag(seeded("salt"), "4821")[:-2]},
    ],
)
def test_what_is_no_tag_of_this_version_does_not_fit(text: dict[bytes, bytes | None]) -> None:
    assert not fits(replace(service(), text=text), "4821")


@given(st.dictionaries(st.sampled_from([b"v", b"tag", b"x"]), st.none() | st.binary(max_size=40)))
def test_any_text_fits_or_does_not(text: dict[bytes, bytes | None]) -> None:
    assert not fits(replace(service(), text=text), "4821")


# ---- Who is believed ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "near"),
    [
        ("192.168.1.9", True),
        ("2001:db8::9", True),
        ("192.168.2.9", False),
        ("198.51.100.7", False),
        ("172.17.0.2", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%3", False),
        ("224.0.0.251", False),
        ("0.0.0.0", False),
        ("192.168.1.9:80", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_only_addresses_of_our_own_networks_are_believed(address: str, near: bool) -> None:
    assert believable(service("4821", address), HERE) == ([address] if near else [])


@given(st.lists(st.text(max_size=50) | st.ip_addresses().map(str), max_size=6))
def test_any_address_is_in_our_network_or_ignored(addresses: list[str]) -> None:
    for address in believable(service("4821", *addresses), HERE):
        assert any(ipaddress.ip_address(address) in network for network in HERE.networks)


def test_ipv6_is_spoken_only_where_there_is_no_ipv4() -> None:
    assert spoken_to(HERE) == ("192.168.1.5",)
    assert spoken_to(Interfaces(("2001:db8::5",), ())) == ("2001:db8::5",)


# ---- The guest's half ---------------------------------------------------------------


@dataclass
class Network:
    """A double of ``mdns.browsing`` and of who answers; it notes what it was asked."""

    heard: Sequence[Service] = ()
    silent: frozenset[str] = frozenset()
    knocked: list[tuple[str, int]] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    open: bool = False

    def browse(
        self, addresses: Sequence[str], /
    ) -> AbstractAsyncContextManager[asyncio.Queue[Service]]:
        return self._browse(addresses)

    @asynccontextmanager
    async def _browse(self, addresses: Sequence[str]) -> AsyncIterator[asyncio.Queue[Service]]:
        self.asked.append(tuple(addresses))
        queue: asyncio.Queue[Service] = asyncio.Queue()
        for one in self.heard:
            queue.put_nowait(one)
        self.open = True
        try:
            yield queue
        finally:
            self.open = False

    async def knock(self, address: str, port: int) -> bool:
        self.knocked.append((address, port))
        return address not in self.silent

    async def find(self, nameplate: str = "4821", here: Interfaces = HERE) -> str:
        return await look_for(
            nameplate, browse=self.browse, knock=self.knock, look=lambda: here, patience=0.05
        )

    async def miss(self, nameplate: str = "4821", here: Interfaces = HERE) -> Missing:
        with pytest.raises(NotFoundError) as caught:
            await self.find(nameplate, here)
        return caught.value.missing


async def test_the_server_of_the_code_is_found_among_several() -> None:
    network = Network([service("1111", "192.168.1.7"), service("4821", "192.168.1.9", port=99)])
    assert await network.find() == "ws://192.168.1.9:99"
    assert network.knocked == [("192.168.1.9", 99)]
    assert network.asked == [("192.168.1.5",)]
    assert not network.open


async def test_an_ipv6_address_stands_in_brackets() -> None:
    assert await Network([service("4821", "2001:db8::9")]).find() == "ws://[2001:db8::9]:8765"


async def test_a_silent_server_is_passed_over_for_the_next_that_fits() -> None:
    heard = [service("4821", "192.168.1.7"), service("4821", "192.168.1.8", "192.168.1.9")]
    network = Network(heard, frozenset({"192.168.1.7", "192.168.1.8"}))
    assert await network.find() == "ws://192.168.1.9:8765"


async def test_who_announces_another_code_is_never_asked() -> None:
    network = Network([service("1111")])
    assert await network.miss() is Missing.OTHERS
    assert network.knocked == []


async def test_nobody_and_silence_are_told_apart() -> None:
    assert await Network().miss() is Missing.NOBODY
    network = Network([service(), service("1111")], frozenset({"192.168.1.9"}))
    assert await network.miss() is Missing.SILENT
    assert not network.open


async def test_an_address_elsewhere_is_not_even_knocked_at() -> None:
    network = Network([service("4821", "198.51.100.7", "127.0.0.1")])
    assert await network.miss() is Missing.SILENT
    assert network.knocked == []


async def test_without_a_network_nothing_is_opened() -> None:
    network = Network([service()])
    assert await network.miss(here=Interfaces((), ())) is Missing.DEAF
    assert network.asked == []


async def test_impossible_multicast_is_said_at_once() -> None:
    @asynccontextmanager
    async def deaf(addresses: Sequence[str], /) -> AsyncIterator[asyncio.Queue[Service]]:
        raise MulticastError("zeroconf is not installed")
        yield asyncio.Queue()

    with pytest.raises(NotFoundError) as caught:
        await look_for("4821", browse=deaf, look=lambda: HERE)
    assert caught.value.missing is Missing.DEAF


async def test_a_port_answers_or_does_not(unused_tcp_port: int) -> None:
    assert not await answers("127.0.0.1", unused_tcp_port)
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", unused_tcp_port)
    async with server:
        assert await answers("127.0.0.1", unused_tcp_port)


# ---- The host's half ----------------------------------------------------------------


@dataclass
class Board:
    """A double of ``mdns.announce``: what is announced now, and what ever was."""

    broken: bool = False
    goodbye: asyncio.Event | None = None
    """Goodbyes wait for it."""
    now: list[Service] = field(default_factory=list)
    ever: list[Service] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def announce(self, service: Service, addresses: Sequence[str], /) -> Announcement:
        await asyncio.sleep(0)
        if self.broken:
            raise MulticastError("not here")
        assert service.addresses == tuple(addresses)
        self.now.append(service)
        self.ever.append(service)
        return Pinned(self, service)

    def announcer(self, host: str = "0.0.0.0", here: Interfaces = HERE) -> Announcer:
        return Announcer(
            host,
            8765,
            self.said.append,
            rng=seeded("host"),
            announce=self.announce,
            look=lambda: here,
        )


@dataclass
class Pinned:
    board: Board
    service: Service

    async def end(self) -> None:
        if self.board.goodbye is not None:
            await self.board.goodbye.wait()
        self.board.now.remove(self.service)


def ready(code: str = CODE) -> CodeReady:
    return CodeReady(f"{code}@192.168.1.5:8765", "vchat:link", 8, 600.0)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_code_is_announced_while_it_can_be_used() -> None:
    board = Board()
    announcer = board.announcer()
    announcer.follow(ready())
    await settled()
    (announced,) = board.now
    assert fits(announced, "4821") and announced.port == 8765
    assert announced.addresses == ("192.168.1.5",)
    assert board.said == [CODE]
    announcer.follow(CodeEnded("used"))
    await settled()
    assert board.now == []
    await announcer.close()


async def test_a_new_code_takes_the_place_of_the_old_one_under_another_name() -> None:
    board = Board()
    announcer = board.announcer()
    for code in (CODE, "1234-apple-robot-candle"):
        announcer.follow(CodeEnded("withdrawn"))
        announcer.follow(ready(code))
        await settled()
    (now,) = board.now
    assert fits(now, "1234") and not fits(now, "4821")
    assert len({one.name for one in board.ever}) == 2
    await announcer.close()


async def test_a_code_that_ends_while_it_is_being_announced_is_taken_back() -> None:
    board = Board()
    announcer = board.announcer()
    announcer.follow(ready())
    await asyncio.sleep(0)
    announcer.follow(CodeEnded("withdrawn"))
    await settled()
    assert (len(board.ever), board.now, board.said) == (1, [], [])
    await announcer.close()


async def test_closing_withdraws() -> None:
    board = Board()
    announcer = board.announcer()
    announcer.follow(ready())
    await settled()
    await announcer.close()
    assert board.ever and board.now == []
    await board.announcer().close()


async def test_closing_waits_half_a_second_for_a_goodbye_and_no_longer() -> None:
    board = Board(goodbye=asyncio.Event())
    announcer = board.announcer()
    announcer.follow(ready())
    await settled()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await announcer.close()
    assert GOODBYE_LIMIT <= loop.time() - begun < GOODBYE_LIMIT + 0.4


async def test_where_nothing_can_be_announced_nothing_happens() -> None:
    board = Board(broken=True)
    announcer = board.announcer()
    announcer.follow(ready())
    await settled()
    assert (board.said, board.ever) == ([], [])
    board.broken = False
    announcer.follow(ready("1234-apple-robot-candle"))
    await settled()
    assert board.said == ["1234-apple-robot-candle"]
    await announcer.close()


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("0.0.0.0", ("192.168.1.5",)),
        ("::", ("192.168.1.5",)),
        ("", ("192.168.1.5",)),
        ("192.168.1.5", ("192.168.1.5",)),
        ("2001:db8::5", ("2001:db8::5",)),
        ("127.0.0.1", None),
        ("172.17.0.1", None),
        ("some.name", None),
    ],
)
async def test_only_where_the_server_listens_is_announced(
    host: str, said: tuple[str, ...] | None
) -> None:
    board = Board()
    announcer = board.announcer(host)
    announcer.follow(ready())
    await settled()
    assert [one.addresses for one in board.ever] == ([] if said is None else [said])
    await announcer.close()


async def test_at_most_as_many_addresses_are_announced_as_are_looked_at() -> None:
    board = Board()
    many = Interfaces(tuple(f"192.168.1.{n}" for n in range(1, 9)), ())
    announcer = board.announcer(here=many)
    announcer.follow(ready())
    await settled()
    assert len(board.ever[0].addresses) == mdns.MAX_ADDRESSES
    await announcer.close()
