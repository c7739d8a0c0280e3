"""The mailbox against small servers that behave and that do not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice

import pytest
from websockets.asyncio.server import ServerConnection, serve

from client.net import mailbox as module
from client.net.mailbox import Mailbox, SignalingUnreachable, State, Unreachable, delays
from tests.client.net.signaling_double import ALLOCATED, HELLO, Signaling, signaling, url
from tests.client.net.waiting import until
from vc_core.errors import LocalProtocolError
from vc_core.signals import (
    MAX_MESSAGE,
    TO_CLIENT,
    Allocate,
    Drop,
    Hello,
    Knock,
    Refused,
)
from vc_core.wire import Record

pytestmark = [
    pytest.mark.usefixtures("clean_loop"),
    pytest.mark.filterwarnings("error"),
]


class Client:
    """A mailbox with all that it reported."""

    def __init__(self, url: str, *, reconnect: bool = False) -> None:
        self.signals: list[Record] = []
        self.states: list[str] = []
        self.mailbox = Mailbox(
            url,
            on_signal=self.signals.append,
            on_state=self.states.append,
            reconnect=reconnect,
            rng=bytes,
        )

    async def refused(self, limit: float = 5) -> Unreachable:
        with pytest.raises(SignalingUnreachable) as caught:
            await self.mailbox.connect(limit)
        await self.mailbox.close()
        assert self.states == []
        return caught.value.reason


async def test_connects_hears_the_hello_and_exchanges_signals() -> None:
    async with signaling() as server:
        client = Client(url(server.port))
        assert await client.mailbox.connect(5) == Hello(1, 3478, (), False)
        client.mailbox.send(Allocate("", bytes(16), 0))
        await until(lambda: client.signals == [ALLOCATED])
        assert client.states == ["connected"]
        assert server.heard == [Allocate("", bytes(16), 0)]
        await client.mailbox.close()
        assert client.mailbox.state is State.CLOSED


async def test_a_server_on_loopback_is_local_and_no_stun_server() -> None:
    async with signaling() as server:
        client = Client(url(server.port))
        await client.mailbox.connect(5)
        assert client.mailbox.local
        assert client.mailbox.stun_server is None
        await client.mailbox.close()


async def test_a_server_elsewhere_answers_stun_on_the_port_that_it_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_is_local", lambda *_: False)
    async with signaling() as server:
        client = Client(f"ws://localhost:{server.port}")
        await client.mailbox.connect(5)
        assert client.mailbox.stun_server == ("localhost", 3478)
        await client.mailbox.close()


async def test_what_was_sent_just_before_close_still_arrives() -> None:
    async with signaling() as server:
        client = Client(url(server.port))
        await client.mailbox.connect(5)
        for _ in range(20):
            client.mailbox.send(Knock("77"))
        await client.mailbox.close()
        await until(lambda: len(server.heard) == 20)


async def test_comes_back_by_itself_when_the_server_does() -> None:
    server = Signaling()
    await server.open()
    client = Client(url(server.port), reconnect=True)
    await client.mailbox.connect(5)
    await server.close()
    await until(lambda: client.states == ["connected", "lost"])
    client.mailbox.send(Knock("1"))
    assert client.mailbox.dropped == 1
    await server.open()
    await until(lambda: client.states == ["connected", "lost", "connected"])
    client.mailbox.send(Knock("2"))
    await until(lambda: server.heard == [Knock("2")])
    await client.mailbox.close()
    await server.close()


async def test_stays_lost_when_it_is_not_to_come_back() -> None:
    async with signaling() as server:
        client = Client(url(server.port))
        await client.mailbox.connect(5)
        await server.guests[0].close()
        await until(lambda: client.mailbox.state is State.LOST)
        await client.mailbox.close()
        assert client.states == ["connected", "lost"]


@pytest.mark.parametrize(("chance", "share"), [(b"\0", 0.5), (b"\xff", 1.0)])
def test_waits_longer_after_each_attempt(chance: bytes, share: float) -> None:
    waits = islice(delays(lambda _: chance), 8)
    assert list(waits) == [share * full for full in (0.5, 1, 2, 4, 8, 15, 15, 15)]


async def test_may_be_closed_while_it_waits_to_come_back() -> None:
    server = Signaling()
    await server.open()
    client = Client(url(server.port), reconnect=True)
    await client.mailbox.connect(5)
    await server.close()
    await until(lambda: client.mailbox.state is State.LOST)
    await client.mailbox.close()
    await client.mailbox.close()
    assert client.mailbox.state is State.CLOSED


async def test_malformed_messages_are_dropped_and_counted() -> None:
    async with signaling() as server:
        client = Client(url(server.port))
        await client.mailbox.connect(5)
        guest = server.guests[0]
        refusal = TO_CLIENT.write(Refused(1, "1234"))
        for message in (b"", b"\xff", "text", refusal + b"x", refusal[:-1], HELLO, refusal):
            await guest.send(message)
        await until(lambda: client.signals == [Refused(1, "1234")])
        assert client.mailbox.malformed == 5
        await client.mailbox.close()


async def test_a_bug_in_whoever_hears_a_signal_is_loud_and_the_next_one_is_heard() -> None:
    loud: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: loud.append(about))
    async with signaling() as server:
        client = Client(url(server.port))
        heard: list[Record] = []

        def stumble(signal: Record) -> None:
            heard.append(signal)
            if len(heard) == 1:
                raise ZeroDivisionError

        client.mailbox._on_signal = stumble
        await client.mailbox.connect(5)
        for _ in range(2):
            client.mailbox.send(Allocate("", bytes(16), 0))
        await until(lambda: len(heard) == 2)
        assert len(loud) == 1 and client.states == ["connected"]
        await client.mailbox.close()


async def test_a_message_that_is_too_long_costs_the_connection_only() -> None:
    async with signaling() as server:
        client = Client(url(server.port), reconnect=True)
        await client.mailbox.connect(5)
        await server.guests[0].send(bytes(MAX_MESSAGE + 1))
        await until(lambda: client.states == ["connected", "lost", "connected"])
        await client.mailbox.close()


async def test_the_queue_is_bounded_when_the_server_does_not_read() -> None:
    stuck = asyncio.Event()

    async def deaf(guest: ServerConnection) -> None:
        await guest.send(HELLO)
        await stuck.wait()

    async with serving(deaf, close_timeout=0.2) as port:
        client = Client(url(port))
        await client.mailbox.connect(5)
        for _ in range(1000):
            client.mailbox.send(Drop(bytes(32), bytes(60_000)))
            await asyncio.sleep(0)
        assert client.mailbox.dropped > 500
        async with asyncio.timeout(4):
            await client.mailbox.close()
        stuck.set()


async def test_is_connected_once_and_drops_what_is_sent_before() -> None:
    async with signaling() as server:
        client = Client(url(server.port))
        client.mailbox.send(Knock("1"))
        await client.mailbox.connect(5)
        with pytest.raises(LocalProtocolError):
            await client.mailbox.connect(5)
        await client.mailbox.close()
        assert client.mailbox.dropped == 1 and not server.heard


# servers that are none


@asynccontextmanager
async def serving(
    converse: Callable[[ServerConnection], Awaitable[None]], **options: object
) -> AsyncIterator[int]:
    async with serve(converse, "127.0.0.1", 0, compression=None, **options) as server:  # type: ignore[arg-type]
        yield next(iter(server.sockets)).getsockname()[1]


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"", Unreachable.STRANGER),
        ("hello", Unreachable.STRANGER),
        (b"\xff" * 9, Unreachable.STRANGER),
        (TO_CLIENT.write(ALLOCATED), Unreachable.STRANGER),
        (bytes(MAX_MESSAGE + 1), Unreachable.STRANGER),
        (TO_CLIENT.write(Hello(2, 0, (), False)), Unreachable.VERSION),
    ],
)
async def test_the_first_word_must_be_the_hello(first: str | bytes, reason: Unreachable) -> None:
    async def converse(guest: ServerConnection) -> None:
        await guest.send(first)
        await guest.wait_closed()

    async with serving(converse) as port:
        assert await Client(url(port)).refused() is reason


async def test_a_server_that_hangs_up_is_a_stranger() -> None:
    async def converse(guest: ServerConnection) -> None:
        await guest.close()

    async with serving(converse) as port:
        assert await Client(url(port)).refused() is Unreachable.STRANGER


@pytest.mark.parametrize(
    ("status", "reason"),
    [(503, Unreachable.BUSY), (429, Unreachable.BUSY), (404, Unreachable.STRANGER)],
)
async def test_a_refusal_by_status_is_told_apart(status: int, reason: Unreachable) -> None:
    async def converse(_: ServerConnection) -> None:
        raise AssertionError("nobody gets here")

    def refuse(guest: ServerConnection, _: object) -> object:
        return guest.respond(status, "no\n")

    async with serving(converse, process_request=refuse) as port:
        assert await Client(url(port)).refused() is reason


@asynccontextmanager
async def plain(answer: bytes) -> AsyncIterator[int]:
    """A TCP server that says something and no more; nothing when ``answer`` is empty."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)


