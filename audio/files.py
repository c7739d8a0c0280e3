"""The sound of a film that is shared, in time with its pictures.

The process that shows the pictures says when the film's clock showed 0, again each time it
begins anew (``begins``); a thread decodes ahead, and ``read`` gives what belongs to a beat.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audio.pcm import FRAME, RATE, Stereo, stereo_silence
from audio.unavailable import AudioUnavailable
from vc_core.errors import reason

if TYPE_CHECKING:
    import av.container

log = logging.getLogger(__name__)

# Implementation
AHEAD = 0.5  # seconds that are decoded before their time
LEAP = 2.0  # seconds behind from which the film is searched instead of decoded
ADRIFT = 0.1  # seconds between what the film says and what was counted: then the film is right
CODE = "no-film-sound"

Piece = tuple[float, Stereo]
"""Time in the film of the first sample, samples."""


class FilmSound:
    """The first sound track of a video file."""

    delay = 0.0

    def __init__(self, path: str) -> None:
        """Blocks; ``AudioUnavailable`` if there is no sound in it."""
        self._path = path
        self._changed = threading.Condition()
        self._pieces: deque[Piece] = deque()
        self._zero: float | None = None
        self._turn = self._decoding = 0
        self._wanted = 0.0
        self._ending = False
        with _open(path):
            pass
        self._thread = threading.Thread(target=self._run, name="film sound", daemon=True)
        self._thread.start()

    def begins(self, zero: float, turn: int) -> None:
        """The film's clock showed 0 at ``zero`` on ours; ``turn`` counts how often it began."""
        with self._changed:
            if turn != self._turn:
                self._turn = turn
                self._pieces.clear()
            self._zero = zero
            self._changed.notify_all()

    def listen(self, on: bool) -> None:
        """A film runs whether it is heard or not."""

    def read(self, at: float) -> Stereo:
        """What belongs to the 20 ms from ``at`` on; silence where there is nothing."""
        frame = stereo_silence()
        with self._changed:
            if self._zero is None:
                return frame
            begin = self._wanted = at - self._zero
            while self._pieces:
                when, samples = self._pieces[0]
                first = round((when - begin) * RATE)
                if first >= FRAME:
                    break
                behind, into = max(0, -first), max(0, first)
                part = samples[behind : behind + FRAME - into]
                frame[into : into + len(part)] = part
                if first + len(samples) > FRAME:
                    break
                self._pieces.popleft()
            self._changed.notify_all()
        return frame

    def close(self) -> None:
        """The end."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    # ---- The thread ------------------------------------------------------------------

    def _run(self) -> None:
        import av

        while self._waits_for_turn():
            try:
                with _open(self._path) as container:
                    self._decode(container)
            except (av.FFmpegError, AudioUnavailable, ValueError) as error:
                log.warning("the sound of a film: %s", error)
                return

    def _waits_for_turn(self) -> bool:
        """Until the film begins (again); False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending or self._decoding <= self._turn)
            self._decoding = self._turn
            return not self._ending

    def _decode(self, container: av.container.InputContainer) -> None:
        end = 0.0
        pieces = _pieces(container)
        while self._waits_for_room(end):
            if self._wanted - end > LEAP:
                container.seek(int(self._wanted * 1e6))
                pieces = _pieces(container)
            piece = next(pieces, None)
            if piece is None:
                break
            end = piece[0] + len(piece[1]) / RATE
            with self._changed:
                if self._decoding == self._turn:
                    self._pieces.append(piece)
        self._decoding += 1

    def _waits_for_room(self, end: float) -> bool:
        """Until more is needed; False when this turn is over."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ending or self._decoding != self._turn or end < self._wanted + AHEAD
            )
            return not self._ending and self._decoding == self._turn


def _open(path: str) -> av.container.InputContainer:
    import av

    if not Path(path).is_file():
        raise AudioUnavailable(CODE, f"no such file: {path}")
    try:
        container = av.open(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioUnavailable(CODE, f"cannot read {path}: {reason(error)}") from error
    if not container.streams.audio:
        container.close()
        raise AudioUnavailable(CODE, f"{Path(path).name} holds no sound", "only its pictures go")
    return container


def _decoded(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """What is damaged is passed over."""
    import av

    for packet in container.demux(container.streams.audio[0]):
        with contextlib.suppress(av.FFmpegError):
            yield from packet.decode()


def _pieces(container: av.container.InputContainer) -> Iterator[Piece]:
    """The film's sound from where it stands, with the times that the film gives."""
    import av

    resampler = av.AudioResampler(format="flt", layout="stereo", rate=RATE)
    at: float | None = None
    for frame in _decoded(container):
        when = frame.time
        if when is not None and (at is None or abs(when - at) > ADRIFT):
            at = when
        for plain in resampler.resample(frame):
            samples = plain.to_ndarray().reshape(-1, 2).astype(np.float32)
            yield at or 0.0, samples
            at = (at or 0.0) + len(samples) / RATE
