"""Virtual links and everything around the chain: an encoder, voice beside it, viewers.

Time advances in milliseconds; nothing sleeps. A link has a bandwidth, a queue in bytes that
drops what does not fit, a delay, jitter and loss. Pieces are not sealed here (that is
tested with whole sessions in ``tests/sim``), only counted and carried.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from audio.delay import Delay
from vc_core.feedback import Feedback, Feedbacks
from vc_core.ids import Member
from vc_core.keyring import SealedPiece
from vc_core.packet import Media
from vc_core.senderkeys import Opened
from video.sending import Sharer
from video.sharing import Encoded, Outgoing
from video.watching import Watching

STEP = 0.001
BEAT = 0.005  # as ``client.pictures.viewing``
WIRE = 28
VOICE_BYTES = 132
OVERHEAD = 36
STREAM = 1
KEY = b"k" * 32


class Clock:
    """What happens when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._count), what))

    def advance(self, until: float) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, what = heapq.heappop(self._heap)
            what()
        self.now = until


@dataclass
class Link:
    """One direction."""

    clock: Clock
    chance: random.Random
    delay: float = 0.02
    bandwidth: float = 100e6
    queue: int = 64_000
    """bytes that may wait; the rest is dropped."""
    loss: float = 0.0
    jitter: float = 0.0
    free_at: float = 0.0
    dropped: int = 0
    bytes: int = 0

    def send(self, size: int, land: Callable[[], None]) -> None:
        now, size = self.clock.now, size + WIRE
        waits = max(0.0, self.free_at - now)
        if waits * self.bandwidth / 8 > self.queue:
            self.dropped += 1
            return
        self.free_at = max(self.free_at, now) + 8 * size / self.bandwidth
        self.bytes += size
        if self.chance.random() >= self.loss:
            arrival = self.free_at + self.delay + self.chance.random() * self.jitter
            self.clock.at(arrival, land)


@dataclass
class Encoder:
    """A share child that obeys."""

    chance: random.Random
    fps: int = 30
    most: float = 4e6
    bitrate: float = 500e3
    key_due: bool = True
    on: bool = True
    next_at: float = 0.0
    keys: int = 0
    least_key: int = 0
    """Bytes: some codecs can make a key frame no smaller."""
    uses: float = 1.0
    """Of what it may; if that is less than all, now more and now less, as a page scrolls."""
    level: float = 1.0

    def frame(self, now: float) -> tuple[bool, int] | None:
        """(key, bytes) of a frame that is due."""
        if not self.on or now < self.next_at:
            return None
        self.next_at = max(self.next_at, now - 1 / self.fps) + 1 / self.fps
        average = min(self.bitrate, self.most) / 8 / self.fps
        size = average * self.chance.uniform(0.75, 1.25)
        if self.uses < 1:
            self.level += (self.uses - self.level) / 20 + self.chance.gauss(0, 0.05)
            size *= min(1.1, max(0.4, self.level))
        key, self.key_due = self.key_due, False
        if key:
            self.keys += 1
            size = max(self.least_key, min(size * 6, 90_000))
        return key, max(200, int(size))


@dataclass
class Seat:
    """One viewer with its links."""

    member: Member
    down: Link
    up: Link
    watching: Watching
    sharers_end: Feedbacks
    own_end: Feedbacks
    shown: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    """Delay of frames from capture to whole, in s."""
    voice: list[tuple[float, float]] = field(default_factory=list)
    """(sent, delay) of voice packets."""
    look: float = math.inf
    """When it looks next at what the sharer should hear."""
    """Whether it will look at what to tell the sharer."""
    still_until: float = 0.0
    """Until when its process stands still."""

    def freezes(self, since: float, until: float, limit: float = 0.5) -> int:
        times = [since, *(t for t in self.shown if since <= t <= until), until]
        return sum(b - a > limit for a, b in itertools.pairwise(times))

    def fps(self, since: float, until: float) -> float:
        return sum(since <= t < until for t in self.shown) / (until - since)

    def bitrate(self, since: float, until: float) -> float:
        pairs = zip(self.shown, self.sizes, strict=True)
        return sum(8 * size for t, size in pairs if since <= t < until) / (until - since)

    def voice_delay(self, since: float, until: float, share: float) -> float:
        delays = sorted(d for t, d in self.voice if since <= t < until)
        return delays[min(len(delays) - 1, int(share * len(delays)))]

    def playout(self, since: float, until: float, share: float) -> float:
        """s that a listener has learnt to wait for voice."""
        delay, targets = Delay(), []
        for sent, late in self.voice:
            delay.learn(late, sent + late)
            if since <= sent < until:
                targets.append(delay.target)
        return percentile(targets, share)


