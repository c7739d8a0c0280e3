"""Video files, decoded as a player shows them: upright, with square pixels, without combs.

What cannot be decoded is passed over, as long as there is something that can.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError
from av.filter import Graph

from vc_core.errors import reason
from video.picture import Size
from video.unavailable import PictureUnavailable

if TYPE_CHECKING:
    from fractions import Fraction

    from av.container import InputContainer

# Specification
MAY_LEAP = 0x0200  # FFmpeg's AVFMT_TS_DISCONT

# Implementation
HINT = "share a film or a picture that FFmpeg can read"
THREADS = 2  # of a decoder
MOST_DAMAGED = 1000  # packets one after another
WIDEST = 4  # times a pixel may be as wide as high, or as high as wide, to be believed
TURNS = {90: ("cclock",), -90: ("clock",), 180: ("clock", "clock"), -180: ("clock", "clock")}
"""By the angle, counterclockwise, that a film says of itself: what to do with each picture."""


class Film:
    """An open file. Its pictures may be taken once."""

    def __init__(self, path: str) -> None:
        """``PictureUnavailable`` if it is no video."""
        self._container = _open(path)
        try:
            stream = self._container.streams.best("video")  # a cover only where there is no more
            if not isinstance(stream, av.VideoStream):
                raise _without_pictures(path)
            pictures = _decoded(self._container, stream)
            first = next(pictures, None)
            if first is None:
                raise _without_pictures(path)
        except FFmpegError as error:
            self._container.close()
            raise _unreadable(path, error) from error
        except PictureUnavailable:
            self._container.close()
            raise
        self.leaps = bool(self._container.format.flags & MAY_LEAP)
        """Whether its clock may leap where two parts meet, as that of a broadcast."""
        self._pictures = itertools.chain((first,), pictures)
        self.fps = float(stream.average_rate or stream.guessed_rate or 30)
        self.size = _shape(first, stream.sample_aspect_ratio)
        self._graph = _graph(first, stream)

    def __iter__(self) -> Iterator[av.VideoFrame]:
        """All pictures."""
        if self._graph is None:
            yield from self._pictures
            return
        for frame in itertools.chain(self._pictures, (None,)):
            self._graph.vpush(frame)
            while (made := _pull(self._graph)) is not None:
                yield made

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def _open(path: str) -> InputContainer:
    if not Path(path).is_file():
        raise PictureUnavailable(
            "picture-file", f"no such video file: {path}", "give its whole path"
        )
    try:
        return av.open(path)
    except (FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> PictureUnavailable:
    return PictureUnavailable("picture-file", f"cannot read {path}: {reason(error)}", HINT)


def _without_pictures(path: str) -> PictureUnavailable:
    return PictureUnavailable("picture-file", f"{path} holds no pictures", HINT)


def _decoded(container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    stream.thread_type, stream.thread_count = "AUTO", THREADS
    damaged = 0
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
            damaged = 0
        except FFmpegError:
            damaged += 1
            if damaged > MOST_DAMAGED:
                raise


def _shape(frame: av.VideoFrame, pixel: Fraction | None) -> Size:
    """The size that a film is meant to be seen in; pixels are stretched, never shrunk."""
    wide = float(pixel) if pixel and 1 / WIDEST <= pixel <= WIDEST else 1.0
    width, height = round(frame.width * max(1.0, wide)), round(frame.height / min(1.0, wide))
    return Size(height, width) if abs(frame.rotation) == 90 else Size(width, height)


def _graph(first: av.VideoFrame, stream: av.VideoStream) -> Graph | None:
    """What each picture goes through; None where that is nothing."""
    steps = [("transpose", turn) for turn in TURNS.get(first.rotation, ())]
    if first.interlaced_frame:
        steps.insert(0, ("bwdif", "mode=send_frame:deint=interlaced"))
    if not steps:
        return None
    graph = Graph()
    last = graph.add_buffer(template=stream)
    for name, how in steps:
        last.link_to(following := graph.add(name, how))
        last = following
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _pull(graph: Graph) -> av.VideoFrame | None:
    try:
        return graph.vpull()
    except (BlockingIOError, EOFError):
        return None
