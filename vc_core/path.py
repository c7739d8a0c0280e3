"""A path: one way of a link. Is it alive, how far, how much is lost.

A probe is one datagram (first byte 16) that both ends send on a beat:

    u8 16 | u8 flags | u16 interval ms | u32 counter | u32 sent µs |
    u32 echo | u32 held µs | u32 heard | MAC 16

``interval`` is the time until the next probe of this side. ``sent`` counts from
the birth of the link. ``echo`` names the newest probe that came from the other
side and ``held`` how long ago that was, so that one probe each way measures the
round trip. ``heard`` counts the other side's probes that came, which tells it the
loss. The MAC is keyed BLAKE2s over all before it, with a key of the link, the
direction and the way. Only verified probes, and media that opened, count as life.

    flags   1 IN USE   this side sends its packets here
            2 ANSWER   please answer at once
            4 HEARING  media comes to this side here
            8 LEAVING  this side goes away here, send somewhere else

The beat is quick where a way is in use by either side and slow where it is kept
warm; a way on which media is heard has the quickest.

Rule 1: a path is silent when nothing verified came for three beats of the other
        side, or when none of our own probes was heard for as long.
Rule 2: before that, both sides ask for answers at once, so that a few lost probes
        are no silence.
"""

from __future__ import annotations

import struct
from enum import Enum, IntFlag

from vc_core.errors import RemoteProtocolError
from vc_core.keys import mac16, same
from vc_core.record import record

# Specification
PROBE = 16  # first byte
PROBE_LAYOUT = struct.Struct(">BBHIIIII")
PROBE_SIZE = PROBE_LAYOUT.size + 16
BUSY_BEAT = 0.2  # s between probes where media is heard
USED_BEAT = 0.25  # s where a way is in use
SLOW_BEAT = 1.0  # s where a fallen way is looked for, or one is in use in a crowd
WARM_BEAT = 2.0  # s where it is kept warm
SPARE_BEAT = 8.0  # s where it is kept warm in a crowd and would be the last to be used
BEATS_MISSED = 3  # until a path is silent

# Implementation
ASKING = 1.25  # beats without life after which answers are asked for
ASK_PAUSE = 0.05  # s between two questions
CROWD_ASK_PAUSE = 0.1  # s, where many ask at once
ANSWER_PAUSE = 0.03  # s between two answers at once
MEDIA_PAUSE = 1.0  # s after which media counts as no longer heard
FIRST_TRIES = 10  # probes on the quick beat before an untried way gets the slow one
ON_THE_BEAT = 1e-6  # of a beat: who is as near to one has reached it
KEPT_PROBES = 64  # send times remembered for the round trip
LOSS_WINDOW = 40  # probes over which loss is measured
_U32 = 1 << 32


class Flag(IntFlag):
    """What a probe says besides its numbers."""

    IN_USE = 1
    ANSWER = 2
    HEARING = 4
    LEAVING = 8


IN_USE, ANSWER, HEARING, LEAVING = map(int, Flag)
"""The same as plain numbers, which every probe is looked at with."""


def next_beat(now: float, interval: float) -> float:
    """The next multiple of ``interval``: who beats together wakes the machine once."""
    return (int(now / interval + ON_THE_BEAT) + 1) * interval


class State(Enum):
    """What we know about the path."""

    UNTRIED = "no packet came over it yet"
    ALIVE = "packets flow"
    SILENT = "nothing came for a while"


@record
class Probe:
    """One probe as it was read."""

    flags: int
    interval_ms: int
    counter: int
    sent_us: int
    echo: int
    held_us: int
    heard: int


