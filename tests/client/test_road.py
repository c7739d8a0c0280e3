"""A road with pairs that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from client.net.direct import DirectCarrier
from client.road import Road
from vc_core.ids import Rung, Way


class Pair:
    """A direct pair that a test ends."""

    failure = "lost"

    def __init__(self, _on_description: object, _on_datagram: object, on_state: Any) -> None:
        self.say: Callable[[str], None] = on_state
        self.closed = False

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        self.closed = True
        self.say("closed")


class Told:
    """Remembers which pairs failed."""

    def __init__(self) -> None:
        self.failures: list[tuple[Way, str]] = []

    def failed(self, way: Way, word: str) -> None:
        self.failures.append((way, word))

    def opened(self, way: Way) -> None:
        """Not looked at."""


async def test_a_pair_that_failed_is_closed_so_that_nothing_of_it_stays_open() -> None:
    pairs: list[Pair] = []

    def make(*told: Any) -> DirectCarrier:
        pairs.append(Pair(*told))
        return cast(DirectCarrier, pairs[-1])

    told = Told()
    road = Road(
        cast(Any, told),
        leading=True,
        make_pair=make,
        through=lambda _number, _datagram: None,
        defer=lambda action: action(),
    )
    road.try_direct(3)
    pairs[0].say("connected")
    pairs[0].say("failed")
    await asyncio.sleep(0.01)
    assert pairs[0].closed and told.failures == [(Way(Rung.DIRECT, 3), "lost")]
    await road.close()
