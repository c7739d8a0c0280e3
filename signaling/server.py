"""The signaling server: WebSocket connections around the pure ``signaling.rooms``.

    server = await serve(Settings(host="127.0.0.1", port=0))
    ...  # server.host, server.port, server.stun_port
    await server.close()

It runs in whatever event loop it is started in: alone in ``vchat signal``, beside
the call in ``vchat host``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import serve as serve_websockets

from signaling.callers import CLOSE_TIMEOUT, OPEN_TIMEOUT, Arrival
from signaling.desk import Desk, Door, Guest
from signaling.limits import Limits
from signaling.sockets import BACKLOG, Sockets, open_sockets
from signaling.stun import StunProtocol
from vc_core.errors import CannotListenError, reason
from vc_core.record import record
from vc_core.signals import MAX_MESSAGE, SIGNALING_VERSION, Hello
from vc_core.stun_binding import StunResponder

# Implementation
READ_AHEAD = 4
"""Messages of a connection that wait to be handled before it is read no further."""


@record
class Settings:
    """How one server runs."""

    host: str = "0.0.0.0"
    """Where to listen; "0.0.0.0", "::" and "" mean everywhere, in both families."""
    port: int = 8765
    """TCP and, if it is free, UDP; 0 for any free one."""
    tls_cert: Path | None = None
    """Certificate chain in PEM; with it the server speaks ``wss`` only."""
    tls_key: Path | None = None
    """Its key in PEM; None if it stands in the same file."""
    relays: tuple[str, ...] = ()
    """Addresses of relays, told to every client; at most 16."""
    relay_secret: bytes | None = None
    """What the server shares with relays; with it, hosts are given grants."""
    stun: bool = True
    """Whether to answer STUN Binding over UDP."""
    others: Mapping[str, Guest] = field(default_factory=dict)
    """Who serves WebSocket connections with other paths, such as "/relay"."""
    serve_udp: Callable[[list[socket.socket]], None] | None = None
    """Takes the bound UDP sockets over, answers STUN there too, and closes them; None:
    we answer STUN and nothing else."""
    limits: Limits = field(default_factory=Limits)
    send_buffer: int = 256 * 1024
    """Bytes that a connection may leave unread."""
    ping_interval: float = 20.0
    """Seconds of silence after which a connection is asked whether it lives."""
    ping_timeout: float = 20.0
    """Seconds that it has to answer."""


class Server:
    """A running server."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sockets,
        desk: Desk,
        listeners: list[WebSocketServer],
        responders: list[asyncio.DatagramTransport],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.host = settings.host
        self.port = sockets.port
        self.stun_port = sockets.stun_port
        """UDP port that answers STUN Binding; 0 if none does."""
        self._settings = settings
        self._tls = tls
        self._desk = desk
        self._listeners = listeners
        self._responders = responders

    def counts(self) -> dict[str, int]:
        """Connections, nameplates, exchanges and so on: now and since the start."""
        return self._desk.counts()

    def reload(self, secret: bytes | None) -> None:
        """Read the certificate anew, and sign grants with ``secret`` if there were grants before.

        New connections see it. Raises ``CannotListenError``; then nothing has changed.
        """
        if self._tls is not None:
            _tls(self._settings)  # a context that took half of a new pair would serve nobody
            _load(self._tls, self._settings)
        if secret is not None and self._settings.relay_secret is not None:
            self._desk.change_secret(secret)

    async def close(self) -> None:
        """Say goodbye to all (code 1001), and stop; returns within a few seconds."""
        for responder in self._responders:
            responder.close()
        for listener in self._listeners:
            listener.close()
        goodbyes = [asyncio.ensure_future(one.wait_closed()) for one in self._listeners]
        await asyncio.wait(goodbyes, timeout=CLOSE_TIMEOUT)
        self._desk.close()
        await asyncio.gather(*goodbyes)


async def serve(settings: Settings) -> Server:
    """Start a server; raises ``CannotListenError``."""
    tls = _tls(settings)
    sockets = await open_sockets(settings.host, settings.port, stun=settings.stun)
    secret = settings.relay_secret
    hello = Hello(SIGNALING_VERSION, sockets.stun_port, settings.relays, secret is not None)
    desk = Desk(settings.limits, hello, settings.send_buffer, secret, settings.others)
    listeners: list[WebSocketServer] = []
    responders: list[asyncio.DatagramTransport] = []
    try:
        for one in sockets.tcp:
            listeners.append(await _listen(one, desk, settings, tls))
        if settings.serve_udp is not None:
            settings.serve_udp(sockets.udp)
        else:
            responders += await _answer_stun(sockets.udp)
    except BaseException:
        sockets.close()
        raise
    return Server(settings, sockets, desk, listeners, responders, tls)


async def _answer_stun(sockets: list[socket.socket]) -> list[asyncio.DatagramTransport]:
    loop = asyncio.get_running_loop()
    responder = StunResponder(loop.time())
    transports = []
    for one in sockets:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: StunProtocol(responder, loop), sock=one
        )
        transports.append(transport)
    return transports


async def _listen(
    one: socket.socket,
    desk: Desk,
    settings: Settings,
    tls: ssl.SSLContext | None,
) -> WebSocketServer:
    door: Any = type("DoorOfDesk", (Door,), {"desk": desk})

    def arrive(*arguments: Any, **options: Any) -> Any:  # websockets hands it to the loop
        caller = door(*arguments, **options)
        return caller if tls is None else Arrival(desk.arrivals, caller, tls)

    quiet = logging.Logger("vchat.signaling.websockets", level=logging.CRITICAL)
    return await serve_websockets(
        desk.converse,
        sock=one,
        create_connection=arrive,  # type: ignore[arg-type]  # it need be no class
        process_request=desk.greet,
        origins=[None],  # no page in a browser knocks at doors in its visitor's network
        compression=None,
        max_size=MAX_MESSAGE,
        max_queue=READ_AHEAD,
        open_timeout=OPEN_TIMEOUT,
        close_timeout=CLOSE_TIMEOUT,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        server_header=None,
        logger=quiet,  # it logs what strangers send as errors, with tracebacks
        backlog=BACKLOG,
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, settings)
    return context


def _load(context: ssl.SSLContext, settings: Settings) -> None:
    certificate = settings.tls_cert
    if certificate is None:
        return
    try:
        context.load_cert_chain(certificate, settings.tls_key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        why = reason(error)
        raise CannotListenError(
            f"the certificate {certificate} or its key cannot be used: {why}",
            "both are PEM files; the key has no passphrase",
        ) from error


def _no_password() -> str:
    """Instead of asking at the terminal in the middle of a server."""
    raise ValueError("the key has a passphrase")
