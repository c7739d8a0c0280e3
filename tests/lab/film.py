"""What a viewer recorded, laid beside what was on the sharer's screen.

The screen is a ``tests.video.desk``: its mark says which picture it is and when it was
drawn, and what stood below can be drawn again from that. So every picture of a recording
has an original.

``ssim`` is the mean structural similarity of Wang, Bovik, Sheikh and Simoncelli (2004) of
brightness, in windows of 8 x 8 that lie 4 apart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.video.desk import PAGES
from vc_core.record import record
from video.pattern import Luma, Mark, draw_mark, mark_height, page, read_mark

# Specification
K1, K2, RANGE = 0.01, 0.03, 255  # Wang et al. 2004
WINDOW, STEP = 8, 4
BLACK, WHITE = 16, 235  # of limited range (BT.709), which a screen's 0 to 255 become

Numbers = NDArray[np.float64]


def _windows(values: Numbers) -> Numbers:
    """Sums over all windows."""
    height, width = (side // STEP * STEP for side in values.shape)
    cut = values[:height, :width].reshape(height // STEP, STEP, width // STEP, STEP)
    small: Numbers = cut.sum(axis=(1, 3))
    return small[:-1, :-1] + small[1:, :-1] + small[:-1, 1:] + small[1:, 1:]


def ssim(one: Luma, other: Luma) -> float:
    """How alike two pictures of one size are: 1 for the same."""
    x, y = one.astype(np.float64), other.astype(np.float64)
    count = WINDOW * WINDOW
    sum_x, sum_y = _windows(x), _windows(y)
    mean_x, mean_y = sum_x / count, sum_y / count
    vary_x = (_windows(x * x) - sum_x * mean_x) / (count - 1)
    vary_y = (_windows(y * y) - sum_y * mean_y) / (count - 1)
    both = (_windows(x * y) - sum_x * mean_y) / (count - 1)
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    shape = (2 * both + c2) / (vary_x + vary_y + c2)
    return float((light * shape).mean())


class Original:
    """What ``tests.video.desk.Scrolling`` shows, picture by picture."""

    def __init__(self, width: int, height: int, rows: int) -> None:
        """``rows``: by so many it scrolls from one picture to the next."""
        self._size, self._rows = (height, width), rows
        self._sheet = page(width, height * PAGES)

    def picture(self, mark: Mark) -> Luma:
        """The brightness that a perfect codec would show."""
        height, width = self._size
        begin = mark.number * self._rows % (height * PAGES - height)
        top = mark_height(height)
        drawn = np.empty((height, width), np.uint8)
        drawn[top:] = self._sheet[begin : begin + height - top]
        draw_mark(drawn, mark)
        shades = np.rint(BLACK + np.arange(256) * ((WHITE - BLACK) / 255)).astype(np.uint8)
        picture: Luma = shades[drawn]
        return picture


@record
class Seen:
    """One picture of a recording."""

    number: int
    drawn: float
    """When it was drawn, on the monotonic clock."""
    captured: float
    """When it was taken, as the viewer believes, on the same clock."""
    likeness: float | None = None
    """SSIM, where it was looked at."""


@dataclass
class Film:
    """A recording, looked through."""

    pictures: list[Seen]
    unread: int = 0
    """Pictures whose mark could not be read."""

    @classmethod
    def read(cls, path: Path, original: Original, every: int = 20) -> Film:
        """``every``: so many pictures are looked at as one for their likeness."""
        film = cls([])
        unix = time.time() - time.monotonic()
        with av.open(str(path)) as container:
            begun = datetime.fromisoformat(container.metadata["creation_time"]).timestamp() - unix
            for count, frame in enumerate(container.decode(video=0)):
                planes = np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)
                luma = planes[: frame.height]
                mark = read_mark(luma)
                if mark is None:
                    film.unread += 1
                    continue
                looked = count % every == every - 1
                likeness = ssim(luma, original.picture(mark)) if looked else None
                assert frame.time is not None
                seen = Seen(mark.number, mark.clock / 1e6, begun + frame.time, likeness)
                film.pictures.append(seen)
        return film

    def between(self, begin: float, end: float) -> Film:
        """What was drawn between two monotonic times."""
        return Film([one for one in self.pictures if begin <= one.drawn <= end])

    @property
    def likenesses(self) -> Sequence[float]:
        """Of those that were looked at."""
        return [one.likeness for one in self.pictures if one.likeness is not None]

    def missing(self) -> float:
        """The share of what was drawn between its first and last picture that is not in it."""
        numbers = {one.number for one in self.pictures}
        if not numbers:
            return 1.0
        return 1 - len(numbers) / (max(numbers) - min(numbers) + 1)

    def standstills(self, longest: float) -> list[float]:
        """Seconds of each time longer than that in which nothing new was seen."""
        times = [one.drawn for one in self.pictures]
        return [b - a for a, b in pairwise(times) if b - a > longest]

    def rate(self, begin: float, end: float) -> float:
        """Pictures per second drawn between two monotonic times."""
        return len({one.number for one in self.between(begin, end).pictures}) / (end - begin)
