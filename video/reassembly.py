"""Reassembly: pieces come in any order, frames leave in the order in which they decode.

    waiting   pieces of frames that are not whole, and whole frames whose need is missing
    leaves    a key frame at once (older ones are forgotten), any other right after the
              frame that it needs

Rule 1: what waits is bounded by frames, by bytes and by the pieces that frames claim to
        have; the oldest gives way, and then only a key frame helps.
Rule 2: what contradicts the first piece of its frame is dropped.
Rule 3: a frame that keeps the others waiting for too long is given up.
Rule 4: a piece costs its own block at most: parity that restores nothing is tried once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from vc_core.feedback import EVERY_PIECE, MAX_WANTED, Wanted
from vc_core.record import record
from video.fragment import PIECE_SIZE, SIZE_LAYOUT, Picture, Piece
from video.parity import blocks_of, restore

# Implementation
MAX_FRAMES = 96  # frames that wait
MAX_BYTES = 8 << 20  # bytes that wait
MAX_CLAIMED = 4096  # pieces of frames that are not whole, whether they came or not
MAX_UNSEEN = 256  # frames of which nothing came, that are remembered as asked for
REORDER = 0.008  # s that a piece may come later than those sent after it
TAIL = 0.06  # s of silence after which the rest of a frame counts as missing
ASK_AGAIN = 1.25  # round trips until a piece is asked for once more
ASK_PAUSE = 0.03  # s more
ASKED_AT_MOST = 6  # times that one piece is asked for
PATIENCE = (0.35, 1.2)  # s that a frame may keep others waiting, at least and at most
GUESSED = 8  # frames before one that came, of which nothing came
RESTART = 1024  # a key frame this far back begins the stream anew


Asked = tuple[int, float]
"""How often something was asked for, and when last."""


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
    spoilt: set[int] = field(default_factory=set)
    """Blocks whose parity restored nothing."""
    asked: dict[int, Asked] = field(default_factory=dict)
    """What was asked for, by piece."""
    size: int = 0
    highest: int = -1
    gap_at: float = float("inf")
    """When a piece came that was sent after one that is missing."""
    over_at: float = float("inf")
    """When a piece of a later frame came."""
    body: bytes | None = None

    def __post_init__(self) -> None:
        self.blocks = blocks_of(self.first.count)

    def contradicts(self, piece: Piece, timestamp: int) -> bool:
        """Whether a piece says anything else of the frame than the first one did."""
        first = self.first
        same = (
            piece.count == first.count and piece.codec == first.codec and piece.back == first.back
        )
        return not same or timestamp != self.timestamp

    def take(self, piece: Piece, now: float) -> int:
        """Keep a piece; how many bytes that costs (less than 0: the frame is whole)."""
        self.last = now
        before, blocks = self.size, self.blocks
        if piece.parity:
            row, block = divmod(piece.index, blocks)
            rows = self.rows.setdefault(block, {})
            if row not in rows and block not in self.spoilt:
                rows[row] = piece.data
                self.size += len(piece.data)
            if len(self.pieces) < self.first.count:
                self.gap_at = min(self.gap_at, now)
        else:
            index = piece.index
            block = index % blocks
            self._keep(index, piece.data)
            if index > self.highest:
                if index > self.highest + 1:
                    self.gap_at = min(self.gap_at, now)
                self.highest = index
        if self.rows.get(block):
            self._complete(block, blocks)
        if len(self.pieces) == self.first.count:
            self._join()
        return self.size - before

    def _keep(self, index: int, data: bytes) -> None:
        if index not in self.pieces:
            self.pieces[index] = data
            self.size += len(data)

    def _complete(self, block: int, blocks: int) -> None:
        """Make up what a block lacks; rows that do not do so never will."""
        indices, rows = range(block, self.first.count, blocks), self.rows[block]
        present = {at: self.pieces[i] for at, i in enumerate(indices) if i in self.pieces}
        if len(indices) > len(present) + len(rows):
            return
        if len(present) < len(indices):
            made = restore(len(indices), present, rows)
            if made and all(self._fits(indices[at], data) for at, data in made.items()):
                for at, data in made.items():
                    self._keep(indices[at], data)
            else:
                self.spoilt.add(block)
        self.size -= sum(map(len, rows.values()))
        rows.clear()

    def _fits(self, index: int, data: bytes) -> bool:
        last = index == self.first.count - 1
        return len(data) == PIECE_SIZE or (last and 0 < len(data) <= PIECE_SIZE)

    def _join(self) -> None:
        self.body = b"".join([self.pieces[one] for one in range(self.first.count)])
        self.pieces.clear()
        self.rows.clear()
        self.asked.clear()
        self.size = len(self.body)

    def needed(self) -> Iterator[int]:
        """Missing data pieces without which the frame cannot be made whole."""
        spare = {block: len(rows) for block, rows in self.rows.items() if rows}
        for one in range(self.first.count):
            if one in self.pieces:
                continue
            if spare and spare.get(one % self.blocks, 0) > 0:
                spare[one % self.blocks] -= 1
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


@record
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
        self._claimed = 0
        """Pieces of all frames that are not whole."""
        self._asked: dict[int, Asked] = {}
        """Frames of which nothing came."""
        self.lost = 0
        """Frames that were given up."""
        self.troubled = False
        """Whether what waits is more than one frame whose pieces come in order."""

    @property
    def waiting(self) -> int:
        """Bytes that wait."""
        return self._bytes

    # World in

    def take(self, piece: Piece, timestamp: int, generation: int, now: float) -> bool:
        """One piece; ignored when it is late, doubled or contradicts its frame.

        Whether its frame is whole now, so that something may be ``ready``.
        """
        number = piece.frame
        if self.delivered is not None and number <= self.delivered:
            if not piece.key or number > self.delivered - RESTART:
                return False
            self._give_up()
        frame = self._frames.get(number)
        if frame is None:
            frame = self._begin(piece, timestamp, generation, now)
        elif frame.body is not None or frame.contradicts(piece, timestamp):
            return False
        self._bytes += frame.take(piece, now)
        self.troubled |= frame.gap_at <= now
        if frame.body is not None:
            self._claimed -= frame.first.count
        self._bound()
        return frame.body is not None

    def _begin(self, piece: Piece, timestamp: int, generation: int, now: float) -> Partial:
        number = piece.frame
        frame = self._frames[number] = Partial(piece, timestamp, now, now, generation)
        self._claimed += piece.count
        needed = self.delivered is not None and number - piece.back == self.delivered
        self.troubled = len(self._frames) > 1 or not (piece.key or needed)
        if number > self._newest:
            self._newest = number
            for other in self._frames.values():
                if other is not frame:
                    other.over_at = min(other.over_at, now)
        else:
            frame.over_at = now
        return frame

    def _bound(self) -> None:
        while self._frames and (
            len(self._frames) > MAX_FRAMES or self._bytes > MAX_BYTES or self._claimed > MAX_CLAIMED
        ):
            self._drop(min(self._frames))
            self.delivered = None
            self.lost += 1

    def _drop(self, number: int) -> None:
        frame = self._frames.pop(number)
        self._bytes -= frame.size
        self._claimed -= frame.first.count if frame.body is None else 0

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
        if found and self._asked:
            last = found[-1].picture.number
            self._asked = {number: a for number, a in self._asked.items() if number > last}
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
        before = now - ASK_AGAIN * rtt - ASK_PAUSE
        for number, index, asked in self._missing(now):
            key = number if index == EVERY_PIECE else index
            times, last = asked.get(key, (0, float("-inf")))
            if times < ASKED_AT_MOST and last <= before:
                asked[key] = times + 1, now
                found.append(Wanted(number, index))
                if len(found) == MAX_WANTED:
                    break
        while len(self._asked) > MAX_UNSEEN:
            del self._asked[next(iter(self._asked))]
        return found

    def _missing(self, now: float) -> Iterator[tuple[int, int, dict[int, Asked]]]:
        """Frame, piece, and where it is remembered as asked for."""
        keys = (number for number, one in self._frames.items() if one.first.key)
        least = min(keys, default=None) if self.delivered is None else 0
        for number in sorted(self._frames):
            if least is None or number < least:
                continue
            frame = self._frames[number]
            for one in self._unseen(number, frame, now):
                yield one, EVERY_PIECE, self._asked
            if frame.body is None:
                for one in self._late(frame, now):
                    yield number, one, frame.asked

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
            yield from (one for one in frame.needed() if one < frame.highest)

    def next_timer(self, now: float) -> float:
        """When something may have to be asked for or given up; infinity for never."""
        if not self._frames:
            return float("inf")
        silent_at = now if self.troubled else next(iter(self._frames.values())).last + TAIL
        return max(silent_at, now + REORDER)
