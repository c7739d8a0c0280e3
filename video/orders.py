"""What the engine may ask of the sharing process, checked before anything is done."""

from __future__ import annotations

import math

from vc_core.record import record
from video.picture import Size
from video.pipe import CODECS, MAX_SIDE, Codec, Words
from video.source import Wish
from video.sources import kind_of
from video.unavailable import PictureUnavailable


class BadOrder(PictureUnavailable):
    """An order that means nothing; nothing was done."""

    def __init__(self, message: str) -> None:
        super().__init__("bad-order", message)


@record(slots=True)
class Open:
    """``open``: what to share, and how."""

    wish: Wish
    codec: Codec
    bitrate: int
    """Bit/s; 0 for the usual one."""
    encoder: str | None
    """A certain encoder, tried before the others."""


def number(words: Words, key: str, most: float, default: float | None = 0) -> float:
    """A number from 0 to ``most``; ``default`` where the order has none (None: it must)."""
    value = words.get(key, default)
    if value is None and key in words:
        value = default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadOrder(f"'{key}' is no number")
    if not math.isfinite(value) or not 0 <= value <= most:
        raise BadOrder(f"'{key}' is out of range")
    return value


def text(words: Words, key: str, default: str) -> str:
    """A word."""
    value = words.get(key, default)
    if not isinstance(value, str) or "\0" in value:
        raise BadOrder(f"'{key}' is no text")
    return value


def box(words: Words) -> Size:
    """The size at most."""
    return Size(int(number(words, "width", MAX_SIDE)), int(number(words, "height", MAX_SIDE)))


def bits(words: Words, key: str, default: float | None = 0) -> int:
    """A bitrate in bit/s."""
    return int(number(words, key, 1e12, default))


def fps(words: Words) -> float:
    """Pictures per second; 0 where none is asked for."""
    return number(words, "fps", 1000)


def read_open(words: Words) -> Open:
    """The order ``open``; ``PictureUnavailable`` if it means nothing."""
    spec = text(words, "source", "screen")
    kind_of(spec)
    codec = CODECS.get(text(words, "codec", "h264"))
    if codec is None:
        raise BadOrder(f"codecs are {', '.join(CODECS)}")
    cursor = words.get("cursor", True)
    if not isinstance(cursor, bool):
        raise BadOrder("'cursor' is neither true nor false")
    encoder = text(words, "encoder", "") or None
    wish = Wish(spec, box(words), fps(words), cursor)
    return Open(wish, codec, bits(words, "bitrate"), encoder)
