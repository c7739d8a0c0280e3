"""Calls between real engines on loopback: joining, delay, CPU, memory."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from audio.likeness import place_in
from audio.pcm import RATE, Samples
from audio.synthetic import speech
from tests.audio.signal import frames
from tests.bench.ear import chirps, delays, read_wav, write_wav
from tests.bench.process import cpu_shares, resident_mb, wait_until_quiet
from tests.bench.table import Row
from tests.bench.voice_quality import pesq_wb, spoken
from tests.calls.engines import ROOT, EngineProcess

# Implementation
JOINS = 10
STARTS = 10
SECONDS = 20.0  # of CPU time
SETTLED = 3.0  # seconds after the start from which the delay is judged
NAMES = ("Ada", "Bob", "Cleo", "Dan", "Eve", "Fay", "Gil", "Hal")


class Stage:
    """Engines in a folder; all end with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engines: list[EngineProcess] = []
        self.code = ""

    def start(self, *words: str, name: str, mic: str = "none", ear: bool = True) -> EngineProcess:
        """``host …`` or ``join …``."""
        home = self.folder / f"{name}-{len(self.engines)}"
        speaker = f"file:{home}.wav" if ear else "none"
        sound = ("--mic", mic, "--speaker", speaker)
        engine = EngineProcess([*words, "--name", name, "--no-stun", *sound], home)
        self.engines.append(engine)
        return engine

    def host(self, mic: str = "none", *, ear: bool = True, guests: int = 32) -> EngineProcess:
        """The host; its code is kept."""
        more = ("--listen", "127.0.0.1:0", "--guests", str(guests))
        engine = self.start("host", *more, name=NAMES[0], mic=mic, ear=ear)
        self.code = engine.wait("room")["code"]
        return engine

    def ear_of(self, engine: EngineProcess) -> Path:
        """What its speaker wrote."""
        return Path(f"{engine.folder}.wav")


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A stage that is cleared at the end."""
    folder.mkdir()
    one = Stage(folder)
    try:
        yield one
    finally:
        for engine in reversed(one.engines):
            if engine.process.poll() is None:
                engine.leave()
        shutil.rmtree(folder)


def said(folder: Path, samples: Samples, name: str) -> Path:
    """A microphone's file."""
    path = folder / f"{name}.wav"
    write_wav(path, samples)
    return path