class Stage:
    """One sharer and its viewers."""

    def __init__(self, seed: int = 1, *, most: float = 4e6, seconds: bool = True) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.encoders = [Encoder(self.chance, most=most), Encoder(self.chance, on=False)]
        self.sharer = Sharer(self, 0.0)
        self.sharer.begin(STREAM, 1920, 1080, 30, most, seconds=seconds)
        self.seats: dict[Member, Seat] = {}
        self.signed: dict[int, bytes] = {}
        self.carried: list[tuple[Member, int]] = []
        self.spread: Callable[[Outgoing], None] = lambda outgoing: None
        self.targets: list[tuple[float, float]] = []
        self.still_until = 0.0
        """Until when the sharer's process stands still."""
        self._ctr = itertools.count()
        self._voice_at = 0.0

    # The edge

    def seal(self, stream: int, timestamp: int, payload: bytes, now: float) -> SealedPiece | None:
        ctr = next(self._ctr)
        head = ctr.to_bytes(6, "big") + timestamp.to_bytes(4, "big")
        return SealedPiece(1, ctr, head + payload + bytes(OVERHEAD - 10))

    def sign(self, stream: int, number: int, digest: bytes, now: float) -> None:
        self.signed[number] = digest

    def carry(self, stream: int, member: Member, forwarder: int) -> None:
        self.carried.append((member, forwarder))

    # People

    def join(
        self,
        number: int,
        *,
        bandwidth: float = 100e6,
        rtt: float = 0.04,
        loss: float = 0.0,
        jitter: float = 0.0,
        queue: int = 64_000,
        forwarder: int = 0,
    ) -> Seat:
        member = Member(number)
        down = Link(self.clock, self.chance, rtt / 2, bandwidth, queue, loss, jitter)
        up = Link(self.clock, self.chance, rtt / 2, 100e6, 64_000, loss, jitter)
        watching = Watching(member, STREAM, self.clock.now)
        watching.rtt = rtt
        ends = Feedbacks(KEY, KEY), Feedbacks(KEY, KEY)
        seat = self.seats[member] = Seat(member, down, up, watching, *ends)
        self.sharer.watched(STREAM, member, True, self.clock.now)
        self.sharer.reached(member, rtt, forwarder, self.clock.now)
        self._look_soon(seat)
        return seat

    def run(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.advance(self.clock.now + STEP)
            self._step(self.clock.now)

    def _step(self, now: float) -> None:
        for second, encoder in enumerate(self.encoders):
            made = encoder.frame(now)
            if made is not None:
                key, size = made
                data = self.chance.randbytes(8) + bytes(size)
                encoded = Encoded(now, key, 1, 1920, 1080, data, bool(second))
                self._when_awake(self, lambda e=encoded: self._push(e))  # type: ignore[misc]
        if now >= max(self.sharer.next_time(), self.still_until):
            for outgoing in self.sharer.datagrams(now):
                self._carry(outgoing)
        self._obey()
        if now >= self._voice_at:
            self._voice_at += 0.02
            for seat in self.seats.values():
                self._say(seat)
        if int(now * 1000) % 100 == 0:
            self.targets.append((now, self.sharer.bitrate(STREAM)))

    def _push(self, encoded: Encoded) -> None:
        self.sharer.push(STREAM, encoded, self.clock.now)

    def _when_awake(self, who: Stage | Seat, what: Callable[[], None]) -> None:
        """At once, or when a process that stands still goes on."""
        if self.clock.now < who.still_until:
            self.clock.at(who.still_until, what)
        else:
            what()

    def _obey(self) -> None:
        for order in self.sharer.orders():
            words, encoder = order.words, self.encoders[order.second]
            if words["do"] == "key":
                encoder.key_due = True
            elif words["do"] == "bitrate":
                encoder.bitrate = words["bps"]
            elif words["do"] == "open":
                encoder.bitrate, encoder.fps = words["bitrate"], words["fps"]
                encoder.on = encoder.key_due = True
                encoder.next_at = self.clock.now
            else:
                encoder.on = False

    def _carry(self, outgoing: Outgoing) -> None:
        if outgoing.member is None:
            self.spread(outgoing)
        elif outgoing.member in self.seats:
            self.send(self.seats[outgoing.member], outgoing.datagram)

    def send(self, seat: Seat, datagram: bytes) -> None:
        def land() -> None:
            self._when_awake(seat, lambda: self._land(seat, datagram))

        seat.down.send(len(datagram), land)

    def _land(self, seat: Seat, datagram: bytes) -> None:
        ctr, timestamp = int.from_bytes(datagram[:6], "big"), int.from_bytes(datagram[6:10], "big")
        payload = datagram[10 : len(datagram) - OVERHEAD + 10]
        opened = Opened(Member(0), 1, ctr, Media(3, timestamp, payload), datagram, STREAM)
        now = self.clock.now
        for whole in seat.watching.receive(opened, now):
            seat.shown.append(now)
            seat.sizes.append(len(whole.picture.data))
            seat.late.append(now - whole.picture.timestamp / 1000)
        if seat.look > now + 2 * BEAT and (seat.look == math.inf or seat.watching.hurried):
            self._look_soon(seat)

    def _look_soon(self, seat: Seat) -> None:
        now = self.clock.now
        seat.look = when = max(now + BEAT, seat.watching.next_time(now))
        if when < math.inf:
            self.clock.at(when, lambda: self._when_awake(seat, lambda: self._look(seat, when)))

    def _look(self, seat: Seat, when: float) -> None:
        if when != seat.look:
            return  # another one was planned in its place
        now = self.clock.now
        for feedback in seat.watching.feedback(now):
            datagram = seat.own_end.write(feedback)
            seat.up.send(len(datagram), lambda d=datagram: self._answer(seat, d))  # type: ignore[misc]
        if seat.watching.key_wanted(now):
            # the reliable plane: late rather than lost
            when = now + seat.up.delay * (3 if self.chance.random() < seat.up.loss else 1)
            self.clock.at(when, lambda: self.sharer.key_wanted(STREAM, seat.member, self.clock.now))
        self._look_soon(seat)

    def _answer(self, seat: Seat, datagram: bytes) -> None:
        self._when_awake(self, lambda: self._hear(seat, datagram))

    def _hear(self, seat: Seat, datagram: bytes) -> None:
        feedback: Feedback = seat.sharers_end.read(datagram)
        self.sharer.feedback(seat.member, feedback, self.clock.now)

    def _say(self, seat: Seat) -> None:
        sent = self.clock.now
        seat.down.send(VOICE_BYTES, lambda: seat.voice.append((sent, self.clock.now - sent)))


def percentile(values: list[float], share: float) -> float:
    """One of the sorted values."""
    order = deque(sorted(values))
    return order[min(len(order) - 1, int(share * len(order)))]
