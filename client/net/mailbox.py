"""The mailbox: one WebSocket to the signaling server, speaking ``vc_core.signals``.

    connect ──► connected ◄──────┐
                    │ lost       │ the server answers again
                    └──► waiting ┘   (0.5 s doubling to 15 s, with jitter)

Rule 1: what the server sends is a signal or is dropped and counted.
Rule 2: ``send`` never waits: what does not fit in a bounded queue, and what is
        said while there is no connection, is dropped. Who needs an answer asks
        again after "connected".

``wss`` is checked against the system's authorities and goes through the proxy
that the environment names, if any; ``ws`` never does, since it is meant for
one's own server and a proxy could read slot keys.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.proxy import get_proxy
from websockets.uri import WebSocketURI, parse_uri

from client.net.dial import dial
from vc_core.errors import LocalProtocolError, RemoteProtocolError, VchatError
from vc_core.ids import Rng
from vc_core.signals import MAX_MESSAGE, SIGNALING_VERSION, TO_CLIENT, TO_SERVER, Hello
from vc_core.wire import Record

# Implementation
OPEN_LIMIT: Final = 10.0  # seconds for one attempt to come back
CLOSE_LIMIT: Final = 1.0  # seconds for what is queued, and again for the server's goodbye
PING_INTERVAL: Final = 20.0  # seconds; a dead connection is noticed after twice that
FIRST_DELAY: Final = 0.5  # seconds until the first attempt to come back
LAST_DELAY: Final = 15.0
STEADY: Final = 10.0  # seconds after which a connection counts as good, and delays start over
MAX_QUEUED: Final = 256  # signals
MAX_QUEUED_BYTES: Final = 1 << 20
BUSY_STATUS: Final = (429, 503)

log = logging.getLogger(__name__)
_quiet = logging.getLogger("vchat.websockets")
_quiet.setLevel(logging.CRITICAL)  # it logs what strangers send, with tracebacks


class State(Enum):
    """Where a mailbox stands."""

    NEW = "never connected"
    CONNECTED = "signals flow"
    LOST = "the connection broke; perhaps another is being tried"
    CLOSED = "closed from our side"


class Unreachable(Enum):
    """Why the signaling server cannot be used; a person reads ``client.words``."""

    ADDRESS = "not a ws:// or wss:// address"
    NAME = "no machine has that name"
    SILENT = "nothing answers there"
    SLOW = "no answer in time"
    CERTIFICATE = "its certificate is not trusted, or it speaks no tls"
    PROXY = "the proxy did not let us through"
    BUSY = "it takes no more connections from here now"
    STRANGER = "what answers is not a vchat signaling server"
    VERSION = "it speaks another version"


class SignalingUnreachable(VchatError):
    """``connect`` did not get as far as the server's hello."""

    def __init__(self, reason: Unreachable) -> None:
        super().__init__(reason.value)
        self.reason = reason


