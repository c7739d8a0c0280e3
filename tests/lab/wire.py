"""A long wire that loses something: ``python -m tests.lab.wire NAME NAME DELAY LOSS SEED``.

Two TAP devices are made in the namespace of the caller; Ethernet frames that leave by
one come in by the other, ``DELAY`` seconds later and in order, a share of ``LOSS`` of
those with IP in them not at all. Which ones is a matter of ``SEED`` and of nothing else.

The wire is looked at each millisecond instead of for each frame: that costs it up to two
milliseconds of jitter and leaves the machine to those who are measured.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import struct
import sys
import threading
import time
from collections import deque

# Specification (Linux)
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
IP = (b"\x08\x00", b"\x86\xdd")

# Implementation
TICK = 0.001  # s between two looks
LARGEST = 65_536  # bytes of a frame
MOST = 4096  # frames under way in one direction; then the wire is full
URGENT = 10  # a network does not wait for a core


def device(name: str) -> int:
    """A TAP device of that name; it lives as long as its descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


class Direction:
    """From one device to the other."""

    def __init__(self, source: int, target: int, delay: float, loss: float, seed: int) -> None:
        self._source, self._target = source, target
        self._delay, self._loss = delay, loss
        self._chance = random.Random(seed)
        self._under_way: deque[tuple[float, bytes]] = deque()

    def turn(self, now: float) -> None:
        """Take what comes, give what is due."""
        way = self._under_way
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = os.read(self._source, LARGEST)
                lost = frame[12:14] in IP and self._chance.random() < self._loss
                if not lost and len(way) < MOST:
                    way.append((now + self._delay, frame))
        while way and way[0][0] <= now:
            with contextlib.suppress(OSError):  # a device that is not up yet
                os.write(self._target, way.popleft()[1])


def _await_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def main(one: str, two: str, delay: str, loss: str, seed: str) -> None:
    """Until stdin ends."""
    ends = device(one), device(two)
    ways = [
        Direction(source, target, float(delay), float(loss), int(seed) + number)
        for number, (source, target) in enumerate((ends, ends[::-1]))
    ]
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(URGENT))
    print(json.dumps({"event": "laid"}), flush=True)
    over = threading.Event()
    threading.Thread(target=_await_end, args=(over,), daemon=True).start()
    while not over.is_set():
        now = time.monotonic()
        for way in ways:
            way.turn(now)
        time.sleep(max(0.0, now + TICK - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
