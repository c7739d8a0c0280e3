"""The desk: between the WebSocket connections and the pure ``signaling.rooms``.

Rule 1: nothing from the network raises through. What cannot be read is answered
        with MALFORMED and the connection is closed.
Rule 2: nothing waits for a slow reader: bodies are written at once, and who leaves
        more than ``send_buffer`` bytes unread is cut off.
Rule 3: a connection counts from the moment it is accepted, not from its greeting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from signaling.callers import Caller, Late
from signaling.limits import Limits
from signaling.rooms import Output, Rooms
from signaling.sockets import packed
from vc_core.arrivals import Arrivals
from vc_core.bucket import customer
from vc_core.errors import RemoteProtocolError
from vc_core.signals import TO_CLIENT, TO_SERVER, Hello, Refusal, Refused
from vc_core.wire import Record

# Implementation
TURNED_AWAY = 256
"""Connections that are being told to go; more are dropped without a word."""

Guest = Callable[[ServerConnection], Awaitable[None]]
"""Serves a connection that is none of ours, from its greeting to its end."""

log = logging.getLogger("vchat.signaling")

_STATUS = {
    Refusal.TOO_FAST: HTTPStatus.TOO_MANY_REQUESTS,
    Refusal.FULL: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Door(Caller):
    """A connection that is counted as soon as it is accepted."""

    desk: Desk

    number = 0
    refusal: Refusal | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.desk.arrived(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.desk.left(self)


class Desk:
    """Between the connections and the rooms: numbers, bytes, the one timer."""

    def __init__(
        self,
        limits: Limits,
        hello: Hello,
        send_buffer: int,
        secret: bytes | None = None,
        others: Mapping[str, Guest] | None = None,
    ) -> None:
        """``others`` serve paths of their own at the same port."""
        self._loop = asyncio.get_running_loop()
        self._rooms = Rooms(limits, os.urandom, secret)
        self._others = others or {}
        self._hello = TO_CLIENT.write(hello)
        self._send_buffer = send_buffer
        self._doors: dict[int, Door] = {}
        self._turned_away: set[Door] = set()
        self.arrivals: Arrivals[Late] = Arrivals(limits.greetings, limits.greetings_per_customer)
        """Whose greeting has not come."""
        self._last_number = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._cut_off: Counter[str] = Counter()

    def counts(self) -> dict[str, int]:
        """What there is and was; no names."""
        return {**self._rooms.counts(), **{f"cut_off_{why}": n for why, n in self._cut_off.items()}}

    def change_secret(self, secret: bytes) -> None:
        """Sign grants with another secret from now on."""
        self._rooms.secret = secret

    def close(self) -> None:
        """Drop whoever is still there."""
        if self._alarm is not None:
            self._alarm.cancel()
        for door in (*self._doors.values(), *self._turned_away):
            door.transport.abort()

    # Called by a connection

    def arrived(self, door: Door) -> None:
        """Count a connection; one that is too much is told so in its greeting."""
        peer = door.transport.get_extra_info("peername")
        if not peer:  # gone before it was accepted
            door.transport.abort()
            return
        address = packed(peer[0])
        if door.counted is None:
            door.counted = door
            late = self.arrivals.add(door, customer(address))
            if late is not None:
                late.hang_up()
        self._last_number += 1
        door.number = self._last_number
        door.refusal = self._rooms.connected(door.number, address, self._loop.time())
        if door.refusal is None:
            self._doors[door.number] = door
        elif len(self._turned_away) < TURNED_AWAY:
            self._turned_away.add(door)
        else:
            door.transport.abort()

    def left(self, door: Door) -> None:
        """A connection is lost."""
        self._greeted(door)
        self._turned_away.discard(door)
        if self._doors.pop(door.number, None) is not None:
            self._deliver(self._rooms.disconnected(door.number, self._loop.time()))

    def greet(self, door: ServerConnection, request: Request) -> Response | None:
        """Before WebSocket begins: send away whoever is too much."""
        assert isinstance(door, Door)
        self._greeted(door)
        if door.refusal is None:
            return None
        return door.respond(_STATUS[door.refusal], f"{door.refusal.name}\n")

    def _greeted(self, door: Door) -> None:
        if door.counted is not None:
            self.arrivals.remove(door.counted)

    async def converse(self, door: ServerConnection) -> None:
        """One connection, from hello to goodbye."""
        assert isinstance(door, Door)
        path = door.request.path.partition("?")[0] if door.request else ""
        if (other := self._others.get(path)) is not None:
            await other(door)
            return
        broadcast([door], self._hello)
        with contextlib.suppress(ConnectionClosed):
            async for message in door:
                if door.number not in self._doors:
                    return
                wait = self._rooms.pace(door.number, len(message), self._loop.time())
                if not self._received(door, message):
                    await door.close(CloseCode.PROTOCOL_ERROR)
                    return
                if wait > 0:
                    await self._rest(door, wait)

    # The rooms

    def _received(self, door: Door, message: str | bytes) -> bool:
        """Handle one message; False if the connection is to be closed."""
        try:
            if isinstance(message, str):
                raise RemoteProtocolError("a signal is a binary message")
            signal = TO_SERVER.read(message)
        except RemoteProtocolError as error:
            log.debug("connection %d: %s", door.number, error)
            outputs: list[Output] = [(door.number, Refused(Refusal.MALFORMED, ""))]
        else:
            now, unix = self._loop.time(), time.time()
            outputs = self._rooms.receive(door.number, signal, now, unix)
        self._deliver(outputs)
        if any(_hangs_up(signal) for _, signal in outputs):
            self._cut_off["malformed"] += 1
            return False
        return True

    def _deliver(self, outputs: list[Output]) -> None:
        """Write what the rooms said, and set the alarm anew."""
        written: dict[int, bytes] = {}  # a body that goes to many is written once
        for number, signal in outputs:
            door = self._doors.get(number)
            if door is None:
                continue
            data = written.get(id(signal))
            if data is None:
                data = written[id(signal)] = TO_CLIENT.write(signal)
            self._write(door, data)
        self._set_alarm()

    def _write(self, door: Door, data: bytes) -> None:
        broadcast([door], data)  # writes at once, skips who is closing, raises nothing
        if door.transport.get_write_buffer_size() > self._send_buffer:
            self._cut_off["slow"] += 1
            log.info("connection %d reads too slowly and is cut off", door.number)
            door.transport.abort()

    def _set_alarm(self) -> None:
        when = self._rooms.next_timer()
        if self._alarm is not None:
            if when == self._alarm.when():
                return
            self._alarm.cancel()
        self._alarm = None if when is None else self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._deliver(self._rooms.handle_timer(self._loop.time()))

    async def _rest(self, door: Door, seconds: float) -> None:
        """Read nothing for a while, unless the connection ends before."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(door.wait_closed(), seconds)


def _hangs_up(signal: Record) -> bool:
    return isinstance(signal, Refused) and signal.reason == Refusal.MALFORMED
