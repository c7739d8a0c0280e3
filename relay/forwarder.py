"""The forwarder in the world: ``Slots``, the clock, and what carries datagrams.

    forwarder = Forwarder(secret, Limits())
    forwarder.serve_udp(sockets)                  # bound UDP sockets, STUN answered too
    await forwarder.converse(websocket)           # one WebSocket connection, to its end
    link = forwarder.add_link(name, send)         # anything else: an ICE pair, oneself
    link.receive_datagram(data)

It runs in whatever event loop it is started in: in ``vchat relay``, and in a host's
client for its guests.

Rule: where UDP sockets have threads (``threads``), whoever touches ``slots`` holds
``lock``, except for ``Slots.forward`` and ``Slots.holds``; sending needs none. Lines
and timers belong to the event loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relay.cookies import Carrier, Where
from relay.limits import Limits
from relay.lines import Line
from relay.roads import Road
from relay.slots import Slots
from relay.sockets import enlarge, packed
from relay.udp import UdpPort, UdpThread
from vc_core.stun_binding import StunResponder

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection


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
        self._forwarder.disconnected(self)


class Forwarder:
    """Slots with carriers around them."""

    def __init__(self, secret: bytes | None, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.limits = limits
        now = time.monotonic()
        self.slots = Slots(secret, limits, locate, os.urandom, now, time.time())
        self.lock = threading.Lock()
        self.lost: Counter[str] = Counter()
        """What could not be sent over lines."""
        self._responder = StunResponder(now)
        self._ports: dict[int, UdpPort] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._is_closed = False

    # Carriers

    def serve_udp(self, sockets: list[socket.socket], *, threads: bool = False) -> None:
        """Serve bound sockets, one for each family; they are closed with us."""
        threads = threads or sys.platform == "win32"  # whose event loop reads no UDP sockets
        for one in sockets:
            port = (UdpThread if threads else UdpPort)(one, self)
            if port.address_length in self._ports:
                one.close()
                continue
            enlarge(one)
            self._ports[port.address_length] = port
        for port in self._ports.values():
            port.start()

    async def converse(self, connection: ServerConnection) -> None:
        """Serve one WebSocket connection until it ends."""
        from relay.web import WebLine

        await WebLine(self, connection).run()

    def add_link(self, name: bytes, send: Callable[[bytes], None]) -> Link:
        """Serve whoever is behind ``name`` over any other way; ``send`` must not block."""
        return Link(self, name, send)

    def disconnected(self, line: Line) -> None:
        """A line is gone."""
        with self.lock:
            self.slots.disconnected(line)

    def close(self) -> None:
        """Stop; connections are their listener's affair."""
        self._is_closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for port in self._ports.values():
            port.close()

    # The operator

    def counts(self) -> dict[str, int]:
        """Of the slots, and what was lost on the way out."""
        lost = self.lost["lines"] + sum(port.lost for port in self._ports.values())
        with self.lock:
            return {**self.slots.counts(), "lost": lost}

    def change_secret(self, secret: bytes | None) -> None:
        """Take grants of a new secret, and for ten minutes those of the old."""
        with self.lock:
            self.slots.change_secret(secret, time.monotonic())

    def evict(self, room: bytes, slot: int) -> None:
        """Take a slot back for good."""
        with self.lock:
            self.slots.evict(room, slot, time.monotonic())

    def drain(self) -> None:
        """Take nobody new."""
        with self.lock:
            self.slots.drain()

    def hand_over(self, user: int, group: int) -> None:
        """Let the UDP sockets belong to whom this process becomes."""
        for port in self._ports.values():
            port.hand_over(user, group)

    # Datagrams

    def receive_datagram(self, data: bytes, source: Any) -> None:
        """What came from a line, or from an address of a UDP port."""
        with self.lock:
            outputs = self.slots.receive_datagram(data, source, time.monotonic())
        for target, answer in outputs:
            self.send(answer, target)
        if self._alarm is None and self.slots.next_timer() is not None:
            self.call(self._set_alarm)

    def pay(self, packet: bytearray, lead: int, size: int, source: Any) -> Road | None:
        """As ``Slots.pay``."""
        with self.lock:
            return self.slots.pay(packet, lead, size, source, time.monotonic())

    def send(self, data: bytes, target: Any) -> None:
        """Bring a datagram to an address of a UDP port, or to a line."""
        if type(target) is tuple:
            port = self._ports.get(len(target))
            if port is not None:
                port.send(data, target)
        else:
            self.call(target.send, data, time.monotonic())

    def answer_stun(self, data: bytes, source: tuple[Any, ...]) -> bytes | None:
        """The answer to a STUN question."""
        address, now = (packed(source[0]), source[1]), time.monotonic()
        with self.lock:
            return self._responder.receive_datagram(data, address, now)

    def call(self, what: Callable[..., None], *arguments: Any) -> None:
        """In the event loop: now if this is its thread, else soon."""
        if threading.get_ident() == self._thread:
            what(*arguments)
        elif not self._is_closed:
            self._loop.call_soon_threadsafe(what, *arguments)

    def _set_alarm(self) -> None:
        when = self.slots.next_timer()
        if self._alarm is None and when is not None and not self._is_closed:
            self._alarm = self._loop.call_later(when - time.monotonic(), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        with self.lock:
            self.slots.handle_timer(time.monotonic(), time.time())
        for port in self._ports.values():
            port.tidy()
        self._set_alarm()


def locate(source: Any) -> Where:
    """The address behind a source: of a UDP socket, or a line's own."""
    if isinstance(source, tuple):
        return Where(Carrier.UDP, packed(source[0]), source[1])
    where: Where = source.where
    return where