class StraightConnect(connect):
    """Follows no redirect: a server is where its address says."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Mailbox:
    """A client's connection to the signaling server.

    ``on_signal`` gets each signal but the hello, ``on_state`` "connected" and
    "lost" in turns; both are called from the event loop. ``rng`` is for jitter.
    """

    def __init__(
        self,
        url: str,
        *,
        on_signal: Callable[[Record], None],
        on_state: Callable[[str], None],
        reconnect: bool,
        loopback: bool = True,
        rng: Rng = os.urandom,
    ) -> None:
        """``loopback``: whether the address may be of this machine."""
        self._url = url
        self._loopback = loopback
        self._on_signal = on_signal
        self._on_state = on_state
        self._reconnect = reconnect
        self._rng = rng
        self._state = State.NEW
        self._uri: WebSocketURI | None = None
        self._hello: Hello | None = None
        self._local = False
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queued = 0
        self._running: asyncio.Task[None] | None = None
        self.dropped = 0
        """Signals that found no room or no connection."""
        self.malformed = 0
        """Messages of the server that were no signals."""

    # getters

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @property
    def local(self) -> bool:
        """Whether the server is reached over loopback: it runs on this machine."""
        return self._local

    @property
    def stun_server(self) -> tuple[str, int] | None:
        """Where the server answers STUN; None if it does not, or is on this machine."""
        if self._uri is None or self._hello is None or self._local or not self._hello.stun_port:
            return None
        return self._uri.host, self._hello.stun_port

    # verbs

    async def connect(self, timeout: float) -> Hello:
        """Connect and hear the server's hello; ``SignalingUnreachable`` when that fails."""
        if self._state is not State.NEW:
            raise LocalProtocolError("a mailbox is connected once")
        opened, hello = await self._open(timeout)
        if self._state is not State.NEW:  # closed meanwhile
            opened.transport.abort()
            raise SignalingUnreachable(Unreachable.SILENT)
        self._running = asyncio.create_task(self._run(opened))
        self._enter(State.CONNECTED)
        return hello

    def send(self, signal: Record) -> None:
        """Queue a signal for the server; see rule 2."""
        message = TO_SERVER.write(signal)
        full = self._queue.qsize() >= MAX_QUEUED or self._queued + len(message) > MAX_QUEUED_BYTES
        if full or self._state is not State.CONNECTED:
            self.dropped += 1
            return
        self._queued += len(message)
        self._queue.put_nowait(message)

    async def close(self) -> None:
        """Send what is queued, say goodbye, end; takes at most about three seconds."""
        connected, self._state = self._state is State.CONNECTED, State.CLOSED
        if self._running is None:
            return
        if connected:
            self._queue.put_nowait(None)
            await asyncio.wait([self._running], timeout=CLOSE_LIMIT)
        self._running.cancel()
        await asyncio.wait([self._running])

    # opening

    async def _open(self, timeout: float) -> tuple[ClientConnection, Hello]:
        try:
            async with asyncio.timeout(timeout):
                opened = await self._shake_hands()
                try:
                    self._hello = await _first(opened)
                except BaseException:
                    opened.transport.abort()
                    raise
        except Exception as error:
            reason = _why(error)
            if reason is None:
                raise
            raise SignalingUnreachable(reason) from error
        self._local = _is_local(opened, parse_uri(self._url))
        return opened, self._hello

    async def _shake_hands(self) -> ClientConnection:
        self._uri = uri = parse_uri(self._url)
        arguments: dict[str, Any] = {"proxy": None}
        if uri.secure:
            arguments["ssl"] = ssl.create_default_context()
        if uri.secure and get_proxy(uri) is not None:
            arguments["proxy"] = True
        else:
            arguments["sock"] = await dial(uri.host, uri.port, loopback=self._loopback)
        return await StraightConnect(
            self._url,
            compression=None,
            max_size=MAX_MESSAGE,
            user_agent_header=None,
            open_timeout=None,
            close_timeout=CLOSE_LIMIT,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_INTERVAL,
            logger=_quiet,
            **arguments,
        )

    # running

    async def _run(self, opened: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        waits = delays(self._rng)
        while True:
            since = loop.time()
            await self._converse(opened)
            if self._state is State.CLOSED:
                return
            self._forget_queue()
            self._enter(State.LOST)
            if not self._reconnect:
                return
            if loop.time() - since > STEADY:
                waits = delays(self._rng)
            opened = await self._return(waits)
            self._enter(State.CONNECTED)

    def _enter(self, state: State) -> None:
        self._state = state
        self._on_state(state.name.lower())

    async def _return(self, waits: Iterator[float]) -> ClientConnection:
        """Try until the server answers."""
        for wait in waits:
            await asyncio.sleep(wait)
            with suppress(SignalingUnreachable):
                return (await self._open(OPEN_LIMIT))[0]
        raise LocalProtocolError("the delays never end")

    async def _converse(self, opened: ClientConnection) -> None:
        """Read and write until one side ends."""
        reading = asyncio.create_task(self._read(opened))
        writing = asyncio.create_task(self._write(opened))
        try:
            done, _ = await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (reading, writing):
                task.cancel()
            await asyncio.wait({reading, writing})
            await _part(opened)

    async def _read(self, opened: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = await opened.recv()
                try:
                    signal = _parse(message)
                except RemoteProtocolError as error:
                    self.malformed += 1
                    log.debug("dropped a message of the signaling server: %s", error)
                    continue
                if not isinstance(signal, Hello):  # by the loop: a bug there ends no connection
                    asyncio.get_running_loop().call_soon(self._on_signal, signal)

    async def _write(self, opened: ClientConnection) -> None:
        """Send what is queued; ends at the mark that ``close`` puts at the end."""
        with suppress(ConnectionClosed):
            while (message := await self._queue.get()) is not None:
                self._queued -= len(message)
                await opened.send(message)

    def _forget_queue(self) -> None:
        self.dropped += self._queue.qsize()
        self._queue, self._queued = asyncio.Queue(), 0


def delays(rng: Rng) -> Iterator[float]:
    """Seconds before each attempt: doubling up to a limit, each shortened by up to half."""
    delay = FIRST_DELAY
    while True:
        yield delay * (0.5 + rng(1)[0] / 510)
        delay = min(2 * delay, LAST_DELAY)


async def _first(opened: ClientConnection) -> Hello:
    """The server's first word."""
    hello = _parse(await opened.recv())
    if not isinstance(hello, Hello):
        raise SignalingUnreachable(Unreachable.STRANGER)
    if hello.version != SIGNALING_VERSION:
        raise SignalingUnreachable(Unreachable.VERSION)
    return hello


async def _part(opened: ClientConnection) -> None:
    """Close politely, or hard: websockets would wait for ever for a peer that reads nothing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(2 * CLOSE_LIMIT):
            await opened.close()
    opened.transport.abort()
    await opened.wait_closed()


def _parse(message: str | bytes) -> Record:
    if isinstance(message, str):
        raise RemoteProtocolError("a text message")
    return TO_CLIENT.read(message)


REASONS: Final[tuple[tuple[type[Exception], Unreachable], ...]] = (
    (InvalidURI, Unreachable.ADDRESS),
    (socket.gaierror, Unreachable.NAME),
    (ssl.SSLError, Unreachable.CERTIFICATE),
    (TimeoutError, Unreachable.SLOW),
    (InvalidProxy, Unreachable.PROXY),
    (ProxyError, Unreachable.PROXY),
    (ImportError, Unreachable.PROXY),  # of a library that speaks SOCKS
    (OSError, Unreachable.SILENT),
    (InvalidHandshake, Unreachable.STRANGER),
    (ConnectionClosed, Unreachable.STRANGER),
    (RemoteProtocolError, Unreachable.STRANGER),
    (EOFError, Unreachable.STRANGER),
    (ValueError, Unreachable.ADDRESS),
)
"""What came out of the libraries, the more special before the more general."""


def _why(error: Exception) -> Unreachable | None:
    if isinstance(error, SignalingUnreachable):
        return error.reason
    if isinstance(error, InvalidStatus) and error.response.status_code in BUSY_STATUS:
        return Unreachable.BUSY
    return next((reason for kind, reason in REASONS if isinstance(error, kind)), None)


def _is_local(opened: ClientConnection, uri: WebSocketURI) -> bool:
    """Whether the other end is this machine (a proxy of this machine is not the server)."""
    try:
        host = uri.host if uri.secure else opened.remote_address[0]
        return ipaddress.ip_address(host).is_loopback
    except (ValueError, TypeError):
        return uri.host == "localhost"