def version() -> Row:
    """``vchat --version``."""
    took = []
    for _ in range(STARTS):
        began = time.monotonic()
        command = [sys.executable, "-m", "client", "--version"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        took.append(time.monotonic() - began)
    return Row("vchat --version", statistics.median(took) * 1000, 150, "ms")


def joining(folder: Path) -> list[Row]:
    """From the code, and from the start of the program, to the first voice."""
    mic = said(folder, speech(6.0), "joining")
    warm, cold = [], []
    with stage(folder / "joining") as one:
        one.host(f"loop:{mic}")
        for number in range(JOINS):
            guest = one.start("join", name=f"Warm{number}")
            wait_until_quiet(guest.process.pid)
            began = time.time()
            guest.write(one.code.encode() + b"\n")
            warm.append(_heard(one, guest) - began)
            guest.leave()
        for number in range(JOINS):
            began = time.time()
            guest = one.start("join", one.code, name=f"Cold{number}")
            cold.append(_heard(one, guest) - began)
            guest.leave()
    return [
        Row("code entered -> voice, median", statistics.median(warm) * 1000, 250, "ms"),
        Row("code entered -> voice, worst", max(warm) * 1000, None, "ms"),
        Row("vchat join started -> voice, median", statistics.median(cold) * 1000, 1200, "ms"),
    ]


def _heard(one: Stage, guest: EngineProcess) -> float:
    """Unix time at which the speaker played the first sample that is not silent."""
    guest.wait("talking", on=True, where=lambda told: told["member"] != own(guest))
    started = guest.wait("audio")["speaker_started"]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        loud = np.flatnonzero(read_wav(one.ear_of(guest)))
        if len(loud):
            return float(started + loud[0] / RATE)
        time.sleep(0.05)
    raise AssertionError("nothing was heard")


def own(engine: EngineProcess) -> str:
    """Its own member word."""
    word: str = engine.wait("room")["member"]
    return word


def mouth_to_ear(folder: Path, seconds: float = 15.0) -> list[Row]:
    """Chirps at both ends of a call."""
    sound = chirps(seconds + 15)
    mic = said(folder, sound, "chirps")
    found: list[float] = []
    with stage(folder / "ear") as one:
        host = one.host(f"file:{mic}")
        guest = one.start("join", one.code, name="Bob", mic=f"file:{mic}")
        guest.wait("path", rung="direct")
        settled = time.time() + SETTLED
        time.sleep(SETTLED + seconds)
        for mouth, ear in ((host, guest), (guest, host)):
            began = mouth.wait("audio")["mic_started"]
            lead = began - ear.wait("audio")["speaker_started"]
            late = delays(sound, read_wav(one.ear_of(ear)), lead)
            found += [delay for at, delay in late if began + at >= settled]
    return ear_rows(found)


def ear_rows(found: list[float], title: str = "mouth to ear") -> list[Row]:
    """p50 and p95 of delays in seconds."""
    middle, high = np.percentile(found, [50, 95]) * 1000
    return [Row(f"{title}, p50", middle, 50, "ms"), Row(f"{title}, p95", high, 60, "ms")]


def repeats(folder: Path, times: int = 6) -> list[Row]:
    """What each end of a call hears of speech that is said over and over, each time by itself."""
    clip = frames(spoken())
    once = np.concatenate(clip)
    mic = said(folder, once, "repeats")
    with stage(folder / "repeats") as one:
        ends = [one.host(f"loop:{mic}")]
        ends.append(one.start("join", one.code, name=NAMES[1], mic=f"loop:{mic}"))
        _ready(ends)
        time.sleep((times + 1) * len(once) / RATE)
        heard = [read_wav(one.ear_of(end)) for end in ends]
    scores = [score for ear in heard for score in _each(ear[-(times + 1) * len(once) :], once)]
    found = [score for score in scores if score is not None]
    if not found:
        return []  # without the package pesq
    return [
        Row("PESQ-WB of a call, worst repeat", min(found), 4.0, "", more=True),
        Row("PESQ-WB of a call, mean", statistics.mean(found), None, "", more=True),
    ]


def _each(heard: Samples, once: Samples) -> list[float | None]:
    """The quality of each whole repeat."""
    begins = -place_in(heard, once) % len(once)
    return [
        pesq_wb(once, heard[at : at + len(once)])
        for at in range(begins, len(heard) - len(once) + 1, len(once))
    ]


def costs(folder: Path) -> list[Row]:
    """CPU and memory of an engine in a call of two."""
    mic = said(folder, speech(8.0), "costs")
    with stage(folder / "voice") as one:
        pair = [one.host(f"loop:{mic}", ear=False)]
        pair.append(one.start("join", one.code, name="Bob", mic=f"loop:{mic}", ear=False))
        pids = _ready(pair)
        busy = cpu_shares(pids, SECONDS)
        memory = [resident_mb(pid) for pid in pids]
    with stage(folder / "idle") as one:
        pair = [one.host(ear=False)]
        pair.append(one.start("join", one.code, name="Bob", ear=False))
        idle = cpu_shares(_ready(pair), SECONDS)
    return [
        Row("1:1 voice, CPU of the guest", busy[1] * 100, 6, "%"),
        Row("1:1 voice, CPU of the host", busy[0] * 100, 6, "%"),
        Row("idle connected, CPU of the guest", idle[1] * 100, 0.5, "%"),
        Row("idle connected, CPU of the host", idle[0] * 100, 0.5, "%"),
        Row("1:1 voice, memory", max(memory), 90, "MB"),
    ]


def eight(folder: Path) -> list[Row]:
    """Eight engines in one room, all talking at once."""
    mic = said(folder, speech(8.0), "eight")
    with stage(folder / "eight") as one:
        people = [one.host(f"loop:{mic}", ear=False)]
        for name in NAMES[1:]:
            people.append(one.start("join", one.code, name=name, mic=f"loop:{mic}", ear=False))
        shares = cpu_shares(_ready(people), SECONDS / 2)
        memory = max(resident_mb(engine.process.pid) for engine in people)
    return [
        Row("eight talk at once, CPU of each", statistics.median(shares) * 100, None, "%"),
        Row("eight talk at once, memory", memory, None, "MB"),
    ]


def _ready(engines: list[EngineProcess]) -> list[int]:
    """Wait until each has a direct path to each; their process numbers."""
    for engine in engines:
        for other in engines:
            if other is not engine:
                engine.wait("path", member=own(other), rung="direct")
    time.sleep(SETTLED)
    return [engine.process.pid for engine in engines]
