"""Which of several relays is nearest: each is asked for a cookie, once or twice.

Rule: nobody waits for this. A relay that does not answer by UDP in time stands
behind those that do, in the order in which it was named.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from client.net.channels import UdpChannel
from client.net.relay_address import targets
from vc_core.envelope import COOKIE, write_hello

# Implementation
LIMIT: Final = 1.0  # s for all answers
REPEAT: Final = 0.4  # s after which a question is asked again
MAX_RELAYS: Final = 16


class _Question:
    """One relay; ``rtt`` when it has answered."""

    def __init__(self, addresses: tuple[str, ...], *, loopback: bool) -> None:
        found = [one for one in targets(addresses, loopback=loopback) if one.scheme == "udp"]
        self._channel = UdpChannel(found[0], loopback=loopback) if found else None
        self._asked = 0.0
        """The first time: an answer does not say which question it is for."""
        self._repeat: asyncio.TimerHandle | None = None
        self.rtt = float("inf")

    def ask(self) -> None:
        """Begin."""
        if self._channel is not None:
            self._channel.open(self)

    def on_ready(self) -> None:
        self._asked = time.monotonic()
        self._say()
        self._repeat = asyncio.get_running_loop().call_later(REPEAT, self._say)

    def _say(self) -> None:
        if self._channel is not None and self.rtt == float("inf"):
            self._channel.send(write_hello())

    def on_datagram(self, data: bytes) -> None:
        if data and data[0] == COOKIE:
            self.rtt = min(self.rtt, time.monotonic() - self._asked)

    def on_gone(self) -> None:
        """A UDP socket does not go by itself."""

    def close(self) -> None:
        """End."""
        if self._repeat is not None:
            self._repeat.cancel()
        if self._channel is not None:
            self._channel.close()


async def nearest_first(
    relays: Sequence[tuple[str, ...]], *, loopback: bool
) -> tuple[tuple[str, ...], ...]:
    """The same relays, those that answer soonest first; takes ``LIMIT`` at most."""
    questions = [_Question(one, loopback=loopback) for one in relays[:MAX_RELAYS]]
    for question in questions:
        question.ask()
    end = time.monotonic() + LIMIT
    try:
        while time.monotonic() < end and any(one.rtt == float("inf") for one in questions):
            await asyncio.sleep(0.05)
    finally:
        for question in questions:
            question.close()
    order = sorted(range(len(questions)), key=lambda at: questions[at].rtt)
    return tuple(relays[at] for at in order)
