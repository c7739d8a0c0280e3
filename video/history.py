"""History: frames on their way, each piece sealed once, however often it is sent.

A piece is sealed when it first leaves, so that sealing is spread over time like
sending. What is sent again, and what other viewers get, are the same bytes.

Rule: bounded by age and by bytes; what was forgotten cannot be asked for.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from vc_core.ids import Member
from vc_core.keyring import SealedPiece
from video.fragment import Fragments, Picture
from video.parity import BLOCK, ROWS

# Implementation
LIFE = 1.5  # s that a frame can be asked for
MAX_BYTES = 8 << 20  # bytes of frames kept for one stream
SPARED = 0.01  # share of blocks that may stay broken in spite of parity …
NEAR_SPARED = 0.03  # … and where asking again brings them soon
LITTLE_LOSS = 0.005  # below, parity costs more than it saves
NEAR = 0.04  # s of round trip from which asking again can be seen
FAR = 0.08  # s of round trip from which it takes too long
LOSSY = 0.05  # loss from which parity is worth it on any path

Seal = Callable[[int, int, bytes, float], SealedPiece | None]
"""(stream, timestamp, payload, now) -> a sealed datagram."""


@dataclass
class OnItsWay:
    """One frame."""

    picture: Picture
    second: bool
    """Of the second encoding."""
    pushed: float
    fragments: Fragments
    sealed: dict[tuple[bool, int], SealedPiece] = field(default_factory=dict)
    """By (parity, index)."""
    sent: dict[tuple[Member, int], float] = field(default_factory=dict)
    """When a data piece last left for a viewer."""
    cost: int = 0


class History:
    """Of one stream."""

    def __init__(self, stream: int, seal: Seal) -> None:
        self._stream = stream
        self._seal = seal
        self._frames: OrderedDict[int, OnItsWay] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, picture: Picture, now: float, *, second: bool) -> OnItsWay:
        """A new frame; ``LocalProtocolError`` if it cannot be sent."""
        frame = OnItsWay(picture, second, now, Fragments(picture), cost=2 * len(picture.data))
        self._frames[picture.number] = frame
        self._bytes += frame.cost
        while len(self._frames) > 1 and (
            self._bytes > MAX_BYTES or now - next(iter(self._frames.values())).pushed > LIFE
        ):
            self._bytes -= self._frames.popitem(last=False)[1].cost
        return frame

    def find(self, number: int) -> OnItsWay | None:
        """A frame that can still be sent again."""
        return self._frames.get(number)

    def sealed(self, frame: OnItsWay, parity: bool, index: int, now: float) -> SealedPiece | None:
        """The datagram of a piece; sealed now if it never left before."""
        known = frame.sealed.get((parity, index))
        if known is None:
            fragments = frame.fragments
            payload = fragments.parity(index) if parity else fragments.data(index)
            known = self._seal(self._stream, frame.picture.timestamp, payload, now)
            if known is not None:
                frame.sealed[parity, index] = known
        return known


def rows_for(count: int, loss: float, rtt: float) -> int:
    """Parity rows for each block of a frame of ``count`` pieces.

    So many that a block can be restored but for a share of ``SPARED``, or ``NEAR_SPARED``;
    none where asking again is quick or nothing is lost.
    """
    if loss < LITTLE_LOSS or (rtt < NEAR and loss < LOSSY):
        return 0
    data, spared = min(count, BLOCK), SPARED if rtt >= FAR else NEAR_SPARED
    for rows in range(1, ROWS):
        if _broken(data + rows, rows, min(loss, 0.5)) <= spared:
            return rows
    return ROWS


def _broken(pieces: int, rows: int, loss: float) -> float:
    """Probability that more than ``rows`` of ``pieces`` are lost (binomial)."""
    whole = sum(
        math.comb(pieces, lost) * loss**lost * (1 - loss) ** (pieces - lost)
        for lost in range(rows + 1)
    )
    return 1.0 - whole
