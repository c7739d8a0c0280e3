"""Half blocks: a picture as the letters of a terminal, two pixels in each cell.

    Cells(24, 80, Depth.TRUE).draw(rgb, left=0, top=0)  →  bytes for the terminal

Pure. The upper half of a cell is the letter ▀ in the foreground's colour, the lower
half is the background; a cell of one colour is a blank, which is shorter.

Rule 1: only cells that differ visibly from what stands there are written; what the
        noise of a codec moves by less than ``TOLERANCE`` is left alone.
Rule 2: nothing is computed cell by cell in Python: colours become digits by tables,
        and a mask of the bytes that are wanted leaves them in their order.
"""

from __future__ import annotations

from enum import Enum
from functools import cache

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Specification
BEGIN = b"\x1b[?2026h\x1b7"
"""Synchronized output where the terminal knows it; the cursor is remembered."""
END = b"\x1b[0m\x1b8\x1b[?2026l"
UPPER = "▀".encode()
RAMP = b" .:-=+*#%@"  # dark to bright, without colours

# Implementation
TOLERANCE = 6  # of 255, in any channel of either half
FLAT = 6  # of 255: halves nearer than this are one colour
UNKNOWN = -1000  # a colour that differs from all
LEVELS = (0, 95, 135, 175, 215, 255)  # of the colour cube of 256 colours
GREYS = 24  # from 232 on
MOVE = b"\x1b[000;000H"


class Depth(Enum):
    """Which colours the terminal has."""

    TRUE = "24 bits"
    FEW = "256 colours"
    NONE = "no colours: letters from dark to bright"


