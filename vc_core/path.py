"""The path of a link: is it alive, how far, how much is lost.

A probe is one datagram (first byte 16) that both ends send on their own beat:

    u8 16 | interval u16 ms | counter u32 | sent u32 µs | echo counter u32 |
    echo held u32 µs | heard u32 | MAC 16

``echo`` names the newest probe that came from the other side and how long ago,
so that one probe each way measures the round trip without an answer of its own.
``heard`` counts the other side's probes that arrived, which tells it the loss.
The MAC is keyed BLAKE2s over all before it, with a key of the link and
direction. Only verified probes, and media that opened, count as life.

Rule: a path is silent when nothing verified came for SILENCE seconds although
      the other side said how often it would speak.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from vc_core.errors import RemoteProtocolError
from vc_core.keys import mac16, same

# Specification
PROBE = 16  # first byte
PROBE_LAYOUT = struct.Struct(">BHIIIII")
PROBE_SIZE = PROBE_LAYOUT.size + 16
INTERVAL = 0.25  # s between probes
SILENCE = 0.8  # s without life: three probes missed and a little

# Implementation
KEPT_PROBES = 64  # send times remembered for the round trip
LOSS_WINDOW = 40  # probes over which loss is measured: 10 s
_U32 = 1 << 32


def next_beat(now: float, interval: float) -> float:
    """The next multiple of ``interval``: who beats together wakes the machine once."""
    return (now // interval + 1) * interval


class State(Enum):
    """What we know about the path."""

    UNTRIED = "no packet came over it yet"
    ALIVE = "packets flow"
    SILENT = "nothing came for a while"


@dataclass(frozen=True)
class Probe:
    """One probe as it was read."""

    interval_ms: int
    counter: int
    sent_us: int
    echo: int
    held_us: int
    heard: int


class Path:
    """Probes out, probes in, and what follows from them."""

    def __init__(self, send_key: bytes, receive_key: bytes, now: float) -> None:
        self._send_key = send_key
        self._receive_key = receive_key
        self.state = State.UNTRIED
        self.open = False
        """Whether the carrier says that it can send."""
        self.rtt: float | None = None
        self.clock_offset: float | None = None
        """The other side's clock minus ours in seconds, modulo 2^32 µs, ± half a round trip."""
        self.loss_out = 0.0
        self.last_life = now
        self._counter = 0
        self._sent: dict[int, float] = {}
        self._next_probe = now
        self._newest: Probe | None = None
        self._newest_at = now
        self._heard = 0
        self._best_rtt = float("inf")
        self._loss_mark: tuple[int, int] = (0, 0)

    def opened(self, now: float) -> None:
        """The carrier can send from now on."""
        self.open = True
        self._next_probe = now

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        if not self.open:
            return None
        if self.state is State.ALIVE:
            return min(self._next_probe, self.last_life + SILENCE)
        return self._next_probe

    def handle_timer(self, now: float) -> list[bytes]:
        """Datagrams that are due; may turn the path silent."""
        if self.state is State.ALIVE and now >= self.last_life + SILENCE:
            self.state = State.SILENT
        if not self.open or now < self._next_probe:
            return []
        self._next_probe = next_beat(now, INTERVAL)
        return [self._write(now)]

    def _write(self, now: float) -> bytes:
        self._counter += 1
        self._sent[self._counter] = now
        if len(self._sent) > KEPT_PROBES:
            del self._sent[next(iter(self._sent))]
        newest = self._newest
        held = min(int((now - self._newest_at) * 1e6), _U32 - 1) if newest else 0
        body = PROBE_LAYOUT.pack(
            PROBE,
            int(INTERVAL * 1000),
            self._counter % _U32,
            int(now * 1e6) % _U32,
            newest.counter if newest else 0,
            held,
            self._heard % _U32,
        )
        return body + mac16(self._send_key, body)

    def receive(self, datagram: bytes, now: float) -> None:
        """Take a probe; raises ``RemoteProtocolError`` unless it verifies and is new."""
        probe = self._read(datagram)
        if self._newest is not None and probe.counter <= self._newest.counter:
            raise RemoteProtocolError("an old probe")
        if self._newest is None:
            self._next_probe = now  # answer the first at once, so that the round trip is known
        self._newest, self._newest_at = probe, now
        self._heard += 1
        self.alive(now)
        self._measure(probe, now)

    def _read(self, datagram: bytes) -> Probe:
        if len(datagram) != PROBE_SIZE or datagram[0] != PROBE:
            raise RemoteProtocolError("not a probe")
        body, tag = datagram[:-16], datagram[-16:]
        if not same(tag, mac16(self._receive_key, body)):
            raise RemoteProtocolError("a probe with a wrong MAC")
        return Probe(*PROBE_LAYOUT.unpack(body)[1:])

    def _measure(self, probe: Probe, now: float) -> None:
        sent = self._sent.get(probe.echo)
        if sent is not None:
            rtt = max(0.0, now - sent - probe.held_us / 1e6)
            self.rtt = rtt if self.rtt is None else 0.75 * self.rtt + 0.25 * rtt
            if rtt <= self._best_rtt:
                self._best_rtt = rtt
                self.clock_offset = probe.sent_us / 1e6 + rtt / 2 - now
        self._best_rtt *= 1.02  # forget slowly, so that drifting clocks are followed
        sent_before, heard_before = self._loss_mark
        sent_since = self._counter - sent_before
        if sent_since >= LOSS_WINDOW:
            heard_since = (probe.heard - heard_before) % _U32
            self.loss_out = min(1.0, max(0.0, 1 - heard_since / sent_since))
            self._loss_mark = (self._counter, probe.heard)

    def alive(self, now: float) -> None:
        """Something verified came over this path."""
        self.last_life = now
        self.state = State.ALIVE
