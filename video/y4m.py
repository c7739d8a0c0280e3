"""YUV4MPEG2, the plainest of film formats: a line, then pictures.

    YUV4MPEG2 W1920 H1080 F30:1 …\\n
    FRAME …\\n  width*height bytes of brightness, then two planes of a quarter each

GStreamer's writer says the size once, whatever comes later.
"""

from __future__ import annotations

from video.picture import Size
from video.pipe import MAX_SIDE

# Specification
MAGIC, FRAME = b"YUV4MPEG2", b"FRAME"

# Implementation
LONGEST_LINE = 1024  # bytes


class NoFilm(ValueError):
    """Bytes that are not of this format."""


def read_header(line: bytes) -> Size:
    """The size that a first line tells; ``NoFilm`` if it is none, or not I420."""
    magic, *fields = line.split() or [b""]
    told = {field[:1]: field[1:] for field in fields}
    if magic != MAGIC or not told.get(b"C", b"420").startswith(b"420"):
        raise NoFilm("not YUV4MPEG2 in I420")
    try:
        size = Size(int(told[b"W"]), int(told[b"H"]))
    except (KeyError, ValueError) as error:
        raise NoFilm("without a size") from error
    if not (0 < size.width <= MAX_SIDE and 0 < size.height <= MAX_SIDE):
        raise NoFilm("of an absurd size")
    return size


def layout(size: Size, *, padded: bool = False) -> tuple[tuple[int, int], ...]:
    """Bytes of a row and rows of each plane.

    ``padded``: as GStreamer 1.22 writes them, with rows of whole words.
    """
    wide, high = (size.width + 1) // 2, (size.height + 1) // 2
    if not padded:
        return (size.width, size.height), (wide, high), (wide, high)
    row = -(-wide // 4) * 4
    return (-(-size.width // 4) * 4, high * 2), (row, high), (row, high)


def picture_bytes(size: Size, *, padded: bool = False) -> int:
    """Of one picture."""
    return sum(row * rows for row, rows in layout(size, padded=padded))
