"""A relay's thread lets datagrams come together while its socket is busy, and only then."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import Any, cast

import pytest

from relay import udp
from relay.forwarder import Forwarder
from relay.roads import FRONT, pave
from relay.udp import BUSY, PAUSE, SPAN, SPANS, TOGETHER, UdpThread
from tests.relay.test_roads import PLACES, Script, Sent, slots
from vc_core.envelope import write_pass, write_spread

Packet = tuple[bytes, Any]
PACKET: Packet = (write_pass(1, b"\x80 voice"), PLACES[0])
QUIET = 1.001 / BUSY  # s between two datagrams, a little more than in a bustle


class Arrivals(Script):
    """A script with times: a clock that goes on where the thread waits, and only there."""

    def __init__(self, times: list[float], packets: list[Packet] | None, error: int) -> None:
        super().__init__(packets or [PACKET] * len(times))
        self.error = error
        self._port._cuts = packets is not None
        self._times = times
        self._read = 0
        self.now = 0.0
        self.wakings = 0
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

    def sendmsg(self, parts: list[memoryview], options: list[Any], flags: int, target: Any) -> None:
        if self.error:
            self.calls.append(len(parts))
            raise OSError(self.error, "as told")
        super().sendmsg(parts, options, flags, target)

    def recvfrom_into(self, memory: memoryview, size: int = 0, flags: int = 0) -> tuple[int, Any]:
        if self.now < self._due:
            if flags & socket.MSG_DONTWAIT:
                raise BlockingIOError
            self.wakings += 1
            self.now = self._due
        self.delays.append(self.now - self._due)
        self._read += 1
        return super().recvfrom_into(memory)

    @property
    def _due(self) -> float:
        return self._times[self._read] if self._read < len(self._times) else self.now


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Play arrivals; every one must go on."""

    def played(times: list[float], packets: list[Packet] | None = None, error: int = 0) -> Arrivals:
        """``error`` is what the kernel says to copies that shall go out in one call."""
        script = Arrivals(times, packets, error)
        monkeypatch.setattr(udp, "time", script)
        monkeypatch.setattr(udp, "_wakings", lambda: script.wakings)
        assert len(script.run()) >= len(times)
        return script

    return played


def evenly(count: int, gap: float, begin: float = 0.0, crowd: int = 1) -> list[float]:
    """Times of arrival, of so many at once."""
    return [begin + number // crowd * crowd * gap for number in range(count)]


async def test_where_each_wakes_a_busy_socket_they_come_together(play: Any) -> None:
    script = play(evenly((SPANS + 4) * SPAN, PAUSE / 10))
    assert 0 < max(script.delays) <= PAUSE
    assert len(script.pauses) == pytest.approx((SPANS + 2) * SPAN / 10, rel=0.1), (
        "one for ten datagrams"
    )
    assert script.wakings == pytest.approx(2 * SPAN, rel=0.1), "it looks twice"


async def test_nothing_waits_where_traffic_is_less(play: Any) -> None:
    script = play(evenly(5 * SPAN, QUIET, 1.0))
    assert script.pauses == []
    assert max(script.delays) == 0


@pytest.mark.parametrize("crowd", [5, 20, SPAN // 2])
async def test_what_comes_in_crowds_never_waits(play: Any, crowd: int) -> None:
    script = play(evenly(10 * SPAN, PAUSE / 10, crowd=crowd))
    assert script.pauses == []
    assert max(script.delays) == 0


async def test_a_burst_is_no_bustle(play: Any) -> None:
    bursts = [second + 1e-5 * number for second in range(20) for number in range(SPAN // 2)]
    assert play(bursts).pauses == []


async def test_a_full_socket_is_read_without_a_pause(play: Any) -> None:
    busy = evenly(2 * SPAN, PAUSE / 10)
    assert max(play(busy + [busy[-1]] * 10 * SPAN).pauses) <= busy[-1]


async def test_a_bustle_ends_soon(play: Any) -> None:
    busy = evenly(4 * SPAN, PAUSE / 10)
    end = busy[-1] + SPAN / BUSY
    script = play(busy + evenly(SPAN, 10 * QUIET, busy[-1]))
    assert script.pauses and max(script.pauses) < end + 10 * QUIET
    assert max(script.delays[-SPAN // 2 :]) == 0


async def test_a_system_that_counts_no_wakings_never_pauses(play: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(udp, "HAS_TURNS", False)
    assert play(evenly(4 * SPAN, PAUSE / 10)).pauses == []


def pictures() -> list[Packet]:
    """A sharer's, numbered, most of one length, for two; and a voice after each seventh."""
    packets: list[Packet] = []
    for number in range(4 * SPAN):
        inner = b"\x80" + number.to_bytes(2, "big")
        packets.append((write_spread(0, inner.ljust(1100 - (number % 20 == 0))), PLACES[0]))
        if number % 7 == 0:
            packets.append((write_pass(2, inner), PLACES[1]))
    return packets


def to_each(sent: Sent) -> dict[Any, list[bytes]]:
    """Sorted by target."""
    return {place: [data for data, target in sent if target == place] for place in PLACES}


@pytest.mark.parametrize("crowd", [1, 20], ids=["pauses", "crowds"])
@pytest.mark.parametrize("error", [0, errno.EAGAIN, errno.EIO], ids=["taken", "no room", "uncut"])
async def test_likes_go_on_together(play: Any, crowd: int, error: int) -> None:
    packets, plain = pictures(), slots()
    script = play(evenly(len(packets), PAUSE / 10, crowd=crowd), packets, error)
    copies = [
        (copy, target)
        for packet, source in packets
        for target, copy in plain.receive_datagram(packet, source, 0)
    ]
    assert to_each(script.sent) == to_each(copies), "whole, once, in order"
    assert script.calls and 1 < max(script.calls) <= 7
    if error == errno.EIO:
        assert len(script.calls) < SPAN / 2, "it is not tried for long"
    else:
        assert len(script.calls) > SPAN / 2


async def test_the_kernel_makes_datagrams_of_one_call() -> None:
    script = Script([])
    with contextlib.ExitStack() as stack:
        ours, theirs = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        )
        for one in (ours, theirs):
            one.bind(("127.0.0.1", 0))
        theirs.settimeout(5)
        port = UdpThread(ours, cast(Forwarder, script))
        port.start()
        try:
            road = pave(FRONT + PACKET[0], 1, (theirs.getsockname(),))
            parts = [memoryview(bytes([number]) * 1150) for number in range(TOGETHER)]
            port._send_together(list(parts), road)
            assert [theirs.recv(2048) for _ in parts] == parts
            assert port._cuts is (sys.platform == "linux")
        finally:
            port.close()
