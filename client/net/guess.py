"""Guessing ports: the last direct way, between a NAT that is hard and one that is not.

The hard side's NAT gives each destination another port, so nobody can be told which
one. But ports are few, and many sockets make many of them right (the birthday
paradox):

    hard side   opens 256 sockets and sends from each to the easy side's known address:
                its NAT now holds 256 ports open for that address, nobody knows which
    easy side   sends to 200 random ports of the hard side's public address a second:
                each is one of the 256 with a chance of 1 in 252

The first that hits is an authenticated check of ICE like any other, and is answered
like any other. Half of all tries need a second, nearly all five.

Rule 1: only when ordinary checks have found nothing for a while, and exactly one side is
        hard. Both say what they are in their descriptions (``hard``, see ``gather``).
Rule 2: bounded in sockets, packets and time, and not again for ten minutes.
Rule 3: the other side names where the packets go, and may name somebody else: so all
        tries of a process are few.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from vc_core.bucket import Bucket, Rate

if TYPE_CHECKING:
    from client.net.ice import IceConnection
    from client.net.ice_socket import IceSocket

# Specification
PORTS: Final = range(1024, 65536)  # what NATs give out (RFC 4787, 4.2.2; RFC 6335, 6)

# Implementation
AFTER: Final = 3.0  # seconds of checks that found nothing
ATTENTION: Final = 0.25  # seconds between looks whether it is time
LIMIT: Final = 20.0  # seconds
TICK: Final = 0.02  # seconds
PER_TICK: Final = 4  # packets: 200 a second
SOCKETS: Final = 256
SHARE: Final = 4  # of the files that this process may open, one in so many
MAX_TARGETS: Final = 2  # addresses of the other side: it may have two uplinks
PAUSE: Final = 600.0  # seconds before the same two networks are tried again
REMEMBERED: Final = 64  # pairs of networks
TRIES: Final = Rate(per_second=1 / 60, burst=8)  # of a process: a room without a crowd has 7 others

Address = tuple[str, int]


class Tries:
    """Which peers were tried in vain; one for all carriers of a process."""

    def __init__(self) -> None:
        self._failed: dict[frozenset[str], float] = {}
        self._left = Bucket(TRIES, float("-inf"))

    def may(self, hosts: Iterable[str], now: float) -> bool:
        """Whether a peer with these public addresses may be tried."""
        failed = self._failed.get(frozenset(hosts))
        return failed is None or now - failed >= PAUSE

    def begin(self, now: float) -> bool:
        """Whether one more try may be made by this process now; it then counts as made."""
        return self._left.take(now)

    def failed(self, hosts: Iterable[str], now: float) -> None:
        """It was tried to the end."""
        self._failed[frozenset(hosts)] = now
        while len(self._failed) > REMEMBERED:
            del self._failed[min(self._failed, key=lambda known: self._failed[known])]


def targets(candidates: Iterable[Address]) -> list[Address]:
    """The addresses of the other side that are worth it: the first few, IPv4 only.

    There are no NATs that change ports in IPv6 to speak of.
    """
    return [one for one in dict.fromkeys(candidates) if ":" not in one[0]][:MAX_TARGETS]


class Guessing:
    """One try of one connection; ends when the connection has found a pair by any way."""

    def __init__(self, ice: IceConnection, chance: random.Random | None = None) -> None:
        self._ice = ice
        self._chance = chance or random.SystemRandom()
        self._opened: list[IceSocket] = []
        self.sent = 0
        """Packets so far."""

    async def knock(self, host: str, others: Sequence[Address]) -> None:
        """The hard side: many sockets at our address ``host`` open many ports for the other."""
        try:
            async with asyncio.timeout(LIMIT):
                await self._knock(host, others)
        except TimeoutError:
            pass
        finally:
            await asyncio.shield(self._close())

    async def _knock(self, host: str, others: Sequence[Address]) -> None:
        from client.net.ice_socket import open_socket

        opening = self._ice.opening()
        for number in range(_allowed()):
            opened = await open_socket(self._ice, host)
            if opened is None:
                break
            self._opened.append(opened)
            self._send(opened, opening, others[number % len(others)])
            if number % PER_TICK == PER_TICK - 1:
                await asyncio.sleep(TICK)
            if self._ice.connected:
                return
        number = 0
        while self._opened and not self._ice.connected:  # what was lost, and what NATs forget
            opened = self._opened[number % len(self._opened)]
            self._send(opened, opening, others[number % len(others)])
            number += 1
            await asyncio.sleep(TICK)

    async def search(self, opened: IceSocket, hosts: Sequence[str]) -> None:
        """The easy side: random ports of the other's public addresses, from a known socket."""
        opening = self._ice.opening()
        ports = self._ports(hosts)
        try:
            async with asyncio.timeout(LIMIT):
                while not self._ice.connected:
                    for _ in range(PER_TICK):
                        self._send(opened, opening, next(ports))
                    await asyncio.sleep(TICK)
        except TimeoutError:
            pass

    def _ports(self, hosts: Sequence[str]) -> Iterator[Address]:
        most = int(LIMIT / TICK) * PER_TICK
        for port in self._chance.sample(PORTS, most):
            for host in hosts:
                yield host, port

    def _send(self, opened: IceSocket, opening: bytes, addr: Address) -> None:
        self.sent += 1
        opened.carry(opening, addr)

    async def _close(self) -> None:
        """All sockets but those that the connection uses now."""
        for opened in self._opened:
            if not self._ice.uses(opened):
                await opened.close()
        self._opened.clear()


async def guess(
    ice: IceConnection, seen: Sequence[tuple[IceSocket, Address]], tries: Tries, *, hard: bool
) -> None:
    """Try it, unless it cannot be or was in vain; ``seen``: our sockets as STUN saw them."""
    clock = asyncio.get_running_loop().time
    ours = [one for one, where in seen if where[0] != one.host and ":" not in one.host]
    others = targets((c.host, c.port) for c in ice.remote_candidates if c.type == "srflx")
    hosts = list(dict.fromkeys(host for host, _ in others))
    if not (ours and hosts and tries.may(hosts, clock()) and tries.begin(clock())):
        return
    guessing = Guessing(ice)
    if hard:
        await guessing.knock(ours[0].host, others)
    else:
        await guessing.search(ours[0], hosts)
    if not ice.connected:
        tries.failed(hosts, clock())


def _allowed() -> int:
    """Sockets that may be opened without taking them from the rest of the program."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:
        return SOCKETS
    files = getrlimit(RLIMIT_NOFILE)[0]
    return min(SOCKETS, files // SHARE) if files > 0 else SOCKETS
