"""A relay's thread lets datagrams come together while its socket is busy, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from relay import udp
from relay.udp import BUSY, FULL, PAUSE, SPAN
from tests.relay.test_roads import PLACES, Script
from vc_core.envelope import write_pass

PACKET = (write_pass(1, b"\x80 voice"), PLACES[0])
QUIET = 1.001 / BUSY  # s between two datagrams, a little more than in a bustle


class Arrivals(Script):
    """A script with times: a clock that goes on where the thread waits, and only there."""

    def __init__(self, times: list[float]) -> None:
        super().__init__([PACKET] * len(times))
        self._port._waits = self.waits
        self._times = times
        self._read = 0
        self.now = 0.0
        self.asked_waits = 0
        self.pauses: list[float] = []
        self.delays: list[float] = []
        """How long after its arrival each datagram was read."""

    def monotonic(self) -> float:
        """As the clock's."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """As the clock's."""
        self.pauses.append(self.now)
        self.now += seconds

    def waits(self, milliseconds: int) -> list[int]:
        """As a poll's: whether the next datagram is there."""
        assert milliseconds == 0
        self.asked_waits += 1
        return [1] if self.now >= self._due else []

    def recvfrom_into(self, memory: memoryview) -> tuple[int, Any]:
        self.now = max(self.now, self._due)
        self.delays.append(self.now - self._due)
        self._read += 1
        return super().recvfrom_into(memory)

    @property
    def _due(self) -> float:
        return self._times[self._read] if self._read < len(self._times) else self.now


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Play arrivals; every one must go on."""

    def played(times: list[float]) -> Arrivals:
        script = Arrivals(times)
        monkeypatch.setattr(udp, "time", script)
        assert len(script.run()) == len(times)
        return script

    return played


def evenly(count: int, gap: float, begin: float = 0.0) -> list[float]:
    """Times of arrival."""
    return [begin + number * gap for number in range(count)]


async def test_a_busy_socket_is_read_in_turns(play: Any) -> None:
    script = play(evenly(20 * SPAN, PAUSE / 10))
    assert 0 < max(script.delays) <= PAUSE
    pauses = [one for one in script.pauses if one > 2 * SPAN * PAUSE / 10]
    assert len(pauses) == pytest.approx(18 * SPAN / 10, rel=0.1), "one for ten datagrams"


async def test_nothing_waits_where_traffic_is_less(play: Any) -> None:
    script = play(evenly(5 * SPAN, QUIET, 1.0))
    assert script.pauses == []
    assert max(script.delays) == 0


async def test_a_burst_is_no_bustle(play: Any) -> None:
    bursts = [second + 1e-5 * number for second in range(20) for number in range(SPAN // 2)]
    assert play(bursts).pauses == []


async def test_a_full_socket_is_read_without_a_pause(play: Any) -> None:
    busy = evenly(2 * SPAN, PAUSE / 10)
    assert max(play(busy + [busy[-1]] * 10 * SPAN).pauses) <= busy[-1]


async def test_nothing_is_asked_where_something_is_always_there(play: Any) -> None:
    script = play(evenly(10 * SPAN, 0.9 / FULL))
    assert (script.asked_waits, script.pauses) == (0, [])


async def test_a_bustle_ends_soon(play: Any) -> None:
    busy = evenly(4 * SPAN, PAUSE / 10)
    end = busy[-1] + SPAN / BUSY
    script = play(busy + evenly(SPAN, 10 * QUIET, busy[-1]))
    assert script.pauses and max(script.pauses) < end + 10 * QUIET
    assert max(script.delays[-SPAN // 2 :]) == 0


async def test_a_system_without_poll_never_pauses(play: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(Arrivals, "waits", None)
    assert play(evenly(4 * SPAN, PAUSE / 10)).pauses == []
