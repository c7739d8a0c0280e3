"""What went into one microphone compared with what came out of another member's speaker."""

from __future__ import annotations

import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pystoi import stoi

from audio.pcm import RATE, Samples, from_int16, to_int16
from tests.audio.signal import speech
from tests.calls.engines import EngineProcess
from vc_core.record import record

LONGEST_DELAY = 1.0  # seconds from microphone to speaker that are looked at
HEADER = 44  # bytes before the samples of a WAV file


def write_wav(path: Path, samples: Samples) -> Path:
    """48 kHz mono 16 bit."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(to_int16(samples).tobytes())
    return path


def read_wav(path: Path) -> Samples:
    """Also while it is still being written."""
    data = path.read_bytes()[HEADER:]
    return from_int16(np.frombuffer(data[: len(data) // 2 * 2], "<i2"))


@record
class Heard:
    """How well and how late."""

    stoi: float
    """Short-time objective intelligibility (Taal 2011), 1 is the same."""
    delay: float
    """Seconds from the microphone to the speaker."""


@record
class Speech:
    """A member who says something known."""

    path: Path
    samples: Samples

    @classmethod
    def make(cls, path: Path, seconds: float, seed: int) -> Speech:
        """Something like speech in a file for ``--mic file:``."""
        samples = speech(seconds, seed)
        return cls(write_wav(path, samples), samples)

    @property
    def mic(self) -> str:
        """For ``--mic``."""
        return f"file:{self.path}"


def unix(engine: EngineProcess, event: dict[str, float]) -> float:
    """Unix time of an event."""
    return time.time() - (time.monotonic() - event["seen"])


def compare(
    said: Speech,
    speaker: EngineProcess,
    ear: Path,
    listener: EngineProcess,
    begin: float,
    seconds: float,
) -> Heard:
    """What was said from Unix time ``begin`` on for ``seconds``, against the file ``ear``."""
    window = cut(said.samples, begin - speaker.wait("audio")["mic_started"], seconds)
    start = begin - listener.wait("audio")["speaker_started"]
    return best_pieces(window, cut(read_wav(ear), start, seconds + LONGEST_DELAY))


def best_pieces(window: Samples, span: Samples, piece: float = 0.5) -> Heard:
    """Where in ``span`` the words of ``window`` are, and how well they can be understood.

    The playout delay may move meanwhile, so each ``piece`` of so many seconds is
    looked for by itself; the delay is their median.
    """
    size = round(piece * RATE)
    longest = len(span) - len(window)
    found, delays = [], []
    for at in range(0, len(window) - size + 1, size):
        near = span[at : at + size + longest]
        late = _delay(window[at : at + size], near)
        found.append(near[late : late + size])
        delays.append(late / RATE)
    heard = np.concatenate(found)
    return Heard(float(stoi(window[: len(heard)], heard, RATE)), float(np.median(delays)))


def cut(samples: Samples, begin: float, seconds: float) -> Samples:
    """From ``begin`` seconds on; shorter at the end of the samples."""
    at = round(begin * RATE)
    assert at >= 0, f"it begins {-begin:.2f} s too late"
    return samples[at : at + round(seconds * RATE)]


def _delay(window: Samples, span: Samples) -> int:
    size = 1 << (len(window) + len(span)).bit_length()
    product = np.fft.rfft(span, size) * np.conj(np.fft.rfft(window, size))
    likeness = np.fft.irfft(product, size)[: max(1, len(span) - len(window))]
    return int(np.argmax(likeness))


def pitch(samples: Samples) -> float:
    """The loudest frequency in hertz; 0 for silence."""
    if len(samples) == 0 or float(np.abs(samples).max()) < 0.01:
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE / len(samples)


def loudness(samples: Samples) -> float:
    """Root mean square; 0 for no samples."""
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0


def recorded(path: Path, seconds: float, timeout: float) -> Samples:
    """The last ``seconds`` of a growing file, once it is at least that long."""
    wait_until(lambda: path.exists() and len(read_wav(path)) >= seconds * RATE, timeout)
    return read_wav(path)[-round(seconds * RATE) :]


def wait_until(condition: Callable[[], bool], timeout: float) -> None:
    """Look every 20 ms, with a bound; ``AssertionError`` if it never holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
