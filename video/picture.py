"""Sizes, rates and sameness of pictures.

A picture to be encoded is I420: a plane of brightness, then two of colour with
half its width and height, all in limited range. So every size here is even.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vc_core.record import record
from video.pipe import MAX_SIDE, MOST_PIXELS, MOST_SIDE

# Implementation
LEAST_SIDE = 16  # pixels; encoders refuse less
MOST_FPS = 120
FPS = 30  # where nobody asks for another
USUAL_BITRATE = 5_000_000
"""Bit/s of 1080p at 30 per second; a page of text is readable with it while it scrolls.
Small pictures need more for each pixel, fast ones less for each picture."""
LEAST_BITRATE, MOST_BITRATE = 50_000, 50_000_000  # bit/s
PIXELS_PER_CORE = 1920 * 1080 * 60
"""Pixels per second that one core still encodes in software, with half of it left."""
STANDARD_LINES = 576
"""Up to here pictures have the colours of BT.601, above of BT.709, as players guess."""
_BAND = 1 << 16  # 64-bit words that are compared at once


@record(slots=True)
class Size:
    """Pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height


def even(number: float) -> int:
    """The next even number below, at least ``LEAST_SIDE``."""
    return min(MAX_SIDE - 1, max(LEAST_SIDE, 2 * int(number / 2 + 1e-6)))


def fit(source: Size, box: Size) -> Size:
    """The largest even size with the proportions of ``source`` that lies in ``box``.

    A box that lies is stood up for a source that stands: 1080p means 1080 pixels of the shorter
    side. A side of 0 bounds nothing. Nothing is ever enlarged (but what is tiny), nothing is larger
    than viewers decode; an odd source loses a row or a column.
    """
    if source.width < source.height and 0 < box.height < box.width:
        box = Size(box.height, box.width)
    side, pixels = max(source.width, source.height), source.pixels
    ratios = [1.0, MOST_SIDE / side, math.sqrt(MOST_PIXELS / pixels)]
    if box.width:
        ratios.append(box.width / source.width)
    if box.height:
        ratios.append(box.height / source.height)
    ratio = min(ratios)
    return Size(even(source.width * ratio), even(source.height * ratio))


def rate(asked: float, source: float = 0) -> float:
    """Pictures per second: what was asked for (0: the usual), not more than the source gives."""
    wanted = asked if math.isfinite(asked) and asked > 0 else min(FPS, source or FPS)
    return min(MOST_FPS, max(1.0, min(wanted, source) if source else wanted))


def usual_bitrate(size: Size, fps: float) -> int:
    """Bit/s for a picture of that size, where nobody asks for another."""
    share = (size.pixels / (1920 * 1080)) ** 0.75 * math.sqrt(fps / 30)
    return within(round(USUAL_BITRATE * share))


def within(bitrate: int) -> int:
    """The nearest bitrate that is obeyed."""
    return min(MOST_BITRATE, max(LEAST_BITRATE, bitrate))


def too_much_for(cores: int, size: Size, fps: float) -> bool:
    """Whether software would need more than half of the machine."""
    return size.pixels * fps * 2 > PIXELS_PER_CORE * cores


def is_standard(size: Size) -> bool:
    """Whether its colours are those of BT.601 (else BT.709)."""
    return size.height <= STANDARD_LINES


def same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two buffers of the same length hold the same; stops at the first difference."""
    if one.shape != other.shape:
        return False
    whole = len(one) // 8 * 8
    left, right = one[:whole].view(np.uint64), other[:whole].view(np.uint64)
    for begin in range(0, len(left), _BAND):
        if not np.array_equal(left[begin : begin + _BAND], right[begin : begin + _BAND]):
            return False
    return one[whole:].tobytes() == other[whole:].tobytes()
