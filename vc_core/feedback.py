"""Feedback: what a viewer says of the pictures that come, so that their sender keeps pace.

One datagram (first byte 17), sent every 50 ms while pictures come:

    u8 17 | u8 arrivals | u8 wanted | u16 stream | u32 sequence | u32 generation |
    u48 base | u32 first | arrivals: u16 CTR - base, u16 later |
    wanted: u32 frame, u16 index | MAC 16

An arrival is one packet of the stream, sealed under ``generation``, in the order in
which they came: ``first`` is the time of the first on the viewer's clock, ``later``
how much later than the one before, both in units of 16 µs. What was reported once
is repeated once, since feedback may be lost as well. ``wanted`` are pieces of frames
that should be sent again; index 65535 means every piece. The MAC is keyed BLAKE2s
over all before it, with a key of the link and the direction.

Rule 1: order of work: size, MAC, sequence (each once), and only then the inside.
Rule 2: a viewer can slow down and ask again for what was sent to itself, nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.keys import mac16, same
from vc_core.record import record
from vc_core.replay import Window

# Specification
FEEDBACK = 17  # first byte
FEEDBACK_LAYOUT = struct.Struct(">BBBHIIHII")
MAX_ARRIVALS = 200  # of one datagram
MAX_WANTED = 40  # pieces that one datagram asks for
EVERY_PIECE = 0xFFFF  # index: the whole frame is missing
TICK = 0.000016  # s, unit of times
SEQUENCES = 64  # that may come out of order

_ARRIVAL = struct.Struct(">HH")
_WANTED = struct.Struct(">IH")
_MAC = 16
_U16, _U32 = 1 << 16, 1 << 32


Arrival = tuple[int, float]
"""One packet that came: its CTR, and when, in seconds on the viewer's clock, whose zero is the
viewer's own affair. No record, since two thousand are made each second."""


@record
class Wanted:
    """One piece that should be sent again."""

    frame: int
    index: int


@record
class Feedback:
    """What one datagram says of one stream."""

    stream: int
    generation: int
    arrivals: tuple[Arrival, ...] = ()
    wanted: tuple[Wanted, ...] = ()
    """Each once, when read."""


def fit(
    stream: int, generation: int, arrivals: Sequence[Arrival], wanted: Sequence[Wanted] = ()
) -> list[Feedback]:
    """Arrivals of one generation in as many datagrams as they need, oldest first."""
    found: list[Feedback] = []
    some: list[Arrival] = []
    low = high = before = 0
    for one in arrivals:
        ctr, tick = one[0], round(one[1] / TICK)
        if some:
            low, high = (ctr if ctr < low else low), (ctr if ctr > high else high)
            follows = 0 <= tick - before < _U16
            if not (follows and high - low < _U16 and len(some) < MAX_ARRIVALS):
                found.append(Feedback(stream, generation, tuple(some)))
                some = []
        if not some:
            low = high = ctr
        some.append(one)
        before = tick
    found.append(Feedback(stream, generation, tuple(some), tuple(wanted[:MAX_WANTED])))
    return found


class Feedbacks:
    """Both directions of one link."""

    def __init__(self, send_key: bytes, receive_key: bytes) -> None:
        self._send_key = send_key
        self._receive_key = receive_key
        self._sequence = 0
        self._window = Window(SEQUENCES, _U32)
        self._latest = 0
        """The newest tick that was read, beyond 32 bits."""

    def write(self, feedback: Feedback) -> bytes:
        """The next datagram."""
        arrivals, wanted = feedback.arrivals, feedback.wanted
        if len(arrivals) > MAX_ARRIVALS or len(wanted) > MAX_WANTED:
            raise LocalProtocolError("more feedback than one datagram carries")
        base = min([ctr for ctr, _ in arrivals], default=0)
        ticks = [round(at / TICK) for _, at in arrivals]
        self._sequence += 1
        head = FEEDBACK_LAYOUT.pack(
            FEEDBACK,
            len(arrivals),
            len(wanted),
            feedback.stream,
            self._sequence % _U32,
            feedback.generation,
            base >> 32,
            base % _U32,
            ticks[0] % _U32 if ticks else 0,
        )
        before = [*ticks[:1], *ticks]
        times = zip(arrivals, ticks, before, strict=False)
        rows = [_ARRIVAL.pack(ctr - base, at - last) for (ctr, _), at, last in times]
        rows += [_WANTED.pack(one.frame, one.index) for one in wanted]
        body = head + b"".join(rows)
        return body + mac16(self._send_key, body)

    def read(self, datagram: bytes) -> Feedback:
        """What the other side says; ``RemoteProtocolError`` unless it verifies and is new."""
        if len(datagram) < FEEDBACK_LAYOUT.size + _MAC or datagram[0] != FEEDBACK:
            raise RemoteProtocolError("not feedback")
        arrivals, wanted = datagram[1], datagram[2]
        rows = FEEDBACK_LAYOUT.size
        asked = rows + arrivals * _ARRIVAL.size
        end = asked + wanted * _WANTED.size
        if arrivals > MAX_ARRIVALS or wanted > MAX_WANTED or len(datagram) != end + _MAC:
            raise RemoteProtocolError("feedback of a wrong size")
        if not same(datagram[end:], mac16(self._receive_key, datagram[:end])):
            raise RemoteProtocolError("feedback with a wrong MAC")
        _, _, _, stream, sequence, generation, high, low, first = FEEDBACK_LAYOUT.unpack(
            datagram[:rows]
        )
        if not self._window.check(sequence):
            raise RemoteProtocolError("feedback that came before")
        self._window.advance(sequence)
        return Feedback(
            stream,
            generation,
            self._arrivals(high << 32 | low, first, datagram[rows:asked]),
            tuple(Wanted(*one) for one in dict.fromkeys(_WANTED.iter_unpack(datagram[asked:end]))),
        )

    def _arrivals(self, base: int, first: int, rows: bytes) -> tuple[Arrival, ...]:
        at = self._unwrap(first)
        found = []
        for offset, later in _ARRIVAL.iter_unpack(rows):
            at += later
            found.append((base + offset, at * TICK))
        if found:
            self._latest = max(self._latest, at)
        return tuple(found)

    def _unwrap(self, tick: int) -> int:
        """The full number whose last 32 bits these are, next to the newest one."""
        ahead = (tick - self._latest + _U32 // 2) % _U32 - _U32 // 2
        return self._latest + ahead
