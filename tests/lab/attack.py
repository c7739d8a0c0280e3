"""Rubbish for a forwarder: ``python -m tests.lab.attack HOST PORT TCP_PORT SECONDS RATE [STORM]``.

So many datagrams a second from very many addresses (all of ``ADDRESSES`` belong to this
machine): random bytes, whole HELLOs whose cookie nobody waits for, CLAIMs and PASSes with
random insides. Besides them TCP connections that say half a greeting and stop: a hundred
for all the time, and ``STORM`` new ones a second, from as many addresses.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import sys
import time
from collections import Counter, deque

from vc_core import envelope

ADDRESSES = "198.18."  # RFC 2544: a network for tests
SOCKETS = 200
HALF_OPEN = 100  # TCP connections
PAUSE = 0.01  # s that it sleeps at most
BURST = 10  # datagrams between two looks at the clock
STORM_LIFE = 2.0  # s that a connection of the storm is kept
IP_FREEBIND = 15
GREETING = b"GET /relay HTTP/1.1\r\nHost: x\r\nX: "


def _datagram(rng: random.Random) -> tuple[str, bytes]:
    kind = rng.randrange(4)
    if kind == 0:
        return "noise", rng.randbytes(rng.randrange(1, 1400))
    if kind == 1:
        return "hello", envelope.write_hello()
    if kind == 2:
        return "claim", bytes([envelope.CLAIM]) + rng.randbytes(110)
    return "pass", bytes([envelope.PASS]) + rng.randbytes(rng.randrange(3, 1200))


def _anybody(rng: random.Random, kind: socket.SocketKind) -> socket.socket:
    one = socket.socket(socket.AF_INET, kind)
    one.setblocking(False)
    one.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
    one.bind((f"{ADDRESSES}{rng.randrange(256)}.{rng.randrange(1, 255)}", 0))
    return one


def _half_open(host: str, port: int) -> list[socket.socket]:
    opened = []
    for _ in range(HALF_OPEN):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            one.connect((host, port))
        opened.append(one)
    time.sleep(0.5)
    for one in opened:
        with contextlib.suppress(OSError):
            one.send(GREETING + os.urandom(50).hex().encode())
    return opened


class Storm:
    """New connections all the time."""

    def __init__(self, place: tuple[str, int], rate: float, rng: random.Random) -> None:
        self._place = place
        self._rate = rate
        self._rng = rng
        self.begun = 0
        self._fresh: deque[socket.socket] = deque()
        """They have not said anything."""
        self._held: deque[tuple[float, socket.socket]] = deque()

    def blow(self, now: float) -> None:
        """As many as are due, ``now`` seconds after the beginning."""
        for one in self._fresh:
            with contextlib.suppress(OSError):
                one.send(GREETING)
            self._held.append((now, one))
        self._fresh.clear()
        while self._held and now - self._held[0][0] > STORM_LIFE:
            self._held.popleft()[1].close()
        while self.begun < self._rate * now:
            one = _anybody(self._rng, socket.SOCK_STREAM)
            with contextlib.suppress(OSError):
                one.connect(self._place)
            self._fresh.append(one)
            self.begun += 1


def main(host: str, port: int, tcp: int, seconds: float, rate: float, storm: float = 0) -> None:
    """Until the time is over; prints what was sent."""
    rng = random.Random(1)
    sockets = [_anybody(rng, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
    held = _half_open(host, tcp) if tcp else []
    blows = Storm((host, tcp), storm, rng)
    sent: Counter[str] = Counter()
    print(json.dumps({"event": "begun"}), flush=True)
    begun = time.monotonic()
    while (now := time.monotonic() - begun) < seconds:
        blows.blow(now)
        if sum(sent.values()) > rate * now:
            time.sleep(min(BURST / rate, PAUSE))
            continue
        for _ in range(BURST):
            kind, data = _datagram(rng)
            with contextlib.suppress(OSError):
                rng.choice(sockets).sendto(data, (host, port))
                sent[kind] += 1
        fresh = _anybody(rng, socket.SOCK_DGRAM)  # a new address and port now and then
        place = rng.randrange(SOCKETS)
        sockets[place].close()
        sockets[place] = fresh
    tcp_all = len(held) + blows.begun
    print(json.dumps({"event": "over", **sent, "tcp": tcp_all}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:7]))
