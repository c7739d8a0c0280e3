"""The jitter buffer: when each packet of one talker is played.

    RESTING  ->  PLAYING      the first packet has waited for the target delay
    PLAYING  ->  RESTING      the end of talking was played, or nothing came for 100 ms

Time is counted in samples of the talker's clock. A packet's *lag* is how much
later it is played than the fastest packet could have been: it should be at
least the learned target (``audio.delay``), and not a block of the speaker more.

Rule 1: a missing packet with none behind it may only be late: something is made
        up, but time does not move. If it comes after all, the decoder forgets what
        was made up. A short stall is left out of what is played then, so that the
        delay stays; after a longer one, or where more delay is wanted, all of it is
        played, and the delay has grown by what was made up (NetEq).
Rule 2: a missing packet with others behind it is lost: it is restored from the
        packet after it, or made up, and time moves on.
Rule 3: while packets get lost the target is a frame longer, so that the packet
        after a lost one is there in time to restore it.
Rule 4: delay changes by stretching what is played, never while all is well; a
        new talk spurt starts with the right delay at no cost.
Rule 5: what had piled up before anything was ever heard of a talker is not played.
Rule 6: whatever arrives, memory is bounded and nothing is raised.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import NamedTuple

from audio.delay import Delay, Least
from audio.pcm import BLOCK, FRAME, FRAME_SECONDS, RATE

# Specification
_WRAP = 1 << 32  # timestamps are u32
MAX_PAYLOAD = 1275  # bytes of an Opus frame

# Implementation
MOST_PACKETS = 50  # kept at once: 1 s
MOST_LEFT_OUT = 2 * FRAME
"""Samples of a voice that are left out after a stall. PESQ-WB of two voices after one stall
of 14, 25 and 40 ms, mean: 4.24, 4.16, 4.05; all played later, from a decoder that had
made something up: 3.99, 3.99, 3.82."""
GIVE_UP = 5  # frames made up in a row before we rest: Opus has faded out by then
_GIVEN_UP = GIVE_UP * FRAME  # samples
NEVER = -(1 << 62)  # before any timestamp
WILD = 2.0  # seconds between timestamp and clock beyond which a packet is not believed
AGREE = 1.0  # seconds of difference between two wild packets that vouch for each other
SLACK = 0.003  # seconds below the target that are still fine
SPARE = 0.005  # seconds above target + one block that are still fine
WORTH = 0.008  # seconds; less delay than this is not worth stretching for
PAUSE = 3  # frames from one shortened frame to the next, so that nobody seems to hurry
HURRY = 0.12  # seconds of needless delay from which every frame is shortened
CALM = 1.0  # seconds over which the least lag is taken: the speaker's beat trembles
LOSS_MEMORY = 200  # frames: 4 s
LOSS_PRIOR = 50  # frames without loss that are assumed before the first
LOSSY, LOSSLESS = 0.02, 0.008  # loss estimates that turn the extra frame on and off


class Kind(Enum):
    """What to play for one frame."""

    PLAY = "decode the payload"
    RESTORE = "decode the frame before the payload from the copy inside it"
    CONCEAL = "make a frame up"
    SILENCE = "nobody talks"


class Stretch(Enum):
    """What to do to the time of a decoded frame."""

    NONE = "leave it"
    SHORTER = "take a period out"
    LONGER = "put a period in"


class State(Enum):
    """What the buffer is doing."""

    RESTING = "between talk spurts, or nothing came for too long"
    PLAYING = "a talk spurt is being played"


class Slot(NamedTuple):
    """One frame's worth of what to do."""

    kind: Kind
    payload: bytes = b""
    stretch: Stretch = Stretch.NONE
    first: bool = False
    """The first frame after rest."""
    last: bool = False
    """Silence follows."""
    most: int = 0
    """Samples that a shortened frame may lose."""
    waited: float = 0.0
    """Seconds that the payload has been in the buffer."""
    skip: int = 0
    """Samples at the start of the frame that were made up before."""
    length: int = FRAME
    """Samples from there on of a frame that is made up."""
    keep: bool = False
    """A wait begins: the decoder may have to forget what it makes up."""
    back: bool = False
    """A wait is over: the decoder goes back to where it began."""


class _Packet(NamedTuple):
    payload: bytes
    last: bool
    arrived: float


_SILENCE = Slot(Kind.SILENCE)


