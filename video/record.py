"""Streams in containers, not encoded again: into a file, or into a player's stdin.

A file is Matroska. Time stamps are those of the capture: 0 is the first frame, whose
time by this machine's clock stands in the file as its date (DateUTC).

A player gets MPEG-TS, which ends with each frame; our muxer of Matroska holds a frame
back until the next one, so it is only for codecs that MPEG-TS does not know.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import queue
import shlex
import struct
import subprocess
import threading
import time
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vc_core.errors import RemoteProtocolError, reason
from video.pipe import Codec, FrameRecord, SoundRecord
from video.sink import ClosedError, Shown, UnusableError

if TYPE_CHECKING:
    import av
    from av import VideoFrame

# Specification
IVF_HEAD = struct.Struct("<4sHH4sHHIIII")
IVF_FRAME = struct.Struct("<IQ")
FOURCC = {Codec.VP9: b"VP90", Codec.AV1: b"AV01"}
MS = Fraction(1, 1000)

# Implementation
FILE = (
    "matroska",
    {"cluster_time_limit": "1000", "flush_packets": "1", "max_interleave_delta": "500000"},
)
LIVE = ("mpegts", {"omit_video_pes_length": "0", "flush_packets": "1"})
LIVE_ELSE = ("matroska", {"live": "1", "cluster_time_limit": "1", "flush_packets": "1"})
"""Formats and their options; a cluster of its own for each frame."""
LATE = tuple(f"av.{kind}.stream" for kind in ("video", "audio", "subtitles"))
"""What PyAV would load with the first stream, when nothing can be loaded any more."""
MOST_WAITING = 4 * 1024 * 1024  # bytes that a player has not taken
PARTING, TERMINATED = 0.6, 0.4
"""s that a player has to take the rest, to end by itself, and to end when it is asked to; the
engine waits for 2 s."""
RATE = 48_000  # Hz, the clock of Opus
SOUND_MS = 20
MOST_APART = 40  # ms that sound is moved so that it goes on without a gap: clocks are estimates


def load() -> None:
    """Everything that would be loaded with the first frame."""
    for module in LATE:
        importlib.import_module(module)


class Muxer:
    """One track of pictures, perhaps one of sound."""

    def __init__(
        self, target: Any, kind: tuple[str, dict[str, str]], *, sound: bool = False
    ) -> None:
        import av

        load()
        self._av = av
        self._error = av.error.FFmpegError
        self._container = av.open(target, "w", format=kind[0], options=kind[1])
        self._hears = sound
        self._stream: Any = None
        self._track: Any = None
        self._first = 0
        self._last = self._last_sound = -1

    def write(self, frame: FrameRecord) -> None:
        """One frame; the first one is a key frame. ``RemoteProtocolError`` if it is none."""
        try:
            if self._stream is None:
                self._begin(frame)
            self._last = max(self._last + 1, (frame.captured - self._first) // 1000)
            self._mux(self._stream, frame.data, self._last, key=frame.key)
        except (self._error, ValueError, IndexError) as error:
            raise RemoteProtocolError("a frame cannot be written") from error

    def hear(self, sound: SoundRecord) -> None:
        """20 ms of sound, between the pictures of its time; what comes too late is left out."""
        stamp = (sound.captured - self._first) // 1000
        if self._track is None or stamp < 0:
            return
        due = self._last_sound + SOUND_MS if self._last_sound >= 0 else stamp
        if stamp <= due - MOST_APART:
            return
        self._last_sound = due if stamp < due + MOST_APART else stamp
        with contextlib.suppress(self._error, ValueError):
            self._mux(self._track, sound.data, self._last_sound, key=True)

    def _mux(self, stream: Any, data: bytes, stamp: int, *, key: bool) -> None:
        packet = self._av.Packet(data)
        packet.pts = packet.dts = stamp
        packet.time_base = MS
        packet.stream = stream
        packet.is_keyframe = key
        self._container.mux(packet)

    def close(self) -> None:
        """Write what comes last."""
        with contextlib.suppress(self._error, OSError, ValueError):
            self._container.close()

    def _begin(self, frame: FrameRecord) -> None:
        """Parameters of the codec are found by reading the first frame as a file."""
        ago = max(0.0, time.monotonic() - frame.captured / 1e6)
        began = datetime.fromtimestamp(time.time() - ago, UTC)
        self._container.metadata["creation_time"] = began.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self._probe(frame) as probe:
            self._stream = self._container.add_stream_from_template(
                probe.streams.video[0], opaque=True
            )
        self._stream.time_base = MS
        self._first = frame.captured
        if self._hears:  # of the encoder nothing is wanted but a head for the file
            with contextlib.suppress(ValueError):  # an FFmpeg without it records pictures alone
                self._track = self._container.add_stream("libopus", rate=RATE, layout="stereo")

    def _probe(self, frame: FrameRecord) -> av.container.InputContainer:
        if frame.codec is Codec.H264:
            return self._av.open(io.BytesIO(frame.data), "r", format="h264")
        size, fourcc = (frame.width, frame.height), FOURCC[frame.codec]
        head = IVF_HEAD.pack(b"DKIF", 0, IVF_HEAD.size, fourcc, *size, 30, 1, 1, 0)
        unit = IVF_FRAME.pack(len(frame.data), 0) + frame.data
        return self._av.open(io.BytesIO(head + unit), "r", format="ivf")


class Recording:
    """``file:PATH``. Frames are decoded as well, so that what stands in it can be seen."""

    decodes, opens_files, writes_files, patience = True, False, True, 1.0

    def __init__(self, path: str, shown: Shown, *, sound: bool = False) -> None:
        """``sound``: whether some comes along."""
        self._shown = shown
        self._path = path
        try:
            self._file = open(path, "wb")  # noqa: SIM115  (open until the stream ends)
        except OSError as error:
            raise self._unwritable(error) from error
        self._muxer = Muxer(self._file, FILE, sound=sound)

    def unit(self, frame: FrameRecord) -> bool:
        """Into the file."""
        try:
            self._muxer.write(frame)
        except OSError as error:
            raise self._unwritable(error) from error
        self._shown(frame)
        return True

    def sound(self, sound: SoundRecord) -> None:
        """Into the file as well, not decoded."""
        try:
            self._muxer.hear(sound)
        except OSError as error:
            raise self._unwritable(error) from error

    def picture(self, picture: VideoFrame, frame: FrameRecord) -> None:
        """It is in the file already."""

    def turn(self) -> None:
        """Nothing comes from a file."""

    def overlay(self, text: str) -> None:
        """A recording is of the pictures and their sound."""

    def report(self, shown: dict[str, Any]) -> None:
        """Nobody looks."""

    def close(self) -> None:
        """Write the index."""
        self._muxer.close()
        with contextlib.suppress(OSError):  # a full disk has been told
            self._file.close()

    def _unwritable(self, error: OSError) -> UnusableError:
        message = f"'{self._path}' cannot be written: {reason(error)}"
        return UnusableError("cannot-record", message, "give another file")


class Player:
    """``player:COMMAND``: somebody else's program shows it, and decodes it."""

    decodes, opens_files, writes_files, patience = False, False, False, 0.2

    def __init__(self, command: str, shown: Shown) -> None:
        self._shown, self._command = shown, command
        try:
            words = shlex.split(command)
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except (OSError, ValueError, IndexError) as error:
            message = f"the player '{command}' cannot be started"
            raise UnusableError("no-player", message, "is it installed? try: mpv -") from error
        self._pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._waiting = 0
        self._gone = threading.Event()
        self._feeder = threading.Thread(target=self._feed, name="player", daemon=True)
        self._feeder.start()
        self._muxer: Muxer | None = None
        load()

    def unit(self, frame: FrameRecord) -> bool:
        """To the player, unless it takes nothing; then it goes on from a key frame."""
        if self._waiting > MOST_WAITING:
            return False
        if self._muxer is None:
            self._muxer = Muxer(self, LIVE if frame.codec is Codec.H264 else LIVE_ELSE)
        self._muxer.write(frame)
        self._shown(frame)
        return True

    def write(self, data: bytes) -> int:
        """What the muxer has for the pipe; never waits."""
        self._waiting += len(data)
        self._pieces.put(bytes(data))
        return len(data)

    def sound(self, sound: SoundRecord) -> None:
        """The engine plays it."""

    def picture(self, picture: VideoFrame, frame: FrameRecord) -> None:
        """The player decodes for itself."""

    def turn(self) -> None:
        """Look whether it is still there; one that failed is told, one that was closed is not."""
        if not self._gone.is_set() and self._process.poll() is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            if (code := self._process.wait(PARTING)) > 0:
                message = f"the player '{self._command}' has failed (exit {code})"
                raise UnusableError("no-player", message, "try whether it plays a file: mpv FILE")
        raise ClosedError("player")

    def overlay(self, text: str) -> None:
        """A player has its own."""

    def report(self, shown: dict[str, Any]) -> None:
        """A player counts for itself."""

    def close(self) -> None:
        """The end of its input; a player that does not end then is asked to, and then ended."""
        if self._muxer is not None:
            self._muxer.close()
        self._pieces.put(b"")
        self._feeder.join(PARTING)
        for patience, end in ((PARTING, self._process.terminate), (TERMINATED, self._process.kill)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
                return
            end()
        self._process.wait()

    def _feed(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError):
            while piece := self._pieces.get():
                stdin.write(piece)
                stdin.flush()
                self._waiting -= len(piece)
        with contextlib.suppress(OSError):
            stdin.close()
        self._gone.set()
