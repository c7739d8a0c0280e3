"""Rubbish for a forwarder: ``python -m tests.lab.attack HOST PORT TCP_PORT SECONDS RATE``.

So many datagrams a second from very many addresses (all of ``ADDRESSES`` belong to this
machine): random bytes, whole HELLOs whose cookie nobody waits for, CLAIMs and PASSes with
random insides. Besides them TCP connections that say half a greeting and stop.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import sys
import time
from collections import Counter

from vc_core import envelope

ADDRESSES = "198.18."  # RFC 2544: a network for tests
SOCKETS = 200
HALF_OPEN = 100  # TCP connections
BURST = 10  # datagrams between two looks at the clock
IP_FREEBIND = 15


def _datagram(rng: random.Random) -> tuple[str, bytes]:
    kind = rng.randrange(4)
    if kind == 0:
        return "noise", rng.randbytes(rng.randrange(1, 1400))
    if kind == 1:
        return "hello", envelope.write_hello()
    if kind == 2:
        return "claim", bytes([envelope.CLAIM]) + rng.randbytes(110)
    return "pass", bytes([envelope.PASS]) + rng.randbytes(rng.randrange(3, 1200))


def _udp(rng: random.Random) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
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
            one.send(b"GET /relay HTTP/1.1\r\nHost: x\r\nX: " + os.urandom(50).hex().encode())
    return opened


def main(host: str, port: int, tcp: int, seconds: float, rate: float) -> None:
    """Until the time is over; prints what was sent."""
    rng = random.Random(1)
    sockets = [_udp(rng) for _ in range(SOCKETS)]
    held = _half_open(host, tcp) if tcp else []
    sent: Counter[str] = Counter()
    print(json.dumps({"event": "begun"}), flush=True)
    begun = time.monotonic()
    while (now := time.monotonic() - begun) < seconds:
        if sum(sent.values()) > rate * now:
            time.sleep(BURST / rate)
            continue
        for _ in range(BURST):
            kind, data = _datagram(rng)
            with contextlib.suppress(OSError):
                rng.choice(sockets).sendto(data, (host, port))
                sent[kind] += 1
        fresh = _udp(rng)  # a new address and port now and then
        place = rng.randrange(SOCKETS)
        sockets[place].close()
        sockets[place] = fresh
    print(json.dumps({"event": "over", **sent, "tcp": len(held)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:6]))
