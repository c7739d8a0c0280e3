"""A crowd: one room with a forwarder, many members, a few of whom talk.

    python -m tests.bench.crowd --members 30 --talking 3
    python -m tests.bench.crowd --compare 2 4 6 8 10

``vchat signal``, ``vchat relay`` and real engines on loopback. All engines are
started first, a few at a time, and wait for the code, so that what is timed is the
joining. ``--mesh N`` puts another limit in the place of ``vc_core.ways.MESH_LIMIT``:
with 0 every room is a crowd, with 64 none is. Each run is bounded; figures of a busy
machine are worse, and the first line says how busy it was.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio.pcm import RATE, Samples
from tests.audio.signal import speech
from tests.bench.process import cpu_seconds, resident_mb
from tests.calls.engines import EngineProcess, Program, Told
from tests.calls.sounds import best_pieces, recorded, write_wav

# Implementation
AT_ONCE = 3  # engines that start at a time
LOOP = 12.0  # seconds of speech that a talker repeats
SETTLED = 4.0  # seconds after the last change until anything is measured
PATIENCE = 60.0  # seconds that anything may take
EARS = 3  # listeners that record
TOKEN = "crowd"  # of a relay that lives for one run
ROOMY = ("slots_per_customer=128", "claims=50/200")
"""Limits of the relay: all members come from one address here."""
HURRIED = ("guesses=50/50", "connects=50/50")
"""Limits of the signaling server, likewise."""
HEADERS = 28  # bytes of IPv4 and UDP


@dataclass
class Plan:
    """One run."""

    members: int
    talking: int
    mesh: int | None
    pace: float
    seconds: float
    ears: int = EARS


class Crowd:
    """Everything of one run; all ends with it."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.programs: list[Program] = []
        self.engines: list[EngineProcess] = []
        self.sounds = [speech(LOOP, seed) for seed in range(1, plan.talking + 1)]
        folder.mkdir(exist_ok=True)

    def serve(self) -> None:
        """Start the signaling server and the relay."""
        lifted = [word for limit in HURRIED for word in ("--limit", limit)]
        words = ["-m", "client", "signal", "--json", "--listen", "127.0.0.1:0", *lifted]
        self.server = self._program("signal", words)
        roomy = [word for limit in ROOMY for word in ("--limit", limit)]
        token = self.folder / "token"
        token.write_text(TOKEN)
        counts = ["--metrics", "127.0.0.1:0", "--metrics-token-file", str(token)]
        words = ["-m", "client", "relay", "--json", "--no-tcp", "--listen", "127.0.0.1:0"]
        self.relay = self._program("relay", [*words, *counts, *roomy])
        told = self.relay.wait("listening", PATIENCE)
        self.metrics = told["metrics_port"]
        self.signal_url = f"ws://127.0.0.1:{self.server.wait('listening', PATIENCE)['port']}"
        self.relay_address = f"127.0.0.1:{told['port']}"

    def _program(self, name: str, words: list[str]) -> Program:
        program = Program(words, self.folder / name)
        self.programs.append(program)
        return program

    def engine(self, number: int, *words: str) -> EngineProcess:
        """Member ``number``: the host is 0, then the talkers, then the ears."""
        plan, home = self.plan, self.folder / f"m{number}"
        talks = 1 <= number <= plan.talking
        mic = f"loop:{self._said(number)}" if talks else "none"
        more = ["--record", str(home / "tapes")] if self.is_ear(number) else []
        sound = ["--mic", mic, "--speaker", "none", "--no-stun", "--no-port-mapping", *more]
        engine = EngineProcess(
            [*words, "--name", f"N{number}", "--signal", self.signal_url, *sound],
            home,
            start=("-c", f"{self._override()}from client.cli import main; main()"),
        )
        self.programs.append(engine)
        self.engines.append(engine)
        return engine

    def _override(self) -> str:
        mesh = self.plan.mesh
        return "" if mesh is None else f"import vc_core.ways as w; w.MESH_LIMIT = {mesh}; "

    def _said(self, number: int) -> Path:
        path = self.folder / f"said{number}.wav"
        return write_wav(path, self.sounds[number - 1])

    def is_ear(self, number: int) -> bool:
        """Whether a member records what it hears."""
        first = 1 + self.plan.talking
        return first <= number < first + self.plan.ears

    @property
    def host(self) -> EngineProcess:
        """The first."""
        return self.engines[0]

    @property
    def talkers(self) -> list[EngineProcess]:
        """Who has something to say."""
        return self.engines[1 : 1 + self.plan.talking]

    @property
    def ears(self) -> list[EngineProcess]:
        """Listeners that record."""
        return [one for number, one in enumerate(self.engines) if self.is_ear(number)]

    @property
    def listeners(self) -> list[EngineProcess]:
        """Those who neither talk nor record."""
        return self.engines[1 + self.plan.talking + self.plan.ears :]

    def counts(self) -> dict[str, int]:
        """What the relay has counted."""
        question = urllib.request.Request(
            f"http://127.0.0.1:{self.metrics}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(question, timeout=5) as answer:
            found = re.findall(r"^vchat_relay_(\w+) (\d+)", answer.read().decode(), re.MULTILINE)
        return {name: int(value) for name, value in found}

    def kinds(self) -> dict[str, list[Program]]:
        """Processes by what they do."""
        return {
            "host": [self.host],
            "talker": [*self.talkers],
            "listener": [*self.listeners],
            "recorder": [*self.ears],
            "relay": [self.relay],
            "signal": [self.server],
        }

    def close(self) -> None:
        """All at once: nobody has to be polite."""
        for program in reversed(self.programs):
            program.kill()


@contextlib.contextmanager
def crowd(plan: Plan, folder: Path) -> Iterator[Crowd]:
    """A crowd that is cleared away at the end."""
    one = Crowd(plan, folder)
    try:
        one.serve()
        yield one
    finally:
        one.close()


# The story of one run


def gather(one: Crowd) -> None:
    """Everybody is started, nobody is in the room but the host."""
    one.engine(0, "host", "--guests", "63", "--relay", one.relay_address)
    one.host.wait("room", PATIENCE)
    for number in range(1, one.plan.members):
        one.engine(number, "join")
        if number % AT_ONCE == 0:
            for engine in one.engines[-AT_ONCE:]:
                _wait_until_idle(engine.process.pid)
    for engine in one.engines[1:]:
        _wait_until_idle(engine.process.pid)


def _wait_until_idle(pid: int, limit: float = 20.0) -> None:
    """It has been imported and waits for its code."""
    deadline, before = time.monotonic() + limit, -1.0
    while time.monotonic() < deadline:
        now = cpu_seconds(pid)
        if now == before and now > 0.2:
            return
        before = now
        time.sleep(0.3)


@dataclass
class Joined:
    """How long one member took, in seconds from its code."""

    room: float
    paths: float
    """Until it had a path to everybody who was there."""
    host: float
    """CPU that it cost the host until the next one came."""
    guest: float
    """Likewise each guest who was there, in the mean."""


def join(one: Crowd) -> list[Joined]:
    """All come in, each ``pace`` seconds after the one before is in the room."""
    code, begun, costs = one.host.code, [], []
    for number, engine in enumerate(one.engines[1:], 1):
        inside = one.engines[:number]
        before = [cpu_seconds(there.process.pid) for there in inside]
        begun.append(time.monotonic())
        engine.write(code.encode() + b"\n")
        engine.wait("room", PATIENCE)
        if engine in one.talkers:
            engine.say("mute", on=True)
        time.sleep(one.plan.pace)
        after = [cpu_seconds(there.process.pid) for there in inside]
        host, *guests = [now - then for now, then in zip(after, before, strict=True)]
        costs.append((host, statistics.mean(guests or [0.0])))
    found = []
    for engine, began, cost in zip(one.engines[1:], begun, costs, strict=True):
        room = engine.wait("room", PATIENCE)["seen"] - began
        earlier = one.engines[: one.engines.index(engine)]
        paths = max(_path(engine, other)["seen"] for other in earlier) - began
        found.append(Joined(room, paths, *cost))
    for engine in one.engines:
        for other in one.engines:
            if other is not engine:
                _path(engine, other)
    return found


def _path(engine: EngineProcess, other: EngineProcess) -> Told:
    return engine.wait(
        "path", PATIENCE, member=other.member, where=lambda told: told["rung"] != "none"
    )


def talk(one: Crowd) -> list[float]:
    """The talkers unmute; seconds until each of the others heard all of them."""
    marks = [engine.mark() for engine in one.engines]
    began = time.monotonic()
    for talker in one.talkers:
        talker.say("mute", on=False)
    found = []
    for engine, since in zip(one.engines, marks, strict=True):
        others = [talker for talker in one.talkers if talker is not engine]
        heard = [
            engine.wait("talking", PATIENCE, since, member=talker.member, on=True)["seen"]
            for talker in others
        ]
        found.append(max(heard, default=began) - began)
    return found


@dataclass
class Costs:
    """Of everything, for a while."""

    shares: dict[str, list[float]]
    """Of one core, by kind."""
    copies: float
    """Datagrams per second that the relay sent."""
    bytes: float
    """Likewise, without IP and UDP."""


def measure(one: Crowd) -> Costs:
    """What all processes cost for ``seconds``."""
    kinds = one.kinds()
    pids = [program.process.pid for programs in kinds.values() for program in programs]
    counts, began = one.counts(), time.monotonic()
    before = {pid: cpu_seconds(pid) for pid in pids}
    time.sleep(one.plan.seconds)
    after, passed = {pid: cpu_seconds(pid) for pid in pids}, time.monotonic() - began
    more = one.counts()
    shares = {
        kind: [(after[p.process.pid] - before[p.process.pid]) / passed for p in programs]
        for kind, programs in kinds.items()
    }
    return Costs(
        shares,
        (more["forwarded_total"] - counts["forwarded_total"]) / passed,
        (more["forwarded_bytes_total"] - counts["forwarded_bytes_total"]) / passed,
    )


# What was heard


@dataclass
class Ear:
    """One talker at one listener."""

    stoi: float
    concealed: float
    lost: float
    playout_ms: float


def listen(one: Crowd, told: dict[int, Told]) -> list[Ear]:
    """What the ears have on tape."""
    found = []
    for ear in one.ears:
        stats = told[one.engines.index(ear)]["members"]
        for number, talker in enumerate(one.talkers, 1):
            (path,) = (ear.folder / "tapes").glob(f"*-{talker.member}.wav")
            figures = stats[talker.member]
            found.append(
                Ear(
                    likeness(one.sounds[number - 1], recorded(path, LOOP + 4.0, PATIENCE)),
                    figures["concealed"],
                    figures["loss_in"],
                    figures["playout_ms"],
                )
            )
    return found


def likeness(loop: Samples, tape: Samples) -> float:
    """STOI of the newest round of a loop that a tape holds."""
    size = len(loop)
    end = len(tape) - RATE
    span = tape[end - size - 2 * RATE : end]
    spectrum = np.fft.rfft(np.tile(loop, 2)[: 2 * size], 2 * size)
    other = np.conj(np.fft.rfft(span[:size], 2 * size))
    turned = int(np.argmax(np.fft.irfft(spectrum * other, 2 * size)[:size]))
    window = np.roll(loop, -turned)[RATE : size - RATE]
    heard = best_pieces(window, span[RATE // 2 :])
    return heard.stoi


def _stats(one: Crowd) -> dict[int, Told]:
    """Figures of the ears since they were last asked."""
    found = {}
    for number, engine in enumerate(one.engines):
        if one.is_ear(number):
            since = engine.mark()
            engine.say("stats")
            found[number] = engine.wait("stats", PATIENCE, since)
    return found


# The table


def run(plan: Plan, folder: Path) -> dict[str, str]:
    """One run, as a column of figures."""
    began = time.monotonic()
    with crowd(plan, folder) as one:
        gather(one)
        _say(f"{plan.members} engines wait for the code after {time.monotonic() - began:.0f} s")
        joining = time.monotonic()
        joined = join(one)
        together = time.monotonic() - joining
        _say(f"all together after {together:.1f} s")
        time.sleep(SETTLED)
        idle = measure(one)
        heard = talk(one)
        _say(f"all hear all talkers after {max(heard):.2f} s")
        time.sleep(SETTLED)
        _stats(one)
        busy = measure(one)
        told = _stats(one)
        memory = {k: [resident_mb(p.process.pid) for p in ps] for k, ps in one.kinds().items()}
        ears = listen(one, told)
        warnings = Counter(told["code"] for e in one.engines for told in e.of("warning"))
        lost = sum(map(fallen, one.engines))
    return {
        **_joining(joined, together),
        "hears all talkers, median (ms)": f"{statistics.median(heard) * 1000:.0f}",
        "hears all talkers, worst (ms)": f"{max(heard) * 1000:.0f}",
        **_shares("idle", idle),
        **_shares("talk", busy),
        "relay, idle (datagrams/s)": f"{idle.copies:.0f}",
        "relay, talk (datagrams/s)": f"{busy.copies:.0f}",
        "of these copies of voice (/s)": f"{busy.copies - idle.copies:.0f}",
        "relay, talk (Mb/s)": f"{(busy.bytes + HEADERS * busy.copies) * 8 / 1e6:.2f}",
        "memory of a listener (MB)": _median(memory["listener"] or memory["talker"], "{:.0f}"),
        "memory of the host (MB)": _median(memory["host"], "{:.0f}"),
        "memory of the relay (MB)": _median(memory["relay"], "{:.0f}"),
        **_heard(ears),
        **{f"warnings: {code}": str(count) for code, count in warnings.items()},
        "paths that fell": f"{lost}",
    }


def _joining(joined: list[Joined], together: float) -> dict[str, str]:
    third = max(1, len(joined) // 3)
    return {
        "code -> room, first third (ms)": _median([j.room * 1000 for j in joined[:third]]),
        "code -> room, last third (ms)": _median([j.room * 1000 for j in joined[-third:]]),
        "code -> paths to all, first third (ms)": _median([j.paths * 1000 for j in joined[:third]]),
        "code -> paths to all, last third (ms)": _median([j.paths * 1000 for j in joined[-third:]]),
        "CPU of a join, host, first third (ms)": _median([j.host * 1000 for j in joined[:third]]),
        "CPU of a join, host, last third (ms)": _median([j.host * 1000 for j in joined[-third:]]),
        "CPU of a join, guest, last third (ms)": _median([j.guest * 1000 for j in joined[-third:]]),
        "all together (s)": f"{together:.1f}",
        "joins per second": f"{len(joined) / together:.2f}",
    }


def fallen(engine: EngineProcess) -> int:
    """How often a member lost the road to another; why there is none yet is told as well."""
    before: dict[str, str] = {}
    count = 0
    for told in engine.of("path"):
        count += told["rung"] == "none" != before.get(told["member"], "none")
        before[told["member"]] = told["rung"]
    return count


def _shares(when: str, costs: Costs) -> dict[str, str]:
    shown = {}
    for kind, shares in costs.shares.items():
        if shares:
            middle, worst = statistics.median(shares) * 100, max(shares) * 100
            shown[f"{when}: {kind} (% of a core)"] = (
                f"{middle:.1f}" if len(shares) == 1 else f"{middle:.1f} (max {worst:.1f})"
            )
    return shown


def _heard(ears: list[Ear]) -> dict[str, str]:
    if not ears:
        return {}
    return {
        "STOI at the ears, median": _median([ear.stoi for ear in ears], "{:.3f}"),
        "STOI at the ears, worst": f"{min(ear.stoi for ear in ears):.3f}",
        "frames made up, worst (%)": f"{max(ear.concealed for ear in ears) * 100:.2f}",
        "packets lost, worst (%)": f"{max(ear.lost for ear in ears) * 100:.2f}",
        "playout delay, median (ms)": _median([ear.playout_ms for ear in ears]),
    }


def _median(values: list[float], form: str = "{:.0f}") -> str:
    return form.format(statistics.median(values)) if values else "-"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _print(columns: dict[str, dict[str, str]]) -> None:
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    cells = [["", *columns]]
    cells += [[row, *(column.get(row, "") for column in columns.values())] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(cells[0]))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=30)
    parser.add_argument("--talking", type=int, default=3)
    parser.add_argument("--mesh", type=int, help="another limit of a mesh")
    parser.add_argument("--pace", type=float, default=0.5, help="seconds between two joins")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--compare", type=int, nargs="+", help="sizes, mesh beside forwarder")
    chosen = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    plans = {
        f"{chosen.members} members": Plan(
            chosen.members, chosen.talking, chosen.mesh, chosen.pace, chosen.seconds
        )
    }
    if chosen.compare:
        plans = {
            f"{size} {word}": Plan(
                size, min(chosen.talking, size - 1), mesh, chosen.pace, chosen.seconds, ears=0
            )
            for size in chosen.compare
            for word, mesh in (("mesh", 64), ("forwarder", 0))
        }
    columns = {}
    with tempfile.TemporaryDirectory(prefix="vchat-crowd-") as folder:
        for number, (title, plan) in enumerate(plans.items()):
            _say(f"{title} …")
            columns[title] = run(plan, Path(folder) / str(number))
    _print(columns)


if __name__ == "__main__":
    main()
