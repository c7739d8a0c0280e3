"""Channels: what carries envelopes between us and a forwarder.

    UdpChannel   a connected UDP socket
    WebChannel   a WebSocket, over TLS or plain; one message is one datagram
    LinkChannel  a direct pair to the host whose client forwards
    OwnChannel   our own forwarder, in this process

Each says ``on_ready`` when it can carry, ``on_datagram`` for what comes, and
``on_gone`` when it carries nothing any more. ``close`` may be called at any time.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from client.net.candidates import reachable
from client.net.relay_address import PATH
from vc_core.envelope import HELLO_SIZE, MAX_INNER, PASS_OVERHEAD
from vc_core.relay_address import Target

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from relay.forwarder import Forwarder, Link

# Implementation
NAME_LIMIT: Final = 3.0  # s that a name may take
OPEN_LIMIT: Final = 6.0  # s for TCP, TLS and the greeting
CLOSE_LIMIT: Final = 0.5  # s for a goodbye
WEB_DELAY: Final = 0.3  # s by which UDP is preferred
PAUSE: Final = 5.0  # s between two tries to connect
MAX_BUFFER: Final = 48 * 1024  # bytes that wait in a connection before media is dropped
UDP_BUFFER: Final = 1 << 20
MAX_MESSAGE: Final = max(HELLO_SIZE, MAX_INNER + PASS_OVERHEAD)

log = logging.getLogger(__name__)


class Taker(Protocol):
    """Who hears what a channel says."""

    def on_ready(self) -> None:
        """It can carry."""

    def on_datagram(self, data: bytes) -> None:
        """Something came."""

    def on_gone(self) -> None:
        """It carries nothing any more."""


class Channel(Protocol):
    """One way to one forwarder."""

    transport: str
    """udp or tcp."""
    place: str
    """The address that it leads to; empty if it needs none."""
    rank: int
    """Of several to one forwarder the lowest is the best: UDP, the pair to the host, TCP."""

    def open(self, taker: Taker) -> None:
        """Begin."""

    def send(self, data: bytes) -> None:
        """Send one datagram, or drop it."""

    def close(self) -> None:
        """End; nothing is said afterwards."""


class UdpChannel:
    """A UDP socket connected to a forwarder's port; tried for until there is a way."""

    transport = "udp"
    rank = 0

    def __init__(self, target: Target, *, loopback: bool) -> None:
        self.place = str(target)
        self._target = target
        self._loopback = loopback
        self._socket: asyncio.DatagramTransport | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self, taker: Taker) -> None:
        self._task = asyncio.get_running_loop().create_task(self._open(taker))

    async def _open(self, taker: Taker) -> None:
        while not await self._connect(taker):
            await asyncio.sleep(PAUSE)

    async def _connect(self, taker: Taker) -> bool:
        """Whether there is an address, and a way to it."""
        address = await _resolve(self._target, self._loopback)
        if address is None:
            return False
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(taker), remote_addr=address[:2]
            )
        except OSError:
            return False
        self._socket = transport
        one = transport.get_extra_info("socket")
        with suppress(OSError, AttributeError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
        taker.on_ready()
        return True

    def send(self, data: bytes) -> None:
        one: Any = self._socket  # typeshed lacks the buffer's size
        if one is not None and not one.is_closing() and one.get_write_buffer_size() < MAX_BUFFER:
            one.sendto(data)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._socket is not None:
            self._socket.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, taker: Taker) -> None:
        self._taker = taker

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._taker.on_datagram(data)

    def error_received(self, exc: Exception) -> None:
        """ICMP says that nobody is there: the attachment finds out by silence."""


class WebChannel:
    """A WebSocket to a forwarder; connects again by itself."""

    transport = "tcp"
    rank = 2

    def __init__(self, target: Target, *, loopback: bool) -> None:
        self.place = str(target)
        self._target = target
        self._loopback = loopback
        self._task: asyncio.Task[None] | None = None
        self._opened: ClientConnection | None = None

    def open(self, taker: Taker) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(taker))

    async def _run(self, taker: Taker) -> None:
        from websockets.exceptions import WebSocketException

        # ImportError: of a library for the SOCKS proxy that the environment names
        refused = OSError, TimeoutError, EOFError, ValueError, WebSocketException, ImportError
        await asyncio.sleep(WEB_DELAY)
        while True:
            try:
                opened = await self._connect()
            except refused as error:
                log.debug("no relay at %s: %r", self._target, error)
            else:
                await self._serve(opened, taker)
            await asyncio.sleep(PAUSE)

    async def _connect(self) -> ClientConnection:
        """To the very address that was looked at: a name may lead elsewhere a moment later."""
        from client.net.mailbox import StraightConnect

        target = self._target
        address = await _resolve(target, self._loopback)
        if address is None:
            raise OSError("no address that may be tried")
        url = str(Target(target.scheme, target.host, target.port)) + PATH
        opened = await StraightConnect(
            url,
            **_through(url, address),
            ssl=_tls(target),
            compression=None,
            max_size=MAX_MESSAGE,
            open_timeout=OPEN_LIMIT,
            close_timeout=CLOSE_LIMIT,
            ping_interval=None,  # the attachment asks by itself
            user_agent_header=None,
        )
        if target.pin and not _pinned(opened, target.pin):
            opened.transport.abort()
            raise OSError("the certificate is not the pinned one")
        return opened

    async def _serve(self, opened: ClientConnection, taker: Taker) -> None:
        from websockets.exceptions import ConnectionClosed

        self._opened = opened
        try:
            _say(taker.on_ready)
            with suppress(ConnectionClosed):
                async for message in opened:
                    if isinstance(message, bytes):
                        _say(taker.on_datagram, message)
        finally:
            self._opened = None
            opened.transport.abort()
        _say(taker.on_gone)

    def send(self, data: bytes) -> None:
        from websockets.asyncio.server import broadcast

        opened = self._opened
        if opened is not None and opened.transport.get_write_buffer_size() < MAX_BUFFER:
            broadcast([cast(Any, opened)], data)  # at once; skips a closing one, raises nothing

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()


