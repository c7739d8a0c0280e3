"""What it costs to seal and to open one frame of voice."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.bench.table import Row
from tests.sim.bottle import Bottle
from vc_core.ids import Rung, Way
from vc_core.packet import Kid, MediaOpener, MediaSealer, media_key, parse_header

# Implementation
WAY = Way(Rung.DIRECT, 1)
PAYLOAD = bytes(80)  # Opus at 32 kb/s
ROUNDS = 5000
TURNS = 5  # the best of these counts: others use the machine too


def sealing() -> list[Row]:
    """The packet alone, and the whole way through two sessions."""
    return [
        Row("seal + open one packet", _best(_packet()) * 1e6, 40, "µs"),
        Row("Session.speak + Session.hear", _best(_session()) * 1e6, 40, "µs"),
    ]


def _best(once: Callable[[], None]) -> float:
    """Seconds of one call in the fastest turn."""
    turns = []
    for _ in range(TURNS):
        began = time.perf_counter()
        for _ in range(ROUNDS):
            once()
        turns.append((time.perf_counter() - began) / ROUNDS)
    return min(turns)


def _packet() -> Callable[[], None]:
    key = media_key(bytes(32), bytes(32), Kid(1, 2, 0), bytes(32))
    sealer, opener = MediaSealer(key), MediaOpener(key)

    def once() -> None:
        datagram = sealer.seal(1, 960, PAYLOAD)
        opener.open(parse_header(datagram), datagram)

    return once


def _session() -> Callable[[], None]:
    bottle = Bottle(seed=1)
    host, guest = (person.session for person in bottle.party("Ada", "Bob"))
    bottle.run(1.0)
    [(member, link)] = guest.listeners()
    now = bottle.now

    def once() -> None:
        datagram = host.speak(1, 960, PAYLOAD, now)
        assert datagram is not None
        assert guest.hear(member, link, WAY, datagram, now) is not None

    return once
