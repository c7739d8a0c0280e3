"""WAV files that grow: 48 kHz, 16 bit, mono or stereo, readable while they are written.

    "RIFF" u32 size | "WAVE" | "fmt " u32 16 | u16 1 (PCM) | u16 channels
    u32 rate | u32 bytes per second | u16 2 or 4 | u16 16 | "data" u32 size | samples

Samples go to the file at once and the two sizes once a second, so that a file
is whole up to its last second even if the process is killed.
"""

from __future__ import annotations

import io
import logging
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audio.pcm import FRAME, RATE, Samples, Stereo, from_int16, to_int16, to_mono, to_stereo
from vc_core.errors import reason

# Specification (RIFF WAVE)
_HEADER = 44
_MOST = 0xFFFFFFFF - _HEADER  # bytes of samples that the sizes can say: 12 hours
_SAMPLE = 2  # bytes

# Implementation
_EVERY = RATE  # samples between two updates of the sizes
_NAME_LENGTH = 40  # characters of a member's name kept in a file name

log = logging.getLogger(__name__)


def header(data_size: int, channels: int = 1) -> bytes:
    """The 44 bytes before ``data_size`` bytes of samples."""
    size, step = min(data_size, _MOST), _SAMPLE * channels
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", size + _HEADER - 8, b"WAVE", b"fmt ", 16, 1, channels),
        *(RATE, RATE * step, step, 8 * _SAMPLE, b"data", size),
    )


class GrowingWav:
    """One file being written."""

    def __init__(self, path: Path, *, overwrite: bool = True, channels: int = 1) -> None:
        """``OSError`` if it cannot be made, ``FileExistsError`` without ``overwrite``."""
        self.path = path
        self.samples = 0
        self._channels = channels
        self._said = 0
        self._file = io.FileIO(path, "w" if overwrite else "x")
        self._file.write(header(0, channels))

    def write(self, samples: Samples) -> None:
        """Append, mono or stereo, as the file has it; ``OSError`` when the disk is full."""
        fit = to_mono(samples) if self._channels == 1 else to_stereo(samples)
        self._file.write(to_int16(fit).tobytes())
        self.samples += len(samples)
        if self.samples - self._said >= _EVERY:
            self._say_sizes()

    def _say_sizes(self) -> None:
        self._file.seek(0)
        self._file.write(header(self.samples * _SAMPLE * self._channels, self._channels))
        self._file.seek(0, 2)
        self._said = self.samples

    def close(self) -> None:
        """Write the final sizes and close; twice is fine."""
        if not self._file.closed:
            self._say_sizes()
            self._file.close()


def safe_name(name: str) -> str:
    """A member's name as part of a file name: letters, digits, ``-`` and ``_`` only."""
    plain = unicodedata.normalize("NFKC", name)
    kept = "".join(char if char.isalnum() or char in "-_" else "_" for char in plain)
    return kept.strip("_")[:_NAME_LENGTH] or "member"


def new_file(folder: Path, stem: str, channels: int = 1) -> GrowingWav:
    """``stem.wav`` in ``folder``, or ``stem-2.wav`` and so on; never an existing file."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        suffix = "" if number == 1 else f"-{number}"
        try:
            path = folder / f"{stem}{suffix}.wav"
            return GrowingWav(path, overwrite=False, channels=channels)
        except FileExistsError:
            number += 1


def read_wav(path: Path) -> Samples:
    """The samples of a file that ``GrowingWav`` wrote, also while it grows."""
    data = path.read_bytes()[len(header(0)) :]
    return from_int16(np.frombuffer(data[: len(data) // _SAMPLE * _SAMPLE], "<i2"))


class Recorder:
    """One file per member in one folder (``--record``), and one per stream with sound."""

    def __init__(
        self,
        folder: Path,
        name_of: Callable[[int], str],
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        """``name_of(member)`` is the member's name; ``on_failure`` hears why not all is kept."""
        self._folder = folder
        self._name_of = name_of
        self._on_failure = on_failure
        self._files: dict[tuple[int, int], GrowingWav | None] = {}

    def on_member_frame(self, member: int, frame: Samples) -> None:
        """Take 20 ms of a member, silence included; a hook for ``Listening``."""
        self._keep((member, 0), "", frame)

    def on_track_frame(self, name: tuple[int, int], frame: Stereo) -> None:
        """Take 20 ms of the sound of a stream (member, stream); a hook for ``Tracks``."""
        self._keep(name, f"-sound{name[1]}", frame)

    def _keep(self, name: tuple[int, int], suffix: str, frame: Samples) -> None:
        member = name[0]
        try:
            if name not in self._files:
                stem = f"{safe_name(self._name_of(member))}-m{member}{suffix}"
                self._files[name] = new_file(self._folder, stem, frame.ndim)
            file = self._files[name]
            if file is not None:
                file.write(frame[:FRAME])
        except OSError as error:
            self._files[name] = None  # do not try again 50 times a second
            log.warning("recording stopped: %s", error)
            if self._on_failure is not None:
                self._on_failure(f"cannot record in {self._folder}: {reason(error)}")
                self._on_failure = None  # once is enough

    def forget(self, member: int) -> None:
        """The member has left: finish its files."""
        for name in [one for one in self._files if one[0] == member]:
            file = self._files.pop(name)
            if file is not None:
                self._close(file)

    def close(self) -> None:
        """Finish all files."""
        for member in {one[0] for one in self._files}:
            self.forget(member)

    def _close(self, file: GrowingWav) -> None:
        try:
            file.close()
        except OSError as error:
            log.warning("recording not finished: %s", error)
