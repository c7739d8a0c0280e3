"""How a voice sounds after the whole way, and what each step costs.

    python -m tests.bench.voice_quality

Speech goes through gate, Opus, a lossy line on a virtual clock, jitter buffer
and Opus again, and is compared with the original: PESQ wide-band (ITU-T P.862.2,
1 to 4.6) if the package pesq is there, and STOI (0 to 1). Speech comes from
espeak-ng if that is installed, else it is synthetic.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pystoi import stoi

from audio.chain import VoiceSender
from audio.codec import Decoder, Encoder
from audio.jitter import Jitter
from audio.mixer import Mixer
from audio.pcm import FRAME, FRAME_SECONDS, RATE, Samples, silence
from audio.receiver import VoiceReceiver
from audio.resample import FILE, Resampler
from audio.sources import open_file
from tests.audio.line import Line, Road
from tests.audio.signal import aligned, frames, speech

TEXT = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. "
    "It is easy to tell the depth of a well. These days a chicken leg is a rare dish."
)
WIDE = 16_000  # hertz of PESQ wide-band
ROUNDS = 500
LOSSES = (0.0, 0.05, 0.10, 0.20)


def spoken() -> Samples:
    """Some ten seconds of speech at 48 kHz."""
    if shutil.which("espeak-ng") is None:
        return speech(10.0)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "speech.wav")
        subprocess.run(["espeak-ng", "-s", "150", "-w", path, TEXT], check=True)
        source, read = open_file(path), []
        while (frame := source.read()) is not None:
            read.append(frame)
    return np.concatenate([silence(RATE // 4), *read])


def pesq_wb(said: Samples, heard: Samples) -> float | None:
    """PESQ-WB of two signals at 48 kHz, or None without the package."""
    try:
        from pesq import pesq
    except ImportError:
        return None
    narrow = [Resampler(RATE, WIDE, FILE).push(one, last=True) for one in (said, heard)]
    return float(pesq(WIDE, *narrow, "wb"))


def score(
    road: Road, said: Samples, seed: int, told_loss: float
) -> tuple[float | None, float, str]:
    """PESQ, STOI and counters of one run."""
    sender, receiver = VoiceSender(), VoiceReceiver()
    sender.set_loss(told_loss)
    line = Line(road, sender, receiver, seed)
    heard, original = aligned(line.carry(frames(said)), said)
    stats = receiver.stats()
    counters = (
        f"{stats.playout_ms:5.1f} ms  made up {stats.concealed:5.1%}  "
        f"restored {stats.repaired:5.1%}  stretched {receiver.stretched:3d}"
    )
    return pesq_wb(original, heard), float(stoi(original, heard, RATE)), counters


def mean(values: list[float | None]) -> str:
    """The mean, or a dash."""
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.2f}" if known else "   -"


def quality(said: Samples) -> None:
    """Print the table of quality by loss."""
    print(f"{'line':26} PESQ-WB  STOI   buffer (first of 3 seeds)")
    roads = [(f"{loss:.0%} loss, jitter 5 ms", Road(jitter=0.005, loss=loss)) for loss in LOSSES]
    roads += [
        ("10% loss in bursts of 3", Road(jitter=0.005, loss=0.1, burst=3)),
        ("jitter 40 ms", Road(jitter=0.04)),
        ("drift 200 ppm", Road(jitter=0.003, drift=2e-4)),
    ]
    for name, road in roads:
        runs = [score(road, said, seed, road.loss) for seed in (1, 2, 3)]
        print(
            f"{name:26} {mean([one[0] for one in runs]):>7}  "
            f"{np.mean([one[1] for one in runs]):.3f}  {runs[0][2]}"
        )


def cost(name: str, step: Callable[[int], object]) -> None:
    """Print the mean time of a step."""
    begun = time.perf_counter()
    for number in range(ROUNDS):
        step(number)
    each = (time.perf_counter() - begun) / ROUNDS
    print(f"{name:26} {each * 1e6:7.1f} µs a frame  {each / FRAME_SECONDS:6.2%} of a core")


def costs(said: Samples) -> None:
    """Print what each step costs."""
    pieces = frames(said)
    encoder, decoder, jitter, mixer = Encoder(), Decoder(), Jitter(), Mixer()
    packets = [encoder.encode(frame) for frame in pieces]

    def through_jitter(number: int) -> None:
        now = number * FRAME_SECONDS
        jitter.put(number * FRAME, packets[0], False, now)
        jitter.get(now + 0.01)

    cost("encode", lambda number: encoder.encode(pieces[number % len(pieces)]))
    cost("decode", lambda number: decoder.decode(packets[number % len(packets)]))
    cost("jitter buffer", through_jitter)
    cost("mix of eight", lambda number: mixer.mix([(pieces[number % len(pieces)], 1.0)] * 8))


def main() -> None:
    """Both tables."""
    said = spoken()
    quality(said)
    print()
    costs(said)


if __name__ == "__main__":
    main()
