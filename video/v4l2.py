"""A few questions of Linux to its cameras (linux/videodev2.h), which FFmpeg does not pass on.

    QUERYCAP          who is it, and does it give pictures
    ENUM_FMT          how it can write them
    ENUM_FRAMESIZES   how large each of these can be

They go through ``open`` and ``ioctl`` of the C library, so that a library which stands between
programs and the kernel (``pw-v4l2``, ``libcamerify``) answers for cameras of its own.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from video.picture import Size

# Specification
_QUERYCAP, _CAPABILITIES = 0x80685600, struct.Struct("=16x32s40xI12x")
_ENUM_FMT, _FORMAT = 0xC0405602, struct.Struct("=II36xI16x")
_ENUM_SIZES, _SIZE = 0xC02C564A, struct.Struct("=6I20x")
_CAPTURE = _PICTURES = _DISCRETE = 1
MJPEG = int.from_bytes(b"MJPG", "little")

# Implementation
MOST_NODES = 64
MOST = 256  # answers to one question


@contextmanager
def _node(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _ask(descriptor: int, question: int, layout: struct.Struct, *words: int) -> tuple[int, ...]:
    told = bytearray(layout.size)
    struct.pack_into(f"={len(words)}I", told, 0, *words)
    fcntl.ioctl(descriptor, question, told)
    return layout.unpack(told)


def name_of(path: str) -> str | None:
    """What a camera calls itself; None if no camera answers there."""
    told = bytearray(_CAPABILITIES.size)
    try:
        with _node(path) as descriptor:
            fcntl.ioctl(descriptor, _QUERYCAP, told)
    except OSError:
        return None
    name, abilities = _CAPABILITIES.unpack(told)
    text: str = name.partition(b"\0")[0].decode("utf-8", "replace")
    return text if abilities & _CAPTURE else None


def sizes(path: str) -> dict[int, list[Size]]:
    """By format what sizes it names; none where it can be asked for any, or does not say."""
    try:
        with _node(path) as descriptor:
            return {one: list(_sizes(descriptor, one)) for one in _formats(descriptor)}
    except OSError:
        return {}


def _formats(descriptor: int) -> Iterator[int]:
    for number in range(MOST):
        try:
            yield _ask(descriptor, _ENUM_FMT, _FORMAT, number, _PICTURES)[2]
        except OSError:
            return


def _sizes(descriptor: int, code: int) -> Iterator[Size]:
    for number in range(MOST):
        try:
            _, _, kind, width, height, _ = _ask(descriptor, _ENUM_SIZES, _SIZE, number, code)
        except OSError:
            return
        if kind == _DISCRETE:
            yield Size(width, height)
