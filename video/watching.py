"""Watching: the viewer's half of the chain, for one stream of one member.

    opened piece -> Reassembly -> whole frames in the order in which they decode
                 -> arrivals   -> feedback every 50 ms, at once when something is missing
    nothing decodable -> a key frame is wanted

Nothing here reads a clock, opens or sends: the engine calls ``feedback`` and
``key_wanted`` when ``next_time`` has come and after each datagram.
"""

from __future__ import annotations

from collections import deque

from vc_core.attest import picture_digest
from vc_core.errors import RemoteProtocolError
from vc_core.feedback import MAX_ARRIVALS, Arrival, Feedback, Wanted, fit
from vc_core.ids import Member
from vc_core.senderkeys import Opened
from video.fragment import read_piece
from video.reassembly import Reassembly, Whole

# Implementation
REPORT = 0.05  # s between two feedbacks, …
MANY = MAX_ARRIVALS // 2  # … or arrivals of which none was told
HURRY = 0.01  # s, when pieces are missing
FAR = 0.08  # s of round trip from which pieces are asked for once more at once: words get lost too
KEY_AGAIN = 0.5  # s until a key frame is asked for once more, and a round trip
FREEZE = 0.5  # s between two frames that people see as standing still
MAX_BROKEN = 200  # pieces that cannot be: the stream is given up
MAX_USELESS = 10_000
"""Pieces without a frame that they make whole, 11 MB: given up as well. No sharer comes near:
on a path that loses so much, its rate is a hundredth of that."""


class Watching:
    """One stream that we watch."""

    def __init__(self, member: Member, stream: int, now: float) -> None:
        self.member = member
        self.stream = stream
        self.rtt = 0.05
        """s, as the path measures it; the engine keeps it up to date."""
        self.frames = 0
        self.freezes = 0
        """How often more than ``FREEZE`` passed between two frames."""
        self.broken = 0
        """Pieces that cannot be, from a sender that sealed them."""
        self._useless = 0
        """Pieces since a frame was whole."""
        self._reassembly = Reassembly()
        self._fresh: list[tuple[int, Arrival]] = []
        """(generation, arrival) not yet reported."""
        self._told: deque[tuple[int, Arrival]] = deque(maxlen=MAX_ARRIVALS)
        """Reported once; said again the next time."""
        self._wanted: list[Wanted] = []
        self._said: list[Wanted] = []
        """Asked for with the last feedback, and from far with the next one again."""
        self._generation = 0
        self._report_at = now + REPORT
        self._reported_at = now
        self._key_at = now + KEY_AGAIN  # the sharer makes one for who comes
        self._last_frame: float | None = None

    @property
    def hopeless(self) -> bool:
        """Whether the sharer sends what no sharer sends: watch no longer."""
        return self.broken >= MAX_BROKEN or self._useless >= MAX_USELESS

    @property
    def lost(self) -> int:
        """Frames that were given up."""
        return self._reassembly.lost

    @property
    def waiting(self) -> int:
        """Bytes of frames that are not whole."""
        return self._reassembly.waiting

    # World in

    def receive(self, opened: Opened, now: float) -> list[Whole]:
        """One opened packet of the stream; frames that can be decoded now."""
        try:
            piece = read_piece(opened.media.payload)
        except RemoteProtocolError:
            self.broken += 1
            return []
        generation = opened.generation
        self._generation = max(self._generation, generation)
        self._fresh.append((generation, (opened.ctr, now)))
        if len(self._fresh) == MANY:
            self._report_at = min(self._report_at, now)
        self._useless += 1
        if not self._reassembly.take(piece, opened.media.timestamp, opened.generation, now):
            return []
        whole = self._reassembly.ready()
        for _ in whole:
            self._count(now)
        return whole

    def _count(self, now: float) -> None:
        self.frames += 1
        self._useless = 0
        if self._last_frame is not None and now - self._last_frame > FREEZE:
            self.freezes += 1
        self._last_frame = now

    # Out

    @property
    def hurried(self) -> bool:
        """Whether ``next_time`` may be sooner than before the last piece came."""
        return self._reassembly.troubled or len(self._fresh) >= MANY

    def feedback(self, now: float) -> list[Feedback]:
        """What the sharer should hear now."""
        if now - self._reported_at >= HURRY:
            self._wanted += self._reassembly.wanted(now, self.rtt)
        due = now >= self._report_at and bool(self._fresh)
        if not due and not self._wanted:
            return []
        told, fresh, new = list(self._told), self._fresh, self._wanted
        wanted, self._fresh, self._wanted = new + self._said, [], []
        self._said = new if self.rtt >= FAR else []
        self._told = deque(fresh, maxlen=MAX_ARRIVALS)
        self._reported_at, self._report_at = now, now + REPORT
        found: list[Feedback] = []
        generations = {generation for generation, _ in (*told, *fresh)} | {self._generation}
        for generation in sorted(generations):
            arrivals = [one for its, one in (*told, *fresh) if its == generation]
            last = generation == self._generation
            found += fit(self.stream, generation, arrivals, wanted if last else ())
        return found

    def key_wanted(self, now: float) -> bool:
        """Whether to ask for a key frame now."""
        if not self._reassembly.stuck(now, self.rtt) or now < self._key_at:
            return False
        self._key_at = now + KEY_AGAIN + self.rtt
        return True

    def next_time(self, now: float) -> float:
        """When ``feedback`` and ``key_wanted`` should be called next."""
        due = self._report_at if self._fresh else float("inf")
        due = min(due, self._reassembly.next_timer(now))
        return min(due, self._key_at if self._reassembly.delivered is None else float("inf"))


def digest_of(whole: Whole) -> bytes:
    """What the sharer's attestation says of a frame (``Pictures.whole`` takes it)."""
    one = whole.picture
    return picture_digest(one.number, one.timestamp, one.key, one.codec, one.body())
