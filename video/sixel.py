"""Sixel: pictures as six rows of pixels at a time, for terminals of an older school.

    ESC P 0;1;0 q  "1;1;W;H  #n;2;R;G;B …  #n data $ #m data -  …  ESC \\

Pure. DEC STD 070, chapter 9. The palette is fixed: a cube of as many levels as the
terminal has registers for, and a Bayer matrix between the levels, so that a picture
that stands still gives the same bytes again.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# Specification
BAND = 6  # rows of pixels in one row of sixels
FIRST = 63  # the letter of no pixel
ASK_REGISTERS = b"\x1b[?1;1;0S"
"""XTSMGRAPHICS: how many colours there are."""

# Implementation
MOST = 1000
"""Pixels of a side: of a larger picture xterm, as it comes, shows nothing at all."""
BAYER = ((0, 8, 2, 10), (12, 4, 14, 6), (3, 11, 1, 9), (15, 7, 13, 5))
MIXED = 180  # of 255: colours nearer to a level than the rest are that level, without dots
RUNS = re.compile(rb"([?-~])\1{3,}")  # from four on, a count is shorter


def levels_of(registers: int) -> int:
    """Levels in each channel of the cube that fits, 2 to 6."""
    return max(2, min(6, int(registers ** (1 / 3) + 1e-9)))


def show(rgb: Bytes, levels: int = 6) -> bytes:
    """A picture (height, width, 3) at the cursor."""
    height, width, _ = rgb.shape
    indexes = _indexes(rgb, levels)
    head = f'\x1bP0;1;0q"1;1;{width};{height}'.encode() + _palette(levels)
    bands = (_band(indexes[y : y + BAND]) for y in range(0, height, BAND))
    return head + b"-".join(bands) + b"\x1b\\"


def _indexes(rgb: Bytes, levels: int) -> Bytes:
    """The register of each pixel."""
    height, width, _ = rgb.shape
    bayer = np.tile(np.array(BAYER, np.int32), (height // 4 + 1, width // 4 + 1))
    threshold = bayer[:height, :width, None] * MIXED // 15 + (255 - MIXED) // 2
    steps = (rgb.astype(np.int32) * (levels - 1) + threshold) // 255
    steps = np.minimum(steps, levels - 1)
    indexes: Bytes = (steps @ np.array((levels * levels, levels, 1))).astype(np.uint8)
    return indexes


def _band(band: Bytes) -> bytes:
    """One row of sixels: for each colour in it its pixels, over one another."""
    colours = np.unique(band)
    weights = (1 << np.arange(len(band), dtype=np.uint8))[None, :, None]
    sixels = ((band[None] == colours[:, None, None]) * weights).sum(axis=1, dtype=np.uint8) + FIRST
    lines = (
        b"#%d" % colour + RUNS.sub(_count, sixel.tobytes().rstrip(b"?"))
        for colour, sixel in zip(colours, sixels, strict=True)
    )
    return b"$".join(lines)


def _count(run: re.Match[bytes]) -> bytes:
    return b"!%d%c" % (len(run[0]), run[0][0])


@cache
def _palette(levels: int) -> bytes:
    """The registers, in percent of each channel."""
    share = [step * 100 // (levels - 1) for step in range(levels)]
    colours = ((r, g, b) for r in share for g in share for b in share)
    return b"".join(b"#%d;2;%d;%d;%d" % (n, *colour) for n, colour in enumerate(colours))