async def test_no_redirect_is_followed() -> None:
    async with signaling() as other:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {url(other.port)}\r\nContent-Length: 0\r\n\r\n"
        async with plain(moved.encode()) as port:
            assert await Client(url(port)).refused() is Unreachable.STRANGER
        assert not other.guests


async def test_a_server_that_speaks_something_else_is_a_stranger() -> None:
    async with plain(b"220 mail.example ESMTP\r\n") as port:
        assert await Client(url(port)).refused() is Unreachable.STRANGER


async def test_a_server_without_tls_is_not_trusted_as_wss() -> None:
    async with plain(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert await Client(f"wss://127.0.0.1:{port}").refused() is Unreachable.CERTIFICATE


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    async with plain(b"") as port:
        assert await Client(url(port)).refused(0.1) is Unreachable.SLOW


@pytest.mark.parametrize("scheme", ["http", "socks5h", "nonsense"])
async def test_a_proxy_that_does_not_let_us_through_is_told_apart(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plain(b"HTTP/1.1 403 Forbidden\r\n\r\n") as port:
        monkeypatch.setenv("wss_proxy", f"{scheme}://127.0.0.1:{port}")
        assert await Client("wss://signal.example").refused() is Unreachable.PROXY


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", Unreachable.ADDRESS),
        ("http://example.org", Unreachable.ADDRESS),
        ("ws://127.0.0.1:99999", Unreachable.ADDRESS),
        ("ws://exa..mple", Unreachable.ADDRESS),
        ("ws://name.invalid", Unreachable.NAME),
    ],
)
async def test_an_address_that_leads_nowhere_is_told(address: str, reason: Unreachable) -> None:
    assert await Client(address).refused() is reason


async def test_a_closed_port_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert await Client(url(port)).refused() is Unreachable.SILENT
