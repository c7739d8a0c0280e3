"""Microphones without a device: files and tones, a frame at a time.

WAV files that the standard library reads need nothing else; all others go
through PyAV, imported then. Opening blocks (call it in an executor); reading a
frame costs some ten microseconds.
"""

from __future__ import annotations

import logging
import wave
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from audio.pcm import FRAME, RATE, Frame, Framer, Samples, to_mono
from audio.resample import FILE, Resampler
from audio.unavailable import AudioUnavailable
from vc_core.errors import reason

if TYPE_CHECKING:
    import av.container

log = logging.getLogger(__name__)

# Implementation
LOUDNESS = 0.25  # amplitude of a tone
_BLOCK = 4096  # samples read from a WAV file at once


class Source(Protocol):
    """Something that gives frames until it ends."""

    def read(self) -> Frame | None:
        """The next frame, or None at the end."""

    def close(self) -> None:
        """Give files back."""


class Tone:
    """A sine of ``hertz`` that never ends."""

    def __init__(self, hertz: float) -> None:
        self._step = 2 * np.pi * hertz / RATE
        self._phase = 0.0

    def read(self) -> Frame:
        """The next frame."""
        phases = self._phase + self._step * np.arange(FRAME)
        self._phase = (self._phase + self._step * FRAME) % (2 * np.pi)
        frame: Frame = (LOUDNESS * np.sin(phases)).astype(np.float32)
        return frame

    def close(self) -> None:
        """Nothing to give back."""


class FileSource:
    """A sound file from its start to its end, then nothing."""

    def __init__(self, rate: int, blocks: Iterator[Samples]) -> None:
        """``blocks`` are mono samples at ``rate`` hertz."""
        self._blocks = blocks
        self._resampler = Resampler(rate, RATE, FILE)
        self._framer = Framer()
        self._ready: deque[Frame] = deque()
        self._ended = False

    def read(self) -> Frame | None:
        """The next frame; the last one is filled up with silence."""
        while not self._ready and not self._ended:
            self._read_block()
        return self._ready.popleft() if self._ready else None

    def _read_block(self) -> None:
        block = next(self._blocks, None)
        if block is not None:
            self._ready.extend(self._framer.push(self._resampler.push(block)))
            return
        self._ended = True
        self._ready.extend(self._framer.push(self._resampler.flush()))
        self._ready.extend(self._framer.flush())

    def close(self) -> None:
        """Close the file."""
        self._ended = True
        self._ready.clear()
        if hasattr(self._blocks, "close"):
            self._blocks.close()


class Loop:
    """A source that begins again when it ends."""

    def __init__(self, begin: Callable[[], Source]) -> None:
        self._begin = begin
        self._source = begin()
        self._over = False
        """Whether it cannot begin again."""

    def read(self) -> Frame | None:
        """The next frame; None only if the source is empty, or gone."""
        frame = self._source.read()
        if frame is None and not self._over:
            self._source.close()
            frame = self._first()
            self._over = frame is None
        return frame

    def _first(self) -> Frame | None:
        try:
            self._source = self._begin()
        except AudioUnavailable as error:
            log.warning("a sound file that should be repeated: %s", error)
            return None
        return self._source.read()

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def open_file(path: str) -> FileSource:
    """A file in any format that PyAV reads; ``AudioUnavailable`` if it cannot be read."""
    if not Path(path).is_file():
        raise AudioUnavailable("audio-file", f"no such sound file: {path}")
    try:
        return _first(_open_wav(path))
    except (wave.Error, EOFError):
        return _open_with_av(path)
    except OSError as error:
        raise AudioUnavailable("audio-file", f"cannot read {path}: {reason(error)}") from error


def _first(source: FileSource) -> FileSource:
    """The source with its first frame read, so that errors come now."""
    frame = source.read()
    if frame is not None:
        source._ready.appendleft(frame)
    return source


def _open_wav(path: str) -> FileSource:
    file = wave.open(path, "rb")  # noqa: SIM115
    if file.getsampwidth() not in _DEPTHS or not file.getframerate():
        file.close()
        raise wave.Error("unusual sample width or rate")
    return FileSource(file.getframerate(), _wav_blocks(file))


def _wav_blocks(file: wave.Wave_read) -> Iterator[Samples]:
    depth, channels = _DEPTHS[file.getsampwidth()], file.getnchannels()
    with file:
        while data := file.readframes(_BLOCK):
            samples = depth(data)
            whole = len(samples) // channels * channels
            yield to_mono(samples[:whole].reshape(-1, channels))


def _from_8(data: bytes) -> NDArray[np.float32]:
    return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)


def _from_16(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / np.float32(32_768)


def _from_24(data: bytes) -> NDArray[np.float32]:
    thirds = np.frombuffer(data[: len(data) // 3 * 3], np.uint8).reshape(-1, 3)
    wide = np.zeros((len(thirds), 4), np.uint8)
    wide[:, 1:] = thirds
    return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)


def _from_32(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data[: len(data) // 4 * 4], "<i4").astype(np.float32) / np.float32(2**31)


_DEPTHS: dict[int, Callable[[bytes], NDArray[np.float32]]] = {
    1: _from_8,
    2: _from_16,
    3: _from_24,
    4: _from_32,
}


def _open_with_av(path: str) -> FileSource:
    import av

    try:
        container = av.open(path)
        rate = next((getattr(one, "rate", 0) for one in container.streams.audio), 0)
        if not rate:  # no stream, or one of a codec that nobody knows
            container.close()
            raise AudioUnavailable("audio-file", f"{path} holds no sound")
        return _first(FileSource(rate, _av_blocks(container)))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioUnavailable("audio-file", f"cannot read {path}: {reason(error)}") from error


def _av_blocks(container: av.container.InputContainer) -> Iterator[Samples]:
    import av

    planar = av.AudioResampler(format="fltp")
    with container:
        for frame in _decoded(container):
            for plain in planar.resample(frame):
                yield plain.to_ndarray().astype(np.float32).mean(axis=0, dtype=np.float32)


def _decoded(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """All frames but those of damaged packets."""
    import av

    for packet in container.demux(audio=0):
        with suppress(av.error.InvalidDataError):
            yield from packet.decode()
