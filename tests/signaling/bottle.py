"""The rooms in a bottle: connections as inboxes, a clock that is turned by hand."""

from __future__ import annotations

import random
from collections import deque
from typing import TypeVar

from signaling.limits import Limits
from signaling.rooms import Rooms
from vc_core.bucket import Rate
from vc_core.signals import (
    TO_CLIENT,
    TO_SERVER,
    Allocate,
    Allocated,
    Knock,
    Opened,
    Refusal,
    Refused,
)
from vc_core.wire import Record

R = TypeVar("R", bound=Record)

ENDLESS = Rate(per_second=1e9, burst=1e9)
GENEROUS = Limits(
    connects=ENDLESS,
    guesses=ENDLESS,
    strikes=ENDLESS,
    allocations=ENDLESS,
    traffic=ENDLESS,
    grants=ENDLESS,
)
"""Caps as they are, but nobody is ever too fast."""

HOME = bytes([192, 0, 2, 1])
UNIX = 1_800_000_000.0
TOKEN = b"t" * 16
OTHER_TOKEN = b"o" * 16


class Client:
    """One connection, seen from the client."""

    def __init__(self, bottle: Bottle, number: int) -> None:
        self.bottle = bottle
        self.number = number
        self.inbox: deque[Record] = deque()

    def send(self, signal: Record) -> None:
        """Say something; it crosses the wire and back, so it is written and read."""
        bottle = self.bottle
        read = TO_SERVER.read(TO_SERVER.write(signal))
        bottle.deliver(bottle.rooms.receive(self.number, read, bottle.now, UNIX + bottle.now))

    def take(self, kind: type[R]) -> R:
        """The next signal heard, which is to be of ``kind``."""
        signal = self.inbox.popleft()
        assert isinstance(signal, kind), repr(signal)[:200]
        return signal

    def is_refused(self) -> Refusal:
        """Why the next signal heard refuses."""
        return Refusal(self.take(Refused).reason)

    def leave(self) -> None:
        """Lose the connection."""
        del self.bottle.clients[self.number]
        self.bottle.deliver(self.bottle.rooms.disconnected(self.number, self.bottle.now))

    def allocate(self, wanted: str = "", token: bytes = TOKEN, life: int = 0) -> str:
        """Become a host; the digits."""
        self.send(Allocate(wanted, token, life))
        return self.take(Allocated).nameplate

    def knock(self, digits: str, host: Client) -> int:
        """Open an exchange; its number, which both ends are told."""
        self.send(Knock(digits))
        opened = self.take(Opened)
        assert host.take(Opened) == opened
        return opened.exchange


class Bottle:
    """Rooms, a clock and everybody who is connected."""

    def __init__(
        self, limits: Limits = GENEROUS, seed: int = 1, secret: bytes | None = None
    ) -> None:
        self.rooms = Rooms(limits, random.Random(seed).randbytes, secret)
        self.now = 1000.0
        self.clients: dict[int, Client] = {}
        self._last = 0

    def try_connect(self, address: bytes = HOME) -> Client | Refusal:
        """Somebody comes, or is told why not."""
        self._last += 1
        refusal = self.rooms.connected(self._last, address, self.now)
        if refusal is not None:
            return refusal
        client = self.clients[self._last] = Client(self, self._last)
        return client

    def connect(self, address: bytes = HOME) -> Client:
        """Somebody comes."""
        client = self.try_connect(address)
        assert isinstance(client, Client), client
        return client

    def deliver(self, outputs: list[tuple[int, Record]]) -> None:
        """Into the inboxes of those who are there; the rooms speak to nobody else."""
        for number, signal in outputs:
            self.clients[number].inbox.append(TO_CLIENT.read(TO_CLIENT.write(signal)))

    def pass_time(self, seconds: float) -> None:
        """Turn the clock, ringing the timer whenever it is due."""
        end = self.now + seconds
        while (when := self.rooms.next_timer()) is not None and when <= end:
            self.now = max(self.now, when)
            self.deliver(self.rooms.handle_timer(self.now))
            again = self.rooms.next_timer()
            assert again is None or again > self.now, "the timer is due for ever"
        self.now = end