class Cells:
    """What stands in a rectangle of cells, and how it becomes the next picture."""

    def __init__(self, rows: int, columns: int, depth: Depth) -> None:
        self.rows, self.columns, self.depth = rows, columns, depth
        self._shown = np.full((rows, columns, 6), UNKNOWN, np.int16)

    def forget(self, where: Mask | None = None) -> None:
        """Somebody else has written there (all of it, or where the mask says)."""
        self._shown[... if where is None else where] = UNKNOWN

    def draw(self, rgb: Bytes, left: int, top: int, covered: Mask | None = None) -> bytes:
        """The bytes that make ``rgb`` (2·rows, columns, 3) stand at ``left``, ``top``.

        Cells that are ``covered`` by something else are left alone and forgotten.
        Empty when nothing has changed.
        """
        pair = np.concatenate((rgb[0::2], rgb[1::2]), axis=2).astype(np.int16)
        if covered is not None:
            self.forget(covered)
        changed = (np.abs(pair - self._shown) > TOLERANCE).any(axis=2)
        if covered is not None:
            changed &= ~covered
        y, x = np.nonzero(changed)
        if not len(y):
            return b""
        new = pair[y, x]
        self._shown[y, x] = new
        moved = np.ones(len(y), bool)
        moved[1:] = (y[1:] != y[:-1]) | (x[1:] != x[:-1] + 1)
        cells, wanted = self._cells(new.astype(np.uint8))
        places, moves = _moves(y + top + 1, x + left + 1, moved)
        body = np.concatenate((places, cells), axis=1)
        return BEGIN + body[np.concatenate((moves, wanted), axis=1)].tobytes() + END

    def _cells(self, new: Bytes) -> tuple[Bytes, Mask]:
        """Colour and letter of each cell: (bytes, which of them are wanted)."""
        if self.depth is Depth.NONE:
            bright = new.astype(np.uint16) @ np.array((30, 59, 11) * 2, np.uint16) // 200
            letters = np.frombuffer(RAMP, np.uint8)[bright * len(RAMP) // 256]
            return letters[:, None], np.ones((len(new), 1), bool)
        upper, lower = new[:, :3], new[:, 3:]
        if self.depth is Depth.FEW:
            flat = np.abs(upper.astype(np.int16) - lower).max(axis=1) < FLAT
            upper, lower = _few(upper), _few(lower)
            flat |= (upper == lower).all(axis=1)
        else:
            flat = np.abs(upper.astype(np.int16) - lower).max(axis=1) < FLAT
        return _painted(upper, lower, flat)


def _painted(upper: Bytes, lower: Bytes, flat: Mask) -> tuple[Bytes, Mask]:
    """``ESC [ fore ; back m`` and a letter; colours that already hold are left out."""
    fore, fore_wanted = _colour(upper, b"3")
    back, back_wanted = _colour(lower, b"4")
    count = len(flat)
    new_back = np.ones(count, bool)
    new_back[1:] = (lower[1:] != lower[:-1]).any(axis=1)
    new_fore = ~flat & (upper != _before(upper, ~flat)).any(axis=1)
    new_fore[np.flatnonzero(~flat)[:1]] = True
    either, both = new_fore | new_back, new_fore & new_back
    fixed = np.frombuffer(b"\x1b[;m" + UPPER + b" ", np.uint8)
    parts = (
        (_each(fixed[0:2], count), _twice(either, 2)),
        (fore, fore_wanted & new_fore[:, None]),
        (_each(fixed[2:3], count), _twice(both, 1)),
        (back, back_wanted & new_back[:, None]),
        (_each(fixed[3:4], count), _twice(either, 1)),
        (_each(fixed[4:7], count), _twice(~flat, 3)),
        (_each(fixed[7:8], count), _twice(flat, 1)),
    )
    cells = np.concatenate([bytes_ for bytes_, _ in parts], axis=1)
    return cells, np.concatenate([wanted for _, wanted in parts], axis=1)


def _before(colours: Bytes, used: Mask) -> Bytes:
    """For each cell the colour of the last cell before it that used one."""
    index = np.where(used, np.arange(len(used)), 0)
    last = np.maximum.accumulate(index)
    return colours[np.concatenate(([0], last[:-1]))]


def _colour(colours: Bytes, ground: bytes) -> tuple[Bytes, Mask]:
    """``38;2;R;G;B`` or ``38;5;N`` (48 for the background), without leading zeros."""
    digits, wanted = _digits()
    count, channels = colours.shape
    head = np.frombuffer(ground + (b"8;2" if channels == 3 else b"8;5"), np.uint8)
    parts, masks = [_each(head, count)], [np.ones((count, len(head)), bool)]
    semicolon, always = _each(np.frombuffer(b";", np.uint8), count), np.ones((count, 1), bool)
    for channel in range(channels):
        parts += [semicolon, digits[colours[:, channel]]]
        masks += [always, wanted[colours[:, channel]]]
    return np.concatenate(parts, axis=1), np.concatenate(masks, axis=1)


def _moves(row: NDArray[np.intp], column: NDArray[np.intp], moved: Mask) -> tuple[Bytes, Mask]:
    """``ESC [ row ; column H`` where a run begins; both count from 1, up to 999."""
    count = len(row)
    move = _each(np.frombuffer(MOVE, np.uint8), count).copy()
    for value, at in ((row, 2), (column, 6)):
        for place, ten in enumerate((100, 10, 1)):
            move[:, at + place] += (value // ten % 10).astype(np.uint8)
    return move, _twice(moved, len(MOVE))


def _each(piece: Bytes, count: int) -> Bytes:
    return np.broadcast_to(piece, (count, len(piece)))


def _twice(mask: Mask, width: int) -> Mask:
    return np.broadcast_to(mask[:, None], (len(mask), width))


@cache
def _digits() -> tuple[Bytes, Mask]:
    """The decimal digits of 0 to 255, and which of the three are wanted."""
    numbers = np.arange(256)
    digits = np.stack([numbers // ten % 10 for ten in (100, 10, 1)], axis=1) + ord("0")
    wanted = np.stack([numbers >= least for least in (100, 10, 0)], axis=1)
    return digits.astype(np.uint8), wanted


def _few(colours: Bytes) -> Bytes:
    """The nearest of 256 colours: (n, 3) to (n, 1)."""
    five = (colours >> 3).astype(np.intp)
    index: NDArray[np.intp] = five[:, 0] << 10 | five[:, 1] << 5 | five[:, 2]
    return _nearest()[index, None]


@cache
def _nearest() -> Bytes:
    """For 5 bits of each channel the nearest of cube and greys."""
    axis = (np.arange(32) * 255 + 15) // 31
    wanted = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    levels = np.array(LEVELS)
    nearest = np.abs(axis[:, None] - levels).argmin(axis=1)
    cube = np.stack(np.meshgrid(nearest, nearest, nearest, indexing="ij"), axis=-1).reshape(-1, 3)
    cube_error = ((wanted - levels[cube]) ** 2).sum(axis=1)
    grey = np.clip((wanted.mean(axis=1) - 3) // 10, 0, GREYS - 1).astype(int)
    grey_error = ((wanted - (8 + 10 * grey)[:, None]) ** 2).sum(axis=1)
    index = 16 + cube @ np.array((36, 6, 1))
    found: Bytes = np.where(grey_error < cube_error, 232 + grey, index).astype(np.uint8)
    return found
