"""Reassembly: pieces come in any order, frames leave in the order in which they decode.

    waiting   pieces of frames that are not whole, and whole frames whose need is missing
    leaves    a key frame at once (older ones are forgotten), any other right after the
              frame that it needs

Rule 1: memory is bounded by frames and by bytes; the oldest gives way, and then
        only a key frame helps.
Rule 2: what contradicts the first piece of its frame is dropped.
Rule 3: a frame that keeps the others waiting for too long is given up.
Rule 4: work is bounded as well: one piece restores one block at most, and each block is
        tried once; a look at what is missing goes no further than ``MAX_LOOKED_AT``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile

from vc_core.feedback import EVERY_PIECE, MAX_WANTED, Wanted
from video.fragment import PIECE_SIZE, SIZE_LAYOUT, Picture, Piece
from video.parity import blocks_of, restore

# Implementation
MAX_FRAMES = 96  # frames that wait
MAX_BYTES = 8 << 20  # bytes that wait
REORDER = 0.008  # s that a piece may come later than those sent after it
TAIL = 0.06  # s of silence after which the rest of a frame counts as missing
ASK_AGAIN = 1.25  # round trips until a piece is asked for once more
ASK_PAUSE = 0.03  # s more
ASKED_AT_MOST = 6  # times that one piece is asked for
PATIENCE = (0.35, 1.2)  # s that a frame may keep others waiting, at least and at most
MAX_LOOKED_AT = 1000  # missing pieces of which it is thought whether to ask for them: 1 ms
GUESSED = 8  # frames before one that came, of which nothing came
RESTART = 1024  # a key frame this far back begins the stream anew


@dataclass
class Partial:
    """One frame that waits."""

    first: Piece
    timestamp: int
    since: float
    last: float
    generation: int = 0
    pieces: dict[int, bytes] = field(default_factory=dict)
    rows: dict[int, dict[int, bytes]] = field(default_factory=dict)
    """Parity by block and row."""
    size: int = 0
    highest: int = -1
    gap_at: float = float("inf")
    """When a piece came that was sent after one that is missing."""
    over_at: float = float("inf")
    """When a piece of a later frame came."""
    body: bytes | None = None
    _here: Counter[int] = field(default_factory=Counter)
    """Data pieces by block."""
    _tried: set[int] = field(default_factory=set)
    """Blocks that parity was to restore; what failed once is not tried again."""

    def take(self, piece: Piece, now: float) -> int:
        """Keep a piece; how many bytes that costs (less than 0: the frame is whole)."""
        self.last = now
        before = self.size
        if piece.parity:
            row, block = divmod(piece.index, self.blocks)
            rows = self.rows.setdefault(block, {})
            if row not in rows:
                rows[row] = piece.data
                self.size += len(piece.data)
            if len(self.pieces) < self.first.count:
                self.gap_at = min(self.gap_at, now)
        else:
            block = piece.index % self.blocks
            if piece.index > self.highest + 1:
                self.gap_at = min(self.gap_at, now)
            self.highest = max(self.highest, piece.index)
            self._keep(piece.index, piece.data)
        self._complete(block)
        return self.size - before

    @property
    def blocks(self) -> int:
        """Into how many its pieces are dealt."""
        return blocks_of(self.first.count)

    def _keep(self, index: int, data: bytes) -> None:
        if index not in self.pieces:
            self.pieces[index] = data
            self.size += len(data)
            self._here[index % self.blocks] += 1

    def _complete(self, block: int) -> None:
        """A piece of a block came: perhaps its last one, or parity enough for the rest."""
        count, rows = self.first.count, self.rows.get(block, {})
        indices = range(block, count, self.blocks)
        here = self._here[block]
        if here < len(indices) <= here + len(rows) and block not in self._tried:
            self._tried.add(block)
            present = {at: self.pieces[i] for at, i in enumerate(indices) if i in self.pieces}
            for at, data in restore(len(indices), present, rows).items():
                self._restored(indices[at], data)
        if len(self.pieces) == count:
            self.body = b"".join(self.pieces[one] for one in range(count))
            self.pieces.clear()
            self.rows.clear()
            self.size = len(self.body)

    def _restored(self, index: int, data: bytes) -> None:
        last = index == self.first.count - 1
        if len(data) == PIECE_SIZE or (last and 0 < len(data) <= PIECE_SIZE):
            self._keep(index, data)

    def needed(self) -> Iterator[int]:
        """Missing data pieces without which the frame cannot be made whole."""
        blocks = self.blocks
        spare = {block: len(rows) for block, rows in self.rows.items() if block not in self._tried}
        for one in range(self.first.count):
            if one in self.pieces:
                continue
            if spare.get(one % blocks, 0) > 0:
                spare[one % blocks] -= 1
            else:
                yield one

    def picture(self) -> Picture | None:
        """The whole frame; None if it has no size."""
        body, first = self.body, self.first
        if body is None or len(body) <= SIZE_LAYOUT.size:
            return None
        width, height = SIZE_LAYOUT.unpack_from(body)
        data = body[SIZE_LAYOUT.size :]
        return Picture(first.frame, first.back, first.codec, self.timestamp, width, height, data)


@dataclass(frozen=True)
class Whole:
    """A frame that leaves, and the generation that its first piece was sealed under."""

    picture: Picture
    generation: int


class Reassembly:
    """Of one stream."""

    def __init__(self) -> None:
        self._frames: dict[int, Partial] = {}
        self._bytes = 0
        self._newest = -1
        """The highest frame of which anything came."""
        self.delivered: int | None = None
        """The last frame that left; None: only a key frame helps."""
        self._asked: dict[Wanted, tuple[int, float]] = {}
        self.lost = 0
        """Frames that were given up."""

    @property
    def waiting(self) -> int:
        """Bytes that wait."""
        return self._bytes

    # World in

    def take(self, piece: Piece, timestamp: int, generation: int, now: float) -> None:
        """One piece; ignored when it is late, doubled or contradicts its frame."""
        number = piece.frame
        if self.delivered is not None and number <= self.delivered:
            if not piece.key or number > self.delivered - RESTART:
                return
            self._give_up()
        frame = self._frames.get(number)
        if frame is None:
            frame = self._begin(piece, timestamp, generation, now)
        elif frame.first.head != piece.head or frame.timestamp != timestamp:
            return
        if frame.body is None:
            self._bytes += frame.take(piece, now)
        self._bound()

    def _begin(self, piece: Piece, timestamp: int, generation: int, now: float) -> Partial:
        number = piece.frame
        frame = self._frames[number] = Partial(piece, timestamp, now, now, generation)
        if number > self._newest:
            self._newest = number
            for other in self._frames.values():
                if other is not frame:
                    other.over_at = min(other.over_at, now)
        else:
            frame.over_at = now
        return frame

    def _bound(self) -> None:
        while self._frames and (len(self._frames) > MAX_FRAMES or self._bytes > MAX_BYTES):
            self._drop(min(self._frames))
            self.delivered = None
            self.lost += 1

    def _drop(self, number: int) -> None:
        self._bytes -= self._frames.pop(number).size

    def _give_up(self) -> None:
        """Only a key frame helps; those that may be one are kept."""
        self.delivered = None
        newest_key = max((n for n, one in self._frames.items() if one.first.key), default=None)
        for number in list(self._frames):
            if newest_key is None or number < newest_key:
                self._drop(number)
                self.lost += 1
        self._asked.clear()
        self._newest = max(self._frames, default=-1)

    # Out

    def ready(self) -> list[Whole]:
        """Frames that can be decoded now, in order."""
        found = []
        while (number := self._next()) is not None:
            frame = self._frames[number]
            picture = frame.picture()
            for older in [one for one in self._frames if one <= number]:
                self._drop(older)
            if picture is None:
                self.delivered = None
                continue
            self.delivered = number
            found.append(Whole(picture, frame.generation))
        if found:
            self._asked = {w: a for w, a in self._asked.items() if w.frame > self.delivered}  # type: ignore[operator]
        return found

    def _next(self) -> int | None:
        whole = [number for number, one in self._frames.items() if one.body is not None]
        keys = [number for number in whole if self._frames[number].first.key]
        if keys:
            return max(keys)
        for number in sorted(whole):
            if (
                self.delivered is not None
                and number - self._frames[number].first.back == self.delivered
            ):
                return number
        return None

    # What is missing

    def patience(self, rtt: float) -> float:
        """How long a frame may keep others waiting: a few tries, or a key frame is sooner."""
        least, most = PATIENCE
        return min(max(least, 4 * rtt + 0.15), most)

    def stuck(self, now: float, rtt: float) -> bool:
        """Whether only a key frame helps; gives up what has waited for too long."""
        oldest = min((one.since for one in self._frames.values()), default=now)
        if self._frames and self.delivered is not None and now - oldest >= self.patience(rtt):
            self._give_up()
        return self.delivered is None and not any(one.first.key for one in self._frames.values())

    def wanted(self, now: float, rtt: float) -> list[Wanted]:
        """Pieces to ask for now; each is asked for again when a round trip has passed."""
        found: list[Wanted] = []
        again = ASK_AGAIN * rtt + ASK_PAUSE
        for one in islice(self._missing(now), MAX_LOOKED_AT):
            times, last = self._asked.get(one, (0, float("-inf")))
            if times < ASKED_AT_MOST and now - last >= again:
                self._asked[one] = times + 1, now
                found.append(one)
                if len(found) == MAX_WANTED:
                    break
        return found

    def _missing(self, now: float) -> Iterator[Wanted]:
        keys = [number for number, one in self._frames.items() if one.first.key]
        if self.delivered is None and not keys:
            return
        first = min(keys, default=0)
        for number in sorted(self._frames):
            if self.delivered is None and number < first:
                continue
            frame = self._frames[number]
            for one in self._unseen(number, frame, now):
                yield Wanted(one, EVERY_PIECE)
            if frame.body is None:
                for one in self._late(frame, now):
                    yield Wanted(number, one)

    def _unseen(self, number: int, frame: Partial, now: float) -> list[int]:
        """Frames before this one, of which nothing came; guessed from its own need."""
        back = frame.first.back
        found: list[int] = []
        floor = self.delivered if self.delivered is not None else -1
        if now - frame.since < REORDER or not back:
            return []
        number -= back
        while number > floor and number not in self._frames and len(found) < GUESSED:
            found.append(number)
            number -= back
        return found[::-1]

    @staticmethod
    def _late(frame: Partial, now: float) -> Iterator[int]:
        if now - frame.over_at >= REORDER or now - frame.last >= TAIL:
            yield from frame.needed()
        elif now - frame.gap_at >= REORDER:
            yield from takewhile(lambda one: one < frame.highest, frame.needed())

    def next_timer(self, now: float, rtt: float) -> float:
        """When something may have to be asked for or given up; infinity for never."""
        if not self._frames:
            return float("inf")
        return now + REORDER