class Jitter:
    """One talker's jitter buffer."""

    def __init__(self) -> None:
        self.state = State.RESTING
        self.loss = 0.0
        """Estimated share of packets that never come, 0 to 1."""
        self.lost = 0
        """Packets that were not there when others behind them were played."""
        self.hold = 0.0
        """Seconds that are waited besides, so that pictures keep up."""
        self._delay = Delay()
        self._packets: dict[int, _Packet] = {}
        self._newest: int | None = None
        self._counted = LOSS_PRIOR
        self._next = NEVER
        self._made_up = 0
        self._missing = 0
        self._lossy = False
        self._begun = False
        self._growing = False
        self._shrinking = False
        self._unshortened = 0
        self._least_lag = Least(CALM)
        self._block_seconds = BLOCK / RATE
        self._wild: tuple[int, float] | None = None

    @property
    def target(self) -> float:
        """Seconds of lag that are aimed at."""
        return self._delay.target + self.hold + (FRAME_SECONDS if self._lossy else 0.0)

    @property
    def next(self) -> int | None:
        """The timestamp that is played next; None at rest."""
        return self._next % _WRAP if self.state is State.PLAYING else None

    @property
    def jitter(self) -> float:
        """Interarrival jitter in seconds (RFC 3550)."""
        return self._delay.jitter

    @property
    def at_rest(self) -> bool:
        """Whether there is silence until the next packet."""
        return self.state is State.RESTING and not self._packets

    def __len__(self) -> int:
        return len(self._packets)

    # -- world in ---------------------------------------------------------

    def put(self, timestamp: int, payload: bytes, last: bool, now: float) -> None:
        """Take a packet; duplicates, late ones and nonsense are dropped."""
        if not 0 < len(payload) <= MAX_PAYLOAD:
            return
        at = self._unwrap(timestamp % _WRAP)
        transit = now - at / RATE
        if self._newest is not None and abs(transit - self._delay.base) > WILD:
            if not self._believes_wild(at, now):
                return
            self._restart()
            transit = now - at / RATE
        self._wild = None
        self._newest = at if self._newest is None else max(at, self._newest)
        if at in self._packets:
            return
        self._delay.learn(transit, now)
        if at < self._next:
            return
        self._packets[at] = _Packet(payload, last, now)
        if len(self._packets) > MOST_PACKETS:
            self._keep_bounded()

    def _unwrap(self, timestamp: int) -> int:
        """The timestamp counted on beyond 2**32, nearest to the newest one."""
        if self._newest is None:
            return timestamp
        ahead = (timestamp - self._newest) % _WRAP
        return self._newest + (ahead - _WRAP if ahead >= _WRAP // 2 else ahead)

    def _believes_wild(self, at: int, now: float) -> bool:
        """Whether a second wild packet agrees with the one before (RFC 3550, A.1)."""
        before, self._wild = self._wild, (at, now)
        if before is None or at == before[0]:
            return False
        return abs((at - before[0]) / RATE - (now - before[1])) < AGREE

    def _restart(self) -> None:
        """The talker's clock has jumped: begin anew."""
        self._delay = Delay()
        self._packets.clear()
        self._rest()
        self._newest, self._next = None, NEVER
        self._begun = False

    def _keep_bounded(self) -> None:
        del self._packets[min(self._packets)]
        if self.state is State.PLAYING:
            self._next = max(self._next, min(self._packets))
            self._made_up = 0

    # -- world out --------------------------------------------------------

    def get(self, now: float, held: int = 0, block: int = BLOCK) -> Slot:
        """What to play next.

        ``held`` samples of earlier frames are still unplayed; the speaker asks
        for ``block`` samples at once.
        """
        self._block_seconds = block / RATE
        if self.state is State.RESTING and not self._starts(now):
            return _SILENCE
        if self._next in self._packets:
            return self._play(now, held)
        behind = min(self._packets, default=None)
        if behind is None:
            return self._wait(block - held)
        return self._lose(behind, now, held)

    def _starts(self, now: float) -> bool:
        """Whether the first packet has waited long enough to begin a talk spurt."""
        if not self._packets:
            return False
        first = min(self._packets)
        if self._lag(first, now) < self.target:
            return False
        if not self._begun:
            first = self._without_backlog(first, now)
        self.state = State.PLAYING
        self._next = first
        self._least_lag = Least(CALM)
        return True

    def _without_backlog(self, first: int, now: float) -> int:
        """Rule 5: the newest packet that has waited long enough."""
        self._begun = True
        ripe = [at for at in self._packets if self._lag(at, now) >= self.target]
        if max(ripe) - first > FRAME:
            first = max(ripe)
            self._packets = {at: one for at, one in self._packets.items() if at >= first}
            self._delay.forget_lateness()
        return first

    def _lag(self, at: int, now: float) -> float:
        return now - at / RATE - self._delay.base

    def _play(self, now: float, held: int) -> Slot:
        packet = self._packets.pop(self._next)
        lag = self._lag(self._next, now)
        back, skip = self._made_up > 0, min(self._left_out(lag), FRAME)
        lag -= skip / RATE
        self._least_lag.add(lag, now)
        first = self._missing >= _GIVEN_UP
        stretch, most = (Stretch.NONE, 0) if packet.last or skip else self._stretch(lag, held)
        self._next += FRAME
        self._made_up = self._made_up - skip if skip else 0
        self._missing = 0
        self._count(lost=False)
        if packet.last:
            self._rest()
        waited = max(0.0, now - packet.arrived)
        slot = Slot(Kind.PLAY, packet.payload, stretch, first, packet.last, most, waited)
        return slot._replace(skip=skip, back=back) if back else slot

    def _left_out(self, lag: float) -> int:
        """Rule 1: samples from the next one on that will not be played, though they came."""
        made_up = self._made_up
        needed = range(self._next + FRAME, self._next + made_up + 1, FRAME)
        short = made_up <= MOST_LEFT_OUT and all(at in self._packets for at in needed)
        return made_up if short and lag - made_up / RATE >= self.target - SLACK else 0

    def _wait(self, wanted: int) -> Slot:
        """Rule 1: nothing is there; make ``wanted`` samples up without moving time."""
        keep, skip = not self._made_up, self._made_up % FRAME
        count = min(wanted, FRAME - skip)
        self._made_up += count
        return self._conceal(skip, count, keep=keep)

    def _lose(self, behind: int, now: float, held: int) -> Slot:
        """Rule 2: the next packet is lost; ``behind`` is the first one there is."""
        gap = (behind - self._next) // FRAME
        covered = min(gap, self._made_up // FRAME)
        for _ in range(min(covered, GIVE_UP)):
            self._count(lost=True)
        self._next += covered * FRAME
        skip, self._made_up = self._made_up % FRAME, 0
        if gap > GIVE_UP + covered or (behind - self._next) % FRAME:
            return self._skip_to(behind, now, held, skip)
        if gap == covered:
            return self._play(now, held)
        self._count(lost=True)
        self._next += FRAME
        if self._next == behind:
            packet = self._packets[behind]
            self._missing += FRAME - skip
            waited = max(0.0, now - packet.arrived)
            back = skip > 0 and not covered
            return Slot(Kind.RESTORE, packet.payload, waited=waited, skip=skip, back=back)
        return self._conceal(skip, FRAME - skip)

    def _skip_to(self, behind: int, now: float, held: int, skip: int) -> Slot:
        """A gap no concealment bridges: the end mark was lost, or frames do not fit."""
        if self._missing < _GIVEN_UP and self._lag(behind, now) < self.target:
            return self._conceal(skip, FRAME - skip)
        self._next = behind
        return self._play(now, held)

    def _conceal(self, skip: int, count: int, *, keep: bool = False) -> Slot:
        self._missing += count
        if self._missing >= _GIVEN_UP:
            self._rest(after_stall=True)
            return Slot(Kind.CONCEAL, last=True, skip=skip, length=count)
        return Slot(Kind.CONCEAL, skip=skip, length=count, keep=keep)

    def _rest(self, *, after_stall: bool = False) -> None:
        self.state = State.RESTING
        self._made_up = 0
        self._missing = _GIVEN_UP if after_stall else 0
        self._growing = self._shrinking = False

    def _count(self, *, lost: bool) -> None:
        self.lost += lost
        self._counted = min(LOSS_MEMORY, self._counted + 1)
        self.loss += ((1.0 if lost else 0.0) - self.loss) / self._counted
        self._lossy = self.loss > (LOSSLESS if self._lossy else LOSSY)

    # -- stretching -------------------------------------------------------

    def _stretch(self, lag: float, held: int) -> tuple[Stretch, int]:
        """Whether the frame about to be played should change its length, and what it may lose."""
        self._growing = lag < (self.target if self._growing else self.target - SLACK)
        if self._growing:
            self._shrinking = False
            return Stretch.LONGER, 0
        excess = self._excess(held)
        self._shrinking = excess > (0.0 if self._shrinking else WORTH)
        self._unshortened += 1
        if not self._shrinking or (self._unshortened < PAUSE and excess < HURRY):
            return Stretch.NONE, 0
        self._unshortened = 0
        return Stretch.SHORTER, int(excess * RATE)

    def _excess(self, held: int) -> float:
        """Seconds of delay that could go without any packet coming too late."""
        if not self._least_lag.full:
            return 0.0
        spare = self._least_lag.value - self.target - SPARE
        blocks = max(0, math.floor(spare / self._block_seconds))
        return held / RATE + blocks * self._block_seconds