class LinkChannel:
    """A direct pair to the host; ``send`` and what comes are the driver's affair."""

    transport = "udp"
    place = ""
    rank = 1  # it dies with the pair, so what stands by itself is better

    def __init__(self) -> None:
        self._taker: Taker | None = None
        self._send: Callable[[bytes], None] | None = None

    def open(self, taker: Taker) -> None:
        self._taker = taker
        if self._send is not None:
            taker.on_ready()

    def attach(self, send: Callable[[bytes], None] | None) -> None:
        """The pair stands, is another one now, or is gone (None)."""
        before, self._send = self._send, send
        if self._taker is None or (before is None) is (send is None):
            return
        if send is not None:
            self._taker.on_ready()
        else:
            self._taker.on_gone()

    def receive(self, data: bytes) -> None:
        """An envelope that came by the pair."""
        if self._taker is not None:
            self._taker.on_datagram(data)

    def send(self, data: bytes) -> None:
        if self._send is not None:
            self._send(data)

    def close(self) -> None:
        self._taker = None


class OwnChannel:
    """Straight into the forwarder of this process."""

    transport = "udp"
    place = ""
    rank = 0

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._link: Link | None = None

    def open(self, taker: Taker) -> None:
        loop = asyncio.get_running_loop()

        def take(data: bytes) -> None:
            if self._link is not None:
                taker.on_datagram(data)

        # Not at once: an answer must not come while the question is being asked.
        self._link = self._forwarder.add_link(b"own", lambda data: _later(loop, take, data))
        taker.on_ready()

    def send(self, data: bytes) -> None:
        if self._link is not None:
            self._link.receive_datagram(data)

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()


def _say(said: Callable[..., None], *words: bytes) -> None:
    """A bug in who hears it is loud and ends no channel, as with a callback of the loop."""
    try:
        said(*words)
    except Exception as error:
        told = {"message": "a channel's taker failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(told)


def _later(loop: asyncio.AbstractEventLoop, take: Callable[[bytes], None], data: bytes) -> None:
    loop.call_soon(take, data)


async def _resolve(target: Target, loopback: bool) -> tuple[Any, ...] | None:
    """An address of a target that may be tried, or None."""
    loop = asyncio.get_running_loop()
    kind = socket.SOCK_DGRAM if target.transport == "udp" else socket.SOCK_STREAM
    try:
        async with asyncio.timeout(NAME_LIMIT):
            found = await loop.getaddrinfo(target.host, target.port, type=kind)
    except (OSError, UnicodeError, TimeoutError):
        return None
    for _, _, _, _, address in found:
        plain = str(address[0]).partition("%")[0]
        if reachable(ipaddress.ip_address(plain), loopback=loopback):
            return address
    return None


def _through(url: str, address: tuple[Any, ...]) -> dict[str, Any]:
    """Where the connection goes: to the proxy that the environment names for TLS, or straight."""
    from websockets.proxy import get_proxy
    from websockets.uri import parse_uri

    uri = parse_uri(url)
    if uri.secure and get_proxy(uri) is not None:
        return {}
    return {"proxy": None, "host": address[0], "port": address[1]}


def _tls(target: Target) -> ssl.SSLContext | None:
    return _context(pinned=bool(target.pin)) if target.scheme == "wss" else None


@functools.cache  # reading the authorities takes 20 ms, and we may have to try for hours
def _context(*, pinned: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if pinned:  # the pin says more than any authority
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _pinned(opened: ClientConnection, pin: str) -> bool:
    tls = opened.transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    found = hashlib.sha256(certificate or b"").hexdigest()
    return hmac.compare_digest(found, pin)
