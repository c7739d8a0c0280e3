"""The forwarder in the world: ``Slots``, the clock, and what carries datagrams.

    forwarder = Forwarder(secret, Limits())
    forwarder.serve_udp(sockets)                  # bound UDP sockets, STUN answered too
    await forwarder.converse(websocket)           # one WebSocket connection, to its end
    link = forwarder.add_link(name, send)         # anything else: an ICE pair, oneself
    link.receive_datagram(data)

It runs in whatever event loop it is started in: in ``vchat relay``, and in a host's
client for its guests.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from relay.cookies import Carrier, Where
from relay.limits import Limits
from relay.slots import Output, Slots
from relay.sockets import packed
from relay.udp import UdpPort
from vc_core.stun_binding import StunResponder

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection


class Line(Protocol):
    """A way to one client that is no UDP port."""

    where: Where

    def send(self, data: bytes, now: float) -> None:
        """Bring a datagram to the client, or drop it."""
        ...


class Link:
    """A line that somebody else drives."""

    def __init__(self, forwarder: Forwarder, name: bytes, send: Callable[[bytes], None]) -> None:
        self.where = Where(Carrier.LINK, name, 0)
        self._forwarder = forwarder
        self._send = send

    def receive_datagram(self, data: bytes) -> None:
        """What came from the client."""
        self._forwarder.receive_datagram(data, self)

    def send(self, data: bytes, now: float) -> None:
        self._send(data)

    def close(self) -> None:
        """The way is gone."""
        self._forwarder.slots.disconnected(self)


class Forwarder:
    """Slots with carriers around them."""

    def __init__(self, secret: bytes | None, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self.limits = limits
        now = self._loop.time()
        self.slots = Slots(secret, limits, locate, os.urandom, now, time.time())
        self.lost: Counter[str] = Counter()
        """What could not be sent, by carrier."""
        self._responder = StunResponder(now)
        self._ports: dict[int, UdpPort] = {}
        self._alarm: asyncio.TimerHandle | None = None

    # Carriers

    def serve_udp(self, sockets: list[socket.socket]) -> None:
        """Serve bound sockets, at most one for each family; they are closed with us."""
        for one in sockets:
            port = UdpPort(one, self._receive_from_port, self.answer_stun)
            self._ports[port.address_length] = port

    async def converse(self, connection: ServerConnection) -> None:
        """Serve one WebSocket connection until it ends."""
        from relay.web import WebLine

        await WebLine(self, connection).run()

    def add_link(self, name: bytes, send: Callable[[bytes], None]) -> Link:
        """Serve whoever is behind ``name`` over any other way; ``send`` must not block."""
        return Link(self, name, send)

    def close(self) -> None:
        """Stop; connections are their listener's affair."""
        if self._alarm is not None:
            self._alarm.cancel()
        for port in self._ports.values():
            port.close()

    def counts(self) -> dict[str, int]:
        """Of the slots, and what was lost on the way out."""
        lost = self.lost["lines"] + sum(port.lost for port in self._ports.values())
        return {**self.slots.counts(), "lost": lost}

    def change_secret(self, secret: bytes | None) -> None:
        """Take grants of a new secret, and for ten minutes those of the old."""
        self.slots.change_secret(secret, self._loop.time())

    # Datagrams

    def receive_datagram(self, data: bytes, source: Line) -> None:
        """What came over a line."""
        self.deliver(self.slots.receive_datagram(data, source, self._loop.time()))

    def deliver(self, outputs: list[Output]) -> None:
        """Send what the slots said."""
        now = self._loop.time()
        for target, data in outputs:
            if type(target) is tuple:
                port = self._ports.get(len(target))
                if port is not None:
                    port.send(data, target, now)
            else:
                target.send(data, now)
        if self._alarm is None:
            self._set_alarm()

    def answer_stun(self, data: bytes, source: tuple[Any, ...], now: float) -> bytes | None:
        """The answer to a STUN question."""
        return self._responder.receive_datagram(data, (packed(source[0]), source[1]), now)

    def _receive_from_port(self, data: bytes, source: tuple[Any, ...], now: float) -> None:
        outputs = self.slots.receive_datagram(data, source, now)
        if outputs:
            self.deliver(outputs)

    def _set_alarm(self) -> None:
        when = self.slots.next_timer()
        self._alarm = None if when is None else self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self.slots.handle_timer(self._loop.time(), time.time())
        self._set_alarm()


def locate(source: Any) -> Where:
    """The address behind a source: of a UDP socket, or a line's own."""
    if isinstance(source, tuple):
        return Where(Carrier.UDP, packed(source[0]), source[1])
    where: Where = source.where
    return where