class Path:
    """Probes out, probes in, and what follows from them."""

    def __init__(
        self,
        send_key: bytes,
        receive_key: bytes,
        now: float,
        *,
        origin: float = 0.0,
        crowded: bool = False,
    ) -> None:
        """``origin`` is when the link was born: the zero of its clock.

        ``crowded``: one of very many paths; all of them beat slowly.
        """
        self._send_key = send_key
        self._receive_key = receive_key
        self._origin = origin
        self._crowded = crowded
        self._ask_pause = CROWD_ASK_PAUSE if crowded else ASK_PAUSE
        self.state = State.UNTRIED
        self.used = False
        """Whether our packets go here."""
        self.leaving = False
        """Whether the other side is told to send somewhere else."""
        self.spare = False
        """Whether it leads over what all others share and is used last."""
        self.rtt: float | None = None
        self.clock_offset: float | None = None
        """The other side's link clock minus ours in seconds, ± half a round trip."""
        self.loss_out = 0.0
        """Share of our packets that do not get there, 0 to 1."""
        self.doubtful = False
        """Whether answers are being asked for."""
        self.lives_since = now
        """When it last came to life."""
        self.last_life = now
        self._media_at = float("-inf")
        self._counter = 0
        self._sent: dict[int, float] = {}
        self._next_probe = now
        self.due = now
        """When ``handle_timer`` wants to run; too early where media came since."""
        self._asked_at = float("-inf")
        self._answered_at = float("-inf")
        self._answer_by = float("inf")
        self._answering = False
        self._newest: Probe | None = None
        self._newest_at = now
        self._reached = now
        """When the newest of our probes was sent that the other side has heard."""
        self._heard = 0
        self._best_rtt = float("inf")
        self._loss_mark: tuple[int, int] | None = None

    # Beats

    @property
    def _theirs(self) -> float:
        """Seconds between the other side's probes, as it says."""
        return self._newest.interval_ms / 1000 if self._newest is not None else USED_BEAT

    def _beat(self, now: float) -> float:
        flags = self._newest.flags if self._newest is not None else 0
        if self._crowded:
            fresh = self.state is State.UNTRIED and self._counter < FIRST_TRIES
            busy = self.used or flags & IN_USE or fresh
            if busy:
                return SLOW_BEAT
            return SPARE_BEAT if self.spare and self.state is State.ALIVE else WARM_BEAT
        if self.state is State.UNTRIED:
            return USED_BEAT if self._counter < FIRST_TRIES else WARM_BEAT
        if self.leaving:
            return BUSY_BEAT
        if not (self.used or flags & IN_USE):
            return SLOW_BEAT if self.state is State.SILENT else WARM_BEAT
        hearing = now - self._media_at < MEDIA_PAUSE
        return BUSY_BEAT if hearing or flags & HEARING else USED_BEAT

    def use(self, on: bool, now: float) -> None:
        """Our packets go here from now on, or no longer; the other side is told."""
        if on is not self.used:
            self.used = on
            self._reached = max(self._reached, now)
            self._next_probe = now
            self._plan()

    def leave(self, on: bool, now: float) -> None:
        """We go away from here, or stay after all; the other side is told."""
        if on is not self.leaving:
            self.leaving = on
            self._next_probe = now
            self._plan()

    @property
    def refused(self) -> bool:
        """Whether the other side goes away from here."""
        return self._newest is not None and bool(self._newest.flags & LEAVING)

    def crowd(self, on: bool, now: float) -> None:
        """It is one of very many from now on, or no longer; the other side is told."""
        if on is not self._crowded:
            self._crowded = on
            self._ask_pause = CROWD_ASK_PAUSE if on else ASK_PAUSE
            self._next_probe = now
            self._plan()

    def excuse(self, seconds: float, now: float) -> None:
        """Our own process did not run for so long: that was no silence of the other side."""
        self.last_life = min(now, self.last_life + seconds)
        self._reached = min(now, self._reached + seconds)
        self._answer_by += seconds
        self._plan()

    def hurry(self, now: float) -> None:
        """Find out soon whether this way lives, since we may need it."""
        if self._answer_by == float("inf"):
            self._answer_by = now + BEATS_MISSED * BUSY_BEAT + (self.rtt or 0.0)
            self._next_probe = min(self._next_probe, now)
            self._plan()

    # Time

    def _doubtful_at(self) -> float:
        """When answers are asked for."""
        return self._limit(ASKING) if self._answer_by == float("inf") else float("-inf")

    def _silent_at(self) -> float:
        """When the path counts as silent."""
        return min(self._limit(BEATS_MISSED), self._answer_by)

    def _limit(self, beats: float) -> float:
        inward = self.last_life + beats * self._theirs
        lag = self._theirs + (self.rtt or 0.0)
        outward = self._reached + beats * max(self._beat(self.last_life), self._theirs) + lag
        return min(inward, outward)

    def _plan(self) -> None:
        """Work ``due`` out again; it is asked for far more often than it changes."""
        self.due = self._next_probe
        if self.state is State.ALIVE:
            asking = max(self._doubtful_at(), self._asked_at + self._ask_pause)
            self.due = min(self.due, self._silent_at(), asking)

    def handle_timer(self, now: float) -> list[bytes]:
        """Datagrams that are due; may turn the path silent."""
        if now < self.due:
            return []
        datagrams = self._handle(now)
        self._plan()
        return datagrams

    def _handle(self, now: float) -> list[bytes]:
        if self.state is State.ALIVE and now >= self._silent_at():
            self.state = State.SILENT
        doubtful = self.doubtful = self.state is not State.ALIVE or now >= self._doubtful_at()
        asks = doubtful and now >= self._asked_at + self._ask_pause
        if now < self._next_probe and not (asks and self.state is State.ALIVE):
            return []
        if self._answering:
            self._answering, self._answered_at = False, now
        if doubtful:
            self._asked_at = now
        beat = self._beat(now)
        self._next_probe = next_beat(now, beat)
        return [self._write(now, beat, ANSWER if doubtful else 0)]

    def _write(self, now: float, beat: float, flags: int) -> bytes:
        self._counter += 1
        self._sent[self._counter] = now
        if len(self._sent) > KEPT_PROBES:
            del self._sent[next(iter(self._sent))]
        newest = self._newest
        held = min(int((now - self._newest_at) * 1e6), _U32 - 1) if newest else 0
        if self.used:
            flags |= IN_USE
        if now - self._media_at < MEDIA_PAUSE:
            flags |= HEARING
        if self.leaving:
            flags |= LEAVING
        body = PROBE_LAYOUT.pack(
            PROBE,
            flags,
            int(beat * 1000),
            self._counter % _U32,
            int((now - self._origin) * 1e6) % _U32,
            newest.counter if newest else 0,
            held,
            self._heard % _U32,
        )
        return body + mac16(self._send_key, body)

    # World in

    def receive(self, datagram: bytes, now: float) -> None:
        """Take a probe; raises ``RemoteProtocolError`` unless it verifies and is new."""
        probe = self._read(datagram)
        if self._newest is not None and probe.counter <= self._newest.counter:
            raise RemoteProtocolError("an old probe")
        first = self._newest is None
        self._newest, self._newest_at = probe, now
        self._answer_by = float("inf")
        self._heard += 1
        if first:
            self._reached = now
        self._measure(probe, now)
        self._live(now)
        if first or probe.flags & ANSWER:
            self._answering = True
            self._next_probe = min(self._next_probe, max(now, self._answered_at + ANSWER_PAUSE))
        else:
            self._next_probe = min(self._next_probe, next_beat(now, self._beat(now)))
        self._plan()

    def _read(self, datagram: bytes) -> Probe:
        if len(datagram) != PROBE_SIZE or datagram[0] != PROBE:
            raise RemoteProtocolError("not a probe")
        body, tag = datagram[:-16], datagram[-16:]
        if not same(tag, mac16(self._receive_key, body)):
            raise RemoteProtocolError("a probe with a wrong MAC")
        probe = Probe(*PROBE_LAYOUT.unpack(body)[1:])
        if not BUSY_BEAT * 500 <= probe.interval_ms <= SPARE_BEAT * 1000:
            raise RemoteProtocolError("a probe with a beat that nobody has")
        return probe

    def _measure(self, probe: Probe, now: float) -> None:
        sent = self._sent.get(probe.echo)
        if sent is not None:
            self._reached = max(self._reached, sent)
            self._measure_loss(probe)
            rtt = max(0.0, now - sent - probe.held_us / 1e6)
            self.rtt = rtt if self.rtt is None else 0.75 * self.rtt + 0.25 * rtt
            if rtt <= self._best_rtt:
                self._best_rtt = rtt
                self.clock_offset = probe.sent_us / 1e6 + rtt / 2 - (now - self._origin)
        self._best_rtt *= 1.02  # forget slowly, so that drifting clocks are followed

    def _measure_loss(self, probe: Probe) -> None:
        """How many of our probes up to the newest that came did not come.

        Later ones may be under way, and before the first nobody may have listened.
        """
        mark = probe.echo, probe.heard
        echo_before, heard_before = self._loss_mark = self._loss_mark or mark
        reached = probe.echo - echo_before
        if reached >= LOSS_WINDOW:
            came = (probe.heard - heard_before) % _U32
            self.loss_out = max(0.0, 1 - came / reached)
            self._loss_mark = mark

    def media(self, now: float) -> None:
        """Sealed media opened that came over this path."""
        self._media_at = now
        if self.state is State.ALIVE:
            self.last_life = now
        else:
            self._live(now)

    def _live(self, now: float) -> None:
        self.last_life = now
        if self.state is not State.ALIVE:
            if now >= self._silent_at():  # it came, but ours do not get there
                return
            self.state, self.lives_since = State.ALIVE, now
            self._plan()
