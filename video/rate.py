"""Rate: how much one path to a viewer carries, from what its feedback says.

    arrivals   -> one-way delay above its lowest: the queue in front of the bottleneck
               -> bytes delivered per second
    no arrival -> loss

    queue short and the rate is used     grow: doubling within a second at first, later by
                                         little near what the path gave last, then faster
    queue long, or more loss than usual  below what was delivered, so that the queue drains
    no feedback                          halve, down to the floor

Delay comes first (as in GCC, draft-ietf-rmcat-gcc-02, and SCReAM, RFC 8298), so that
voice on the same path is not queued. Loss counts only beyond what the path loses
anyway. Growth needs use: who sends little learns little.

Rule: after a way has changed everything measured is forgotten but the rate.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vc_core.record import record
from video.bunch import Bunches
from video.recent import Recent
from video.trains import Trains

# Implementation
START = 1_000_000.0  # bit/s
FLOOR = 100_000.0  # bit/s
CEILING = 80_000_000.0  # bit/s
WIRE = 28  # bytes of IPv4 and UDP around a datagram
SHORT_QUEUE = 0.007  # s: may grow …
SHORT_BEHIND = 0.008  # s: … if no more than this is seen behind others of a frame …
BEHIND_WINDOW = 0.3  # s: … for so long
FILLING = 0.005  # s of queue that pieces close behind one another make on a path that is full,
FIRST_FILLING = 0.010  # and where nothing is known of it
AGAIN_FILLING = 0.5  # s in which they do so twice
LONG_QUEUE = 0.015  # s, twice in a row: must shrink
FIRST_QUEUE = 0.015  # s: the same before the first congestion
DEEP_QUEUE = 0.050  # s: must shrink more
LARGE = 1228  # bytes of a full packet, which on a slow path waits for itself: half of what
QUICK = 0.005  # is more than this (s) is added to the bounds above
BASE_WINDOW = 10.0  # s over which the lowest delay is kept, twice
RATE_WINDOW = 0.35  # s over which delivery is measured
MOST_MEASURED = 8192  # packets of a window, whatever times the viewer tells: 80 Mb/s for a second
LOSS_WINDOW = 1.5  # s over which loss is measured
OLD_LOSS = 3.0  # s after which a loss that nothing confirms is not believed any more
LOST_AFTER = 0.25  # s behind the newest arrival, by time of sending
MUCH_LOSS = 0.06  # beyond what the path loses anyway …
FULL_LOSS = 0.025  # … and beside a queue that may not grow
LEARNING = 0.04  # per second, of what the path loses anyway
FEW = 20  # packets whose fate says nothing about loss yet
SAME_LOSS = 0.7  # of the loss before: sending less has not helped, …
HALF_LOSS = 0.5  # … if ``ENOUGH`` packets say so
MOST_LOSS = 0.25  # that a path is believed to have anyway
LESS_SENT = 0.95  # of what was sent before: it was less indeed
LESS_LOSS = 0.35  # of the loss before: it has
ENOUGH = 100  # packets whose fate says so
USE_WINDOW = 1.0  # s over which what is sent is measured
USED = 0.5  # of the rate that must have been sent, so that it may grow
OUTGROWN = 1.3  # times what was delivered at the last congestion: the path is another one
FIRST_GROWTH = 2.4  # per second, until the first congestion
NEAR = (0.85, 1.04)  # of what was delivered at the last congestion: grow by little
FILLED = 0.97  # of what a path carries that frames leave at: voice goes between
NEAR_GROWTH = 0.03  # per second
NEAR_LIFE = 6.0  # s that the last congestion is remembered so
SLOWEST_GROWTH, FASTEST_GROWTH = 0.10, 0.80  # per second, beyond
QUICKER = 0.12  # per second and second
RETURN_GROWTH = 0.80  # per second, below
BACK_OFF, DEEP_BACK_OFF = 0.9, 0.7  # of what was delivered
LOSSY_BACK_OFF = 0.85  # of the rate
SILENCE = 0.6  # s without feedback although something was sent
MAX_SENT = 8192  # packets remembered

Name = tuple[int, int, int]
"""A packet: stream, generation, CTR."""


@dataclass(slots=True)
class Sent:
    """One packet under way."""

    at: float
    size: int
    again: bool = False
    """Sent twice: its arrival says nothing about delay."""


@record
class Suspected:
    """The last congestion that only loss has shown, and what was believed before it."""

    loss: float = 0.0
    """0: none, or sending less has helped against it."""
    at: float = float("-inf")
    rate: float = 0.0
    sending: float = 0.0
    """bit/s that were sent indeed."""
    starting: bool = False
    ceiling: float = 0.0
    congested_at: float = float("-inf")
    full: bool = False


class LowestDelay:
    """The lowest of the last windows; forgets, so that clocks may drift."""

    def __init__(self) -> None:
        self._now = self._before = self._least = float("inf")
        self._until = float("-inf")

    def take(self, delay: float, now: float) -> float:
        """The queueing part of ``delay`` in seconds."""
        if now >= self._until:
            self._before, self._now = self._now, float("inf")
            self._until = now + BASE_WINDOW
            self._least = self._before
        if delay < self._now:
            self._now = delay
            self._least = min(delay, self._before)
        return delay - self._least


class RateControl:
    """For one viewer."""

    def __init__(self, now: float, start: float = START) -> None:
        self.target = start
        """bit/s that may be sent, datagrams with their IP and UDP headers."""
        self.queue = 0.0
        """s of queue, as the newest feedback saw it."""
        self._behind = 0.0
        """s of queue that the last pieces of a frame saw, which came quickly one after another."""
        self._behinds: deque[tuple[float, float]] = deque()
        self.loss = 0.0
        self.delivered = 0.0
        """bit/s that arrived."""
        self.starting = True
        """No congestion yet."""
        self._sent: OrderedDict[Name, Sent] = OrderedDict()
        self._base = LowestDelay()
        self._bunches = Bunches()
        self._trains = Trains()
        self._width = (float("-inf"), 0.0)
        """(when, bit/s): what frames that filled the path have last shown of it."""
        self._arrived = Recent(MOST_MEASURED)
        self._fates = Recent()
        """By time of sending, whether it was lost, in the last ``LOSS_WINDOW``."""
        self._usual_loss = 0.0
        self._loss_known = False
        self._loss_seen = now
        self._given = Recent(MOST_MEASURED)
        """What was sent in the last second."""
        self._newest = float("-inf")
        """When the newest arrival was sent."""
        self._congested_at = float("-inf")
        self._patient_until = float("-inf")
        self._queue_then = 0.0
        self._loss_then = Suspected()
        self._begun_again = False
        """Whether loss was once taken for congestion at the beginning; that is believed once."""
        self._settled = now
        self._ceiling = 0.0
        self._full = False
        """Whether a queue, not only loss, has shown the last congestion."""
        self._updated = now
        self._unanswered_since: float | None = None
        """When the oldest packet was sent since feedback came."""

    # Out

    def sent(self, name: Name, size: int, now: float, *, again: bool = False) -> None:
        """A packet went out, for the first time or again."""
        known = self._sent.get(name)
        if known is not None:
            if not known.again:
                self._fates.add(known.at, True)
            known.again = True
        else:
            self._sent[name] = Sent(now, size + WIRE, again)
            if len(self._sent) > MAX_SENT:
                self._sent.popitem(last=False)
        if self._unanswered_since is None:
            self._unanswered_since = now
        self._given.add(now, size + WIRE)

    def moved(self, now: float) -> None:
        """The way has changed: another delay, another bottleneck perhaps."""
        self._base = LowestDelay()
        self._bunches, self._trains = Bunches(), Trains()
        self._width = (float("-inf"), 0.0)
        self._behinds.clear()
        self._sent.clear()
        self._arrived.clear()
        self._fates.clear()
        self.target = max(FLOOR, min(self.target, 2 * START))
        self.starting = True
        self._unanswered_since = None

    # In

    def receive(self, arrivals: Sequence[tuple[Name, float]], now: float) -> None:
        """What one feedback says: packets and when they arrived, in order."""
        for name, at in arrivals:
            packet = self._sent.pop(name, None)
            if packet is None:
                continue
            sent, size = packet.at, packet.size
            self._arrived.add(at, size)
            self._newest = max(self._newest, sent)
            if not packet.again:
                self._fates.add(sent, False)
                self._bunches.add(at, self._base.take(at - sent, now))
                self._trains.add(sent, at, size, self.target)
        self._unanswered_since = None
        self._count_lost(now)
        self._measure()
        queues = sorted(self._bunches.take())
        if queues:
            before, self.queue = self.queue, queues[len(queues) // 4]
            self._behind = queues[3 * len(queues) // 4]
            self._behinds.append((now, self._behind))
            while self._behinds[0][0] < now - BEHIND_WINDOW:
                self._behinds.popleft()
            self._steer(now, min(before, self.queue))

    def _count_lost(self, now: float) -> None:
        while self._sent:
            name, packet = next(iter(self._sent.items()))
            if packet.at > self._newest - LOST_AFTER:
                break
            del self._sent[name]
            if not packet.again:
                self._fates.add(packet.at, True)
        self._fates.forget(self._newest - LOSS_WINDOW)
        self._loss_known = len(self._fates) >= FEW
        if self._loss_known:
            self.loss = self._fates.total / len(self._fates)
            self._loss_seen = now
        elif now - self._loss_seen >= OLD_LOSS:
            self.loss = min(self.loss, self._usual_loss)

    def _measure(self) -> None:
        if not self._arrived:
            return
        end, _ = self._arrived.newest
        self._arrived.forget(end - RATE_WINDOW)
        begun, first = self._arrived.oldest
        if end - begun > RATE_WINDOW / 4:
            self.delivered = 8 * (self._arrived.total - first) / (end - begun)

    def hurry(self, most: float) -> float:
        """How much faster than the rate a frame may leave, so that it fills no known bottleneck."""
        if not self._there:
            return most
        return min(most, max(1.0, FILLED * self._ceiling / self.target))

    # The decision

    def _steer(self, now: float, lasting: float) -> None:
        passed = min(now - self._updated, 0.25)
        self._updated = now
        excess = self.loss - self._usual_loss if self._loss_known else 0.0
        self._usual_loss += LEARNING * passed * excess
        if len(self._fates) >= ENOUGH and self._loss_then.loss:
            self._judge(now)
            excess = self.loss - self._usual_loss
        slow = max(0.0, 8 * LARGE / self.target - QUICK) / 2
        queue = self.queue if self.starting or self.queue >= DEEP_QUEUE + slow else lasting
        long = slow + (FIRST_QUEUE if self.starting else LONG_QUEUE)
        much = FULL_LOSS if self._behind > SHORT_BEHIND + slow else MUCH_LOSS
        width = self._trains.width(slow + (FIRST_FILLING if self.starting else FILLING))
        again = now - self._width[0] < AGAIN_FILLING
        if width:
            self._width = now, width
        if queue >= long or excess > much:
            self._back_off(now, lossy=queue < long)
        elif width and again and (self.starting or self._full) and self.target > self._ceiling:
            self._fill(now, width)
        elif self._may_grow(slow) and self._used(now):
            self.target = min(CEILING, self.target * (1 + self._growth(now) * passed))

    def _may_grow(self, slow: float) -> bool:
        if self.queue > SHORT_QUEUE + slow:
            return False
        return not self._there or max(b for _, b in self._behinds) <= SHORT_BEHIND + slow

    def _fill(self, now: float, width: float) -> None:
        """Grown until frames make a queue that goes with them: that is what the path carries."""
        self.target = self._ceiling = max(self._ceiling, min(self.target, FILLED * width))
        self._congested_at, self._full, self.starting = now, True, False

    def _back_off(self, now: float, *, lossy: bool) -> None:
        if now < self._patient_until and self.queue <= 1.5 * self._queue_then:
            return  # the queue needs time to drain, and feedback to say so
        gave = min(self.delivered or self.target, self.target)
        share = LOSSY_BACK_OFF if lossy else BACK_OFF
        if self.queue >= DEEP_QUEUE:
            share = DEEP_BACK_OFF
        wished = min(share * self.target, gave) if lossy else share * gave
        if lossy and self._helps_nothing(now):
            return
        if self.target <= FLOOR * 1.01 and now - self._settled > 3.0:
            self._base = LowestDelay()  # at the floor it cannot be our own queue
            self._settled = now
        if self.target > FLOOR * 1.01:
            self._settled = now
        shown_at, width = self._width
        carried = max(gave, width if now - shown_at < AGAIN_FILLING else 0.0)
        self.target = max(FLOOR, min(self.target, wished))
        again = now - self._congested_at < NEAR_LIFE
        self._ceiling = max(carried, 0.7 * self._ceiling if again else 0.0)
        self._congested_at, self._full = now, not lossy
        self._queue_then = self.queue
        self._patient_until = now + 0.15 + (0.35 if lossy else self.queue / (1 - share))
        self._fates.clear()
        self._loss_known = self.starting = False

    def _helps_nothing(self, now: float) -> bool:
        """Whether loss has stayed when less was sent, without a queue: the path loses anyway.

        Then nothing was learnt of its width, and all is as before.
        """
        then, rate, sending = self._loss_then, self.target, self._sending(now, RATE_WINDOW)
        if then.loss and now - then.at < NEAR_LIFE:
            rate = max(rate, then.rate)
            if self._stays(now, SAME_LOSS):
                self._believe_as_before()
                return True
        if self.starting or not then.loss:
            spread = math.sqrt(self.loss * (1 - self.loss) / max(1, len(self._fates)))
            loss = max(MUCH_LOSS / 2, self.loss - spread)  # few packets may tell of too much
            known = self.starting, self._ceiling, self._congested_at, self._full
            self._loss_then = Suspected(loss, now, rate, sending, *known)
        else:
            self._loss_then = replace(then, at=now, rate=rate, sending=max(sending, then.sending))
        return False

    def _judge(self, now: float) -> None:
        """Whether sending less has helped, when enough packets say so."""
        then = self._loss_then
        if self._stays(now, HALF_LOSS):
            self._believe_as_before()
        elif self.loss >= LESS_LOSS * then.loss and now - then.at <= NEAR_LIFE:
            return
        self._loss_then = Suspected()

    def _stays(self, now: float, share: float) -> bool:
        then, sending = self._loss_then, self._sending(now, RATE_WINDOW)
        less = self.queue < SHORT_QUEUE and sending <= LESS_SENT * then.sending
        return less and share * then.loss <= self.loss <= MOST_LOSS

    def _believe_as_before(self) -> None:
        then = self._loss_then
        self._usual_loss, self.target = self.loss, max(self.target, then.rate)
        self._ceiling, self._congested_at, self._full = then.ceiling, then.congested_at, then.full
        self.starting = then.starting and not self._begun_again
        self._begun_again |= self.starting

    def _growth(self, now: float) -> float:
        """Share per second."""
        if self.starting:
            return FIRST_GROWTH - 1
        since = now - self._congested_at
        near = NEAR[0] * self._ceiling <= self.target <= NEAR[1] * self._ceiling
        if near and since < NEAR_LIFE:
            return NEAR_GROWTH
        if self.target < NEAR[0] * self._ceiling:
            return RETURN_GROWTH
        return min(FASTEST_GROWTH, SLOWEST_GROWTH + QUICKER * max(0.0, since - NEAR_LIFE))

    def _used(self, now: float) -> bool:
        return self._sending(now, USE_WINDOW) >= USED * self.target

    @property
    def _there(self) -> bool:
        """Whether the rate is about where a queue has once shown that the path is full."""
        return self._full and (NEAR[0] * self._ceiling <= self.target <= OUTGROWN * self._ceiling)

    def _sending(self, now: float, window: float) -> float:
        """bit/s that were sent in the last ``window`` seconds."""
        self._given.forget(now - USE_WINDOW)
        begun, total = self._given.since(now - window)
        return 8 * total / max(0.2, min(window, now - begun))

    # Time

    def handle_timer(self, now: float) -> None:
        """Feedback that stays away is congestion as well."""
        since = self._unanswered_since
        if since is not None and now - since >= SILENCE:
            self.target = max(FLOOR, self.target / 2)
            self._unanswered_since = now
            self.starting = False
            self._ceiling = max(self.target, self._ceiling / 2)
            self._congested_at = now
