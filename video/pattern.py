"""A moving desktop-like picture that says its number and its time in pixels.

    +--------------------------------------------------+
    | 4 rows of 24 cells, black or white:              |  MARK_SHARE of the height
    | u32 number | u56 clock in µs | u8 check          |
    +--------------------------------------------------+
    | a page of something like text, scrolling         |
    +--------------------------------------------------+

The cells grow with the picture, so that they can be read after scaling and
after a lossy codec. The check is a sum that a picture without a mark does not
pass by accident.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vc_core.record import record

Luma = NDArray[np.uint8]
"""Brightness, shape (height, width)."""

# Specification
ROWS, COLUMNS = 4, 24
NUMBER_BITS, CLOCK_BITS, CHECK_BITS = 32, 56, 8
MARK_SHARE = 9
"""The mark takes one such part of the height."""

# Implementation
WHITE, BLACK, PAPER = 235, 16, 225  # brightness in limited range
INSIDE = (0.35, 0.5, 0.65)  # of a cell: away from its neighbours
_GLYPH, _LINE = (12, 7), 20  # pixels of a letter, and from line to line
_PAGES = 3  # screens of text until it begins again


@record(slots=True)
class Mark:
    """What a picture says of itself."""

    number: int
    """The picture's number, modulo 2**32."""
    clock: int
    """µs of the drawer's monotonic clock, modulo 2**56."""


def _check(bits: int) -> int:
    """CRC-8 (polynomial 0x07), begun so that neither black nor white passes."""
    check = 0xA5
    for byte in bits.to_bytes((NUMBER_BITS + CLOCK_BITS) // 8, "big"):
        check ^= byte
        for _ in range(8):
            check = (check << 1 ^ 0x07 if check & 0x80 else check << 1) & 0xFF
    return check


def cells(mark: Mark) -> Luma:
    """The mark's cells, shape (4, 24), 0 or 1."""
    bits = (mark.number % 2**NUMBER_BITS) << CLOCK_BITS | mark.clock % 2**CLOCK_BITS
    whole = (bits << CHECK_BITS | _check(bits)).to_bytes(ROWS * COLUMNS // 8, "big")
    return np.unpackbits(np.frombuffer(whole, np.uint8)).reshape(ROWS, COLUMNS)


def mark_height(height: int) -> int:
    """Rows of pixels that the mark takes of a picture; even."""
    return max(ROWS * 2, height // MARK_SHARE // 2 * 2)


def draw_mark(picture: Luma, mark: Mark) -> None:
    """Draw the mark into the top of a picture."""
    height, width = mark_height(picture.shape[0]), picture.shape[1]
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    shades = np.where(cells(mark), np.uint8(WHITE), np.uint8(BLACK))
    picture[:height] = shades[rows][:, columns]


def read_mark(picture: Luma) -> Mark | None:
    """The mark of a picture's brightness, or None if it shows none."""
    height, width = mark_height(picture.shape[0]), picture.shape[1]
    if picture.shape[0] < height or width < COLUMNS:
        return None
    rows, columns = _inside(ROWS, height), _inside(COLUMNS, width)
    samples = picture[rows][:, columns].reshape(ROWS, len(INSIDE), COLUMNS, len(INSIDE))
    white = samples.mean(axis=(1, 3)) >= (WHITE + BLACK) / 2
    whole = int.from_bytes(np.packbits(white).tobytes(), "big")
    bits, check = whole >> CHECK_BITS, whole & (1 << CHECK_BITS) - 1
    if check != _check(bits):
        return None
    return Mark(bits >> CLOCK_BITS, bits & (1 << CLOCK_BITS) - 1)


def _inside(count: int, length: int) -> NDArray[np.intp]:
    """Where to look: some pixels in the middle of each of ``count`` parts of ``length``."""
    places: NDArray[np.float64] = np.arange(count)[:, None] + np.array(INSIDE)
    return np.ravel(places * length / count).astype(np.intp)


def _scatter(count: int) -> NDArray[np.uint32]:
    """``count`` numbers that look like chance and are always the same."""
    with np.errstate(over="ignore"):
        mixed = np.arange(count, dtype=np.uint32) * np.uint32(2_654_435_761)
        mixed ^= mixed >> np.uint32(15)
        mixed *= np.uint32(2_246_822_519)
        return mixed ^ mixed >> np.uint32(13)


def page(width: int, height: int) -> Luma:
    """A page of lines of something like letters, black on paper; it repeats seamlessly."""
    lines = max(1, height // _LINE)
    letters = max(1, width // (_GLYPH[1] + 1))
    alphabet = (_scatter(64 * 84) >> np.uint32(9) & np.uint32(1)).reshape(64, *_GLYPH)
    which = _scatter(lines * letters).reshape(lines, letters)
    sheet = np.full((lines * _LINE, letters * (_GLYPH[1] + 1)), PAPER, np.uint8)
    slots = sheet.reshape(lines, _LINE, letters, _GLYPH[1] + 1)
    ink = alphabet[which % 64].transpose(0, 2, 1, 3).astype(bool)
    ink &= (which % 7 != 0)[:, None, :, None]  # spaces between words
    ink &= (np.arange(letters)[None, :] < 20 + which[:, :1] % letters)[:, None, :, None]
    slots[:, 4 : 4 + _GLYPH[0], :, : _GLYPH[1]][ink] = BLACK + 24
    whole = np.full((lines * _LINE, width), PAPER, np.uint8)
    whole[:, : sheet.shape[1]] = sheet[:, :width]
    return whole


class Pattern:
    """The source ``test``: the page scrolls, a coloured square crosses it."""

    def __init__(self, width: int, height: int) -> None:
        """``width`` and ``height`` in pixels, both even."""
        self.width, self.height = width, height
        self._page = page(width, height * _PAGES)
        self._top = mark_height(height)
        self._speed = max(1, height // 270)  # rows from picture to picture

    def draw(self, mark: Mark) -> Luma:
        """The picture of that mark as I420, shape (height * 3 / 2, width)."""
        picture = np.empty((self.height * 3 // 2, self.width), np.uint8)
        self._scroll(picture[self._top : self.height], mark.number * self._speed)
        draw_mark(picture[: self.height], mark)
        chroma = picture[self.height :].reshape(2, self.height // 2, self.width // 2)
        chroma[:] = 128
        side = self.height // 8
        left = mark.number * 2 * self._speed % max(1, (self.width - side) // 2)
        top = self._top // 2 + side // 2
        chroma[0, top : top + side // 2, left : left + side // 2] = 90
        chroma[1, top : top + side // 2, left : left + side // 2] = 200
        return picture

    def _scroll(self, window: Luma, moved: int) -> None:
        begin, filled = moved % len(self._page), 0
        while filled < len(window):
            piece = self._page[begin : begin + len(window) - filled]
            window[filled : filled + len(piece)] = piece
            begin, filled = 0, filled + len(piece)
