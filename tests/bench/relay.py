"""What forwarding costs: beside coturn, beside Mumble's server, and how much fits in a core.

    python -m tests.bench.relay [--seconds 0.7] [--rounds 9]

CPU is that of the server's process, from /proc. Peers run at the same rates, in
turns with ours, in the same run; what is not installed is left out. What one sends at
a rate goes out in small bursts, as its clock ticks; packets of many come at random,
and most find a server that sleeps. Everything is on loopback and bounded in number
and time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.mumble import MumbleClient, Murmur
from tests.bench.process import resident_mb, run_seconds
from tests.bench.turn import Coturn, TurnSender
from tests.calls.engines import ROOT
from tests.relay.callers import Web, attach, dial
from vc_core.envelope import (
    ATTACHED,
    EVERYBODY,
    Claim,
    read_cookie,
    write_claim,
    write_hello,
    write_pass,
    write_ping,
    write_spread,
    write_want,
)
from vc_core.grant import Claims, make_grant, open_secret, prove

# Implementation
LIFTED = (
    "rate=1000000000 room_work=1e11 total_work=1e11 slots=20000 slots_per_customer=20000 "
    "rooms=20000 connections=20000 connections_per_customer=20000 "
    "hellos=1e9/1e9 claims=1e9/1e9 all_hellos=1e9/1e9"
)
ROOM = b"bench room 16 b."
TICK = 0.0005  # s between two looks at what is due
VOICE = 160  # bytes of a frame
RECEIVERS = 29
UNDER_WAY = 1500  # datagrams that are not back yet, when as many as possible are wanted
UDP_SEGMENT = 103  # Linux: many datagrams in one call, for the load


class RelayProcess:
    """``vchat relay`` on a free port of loopback, open, without limits."""

    def __init__(self) -> None:
        limits = [word for limit in LIFTED.split() for word in ("--limit", limit)]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "relay.cli", "--listen", "127.0.0.1:0"),
                *("--json", "--grace", "0", *limits),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.port = int(json.loads(self._process.stdout.readline())["port"])

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)


class Client:
    """One member of a room at a relay."""

    def __init__(self, port: int, slot: int, room: bytes = ROOM) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(2)
        cookie = read_cookie(self._ask(write_hello())).cookie
        claims = Claims(room, slot, 1_000_000_000, int(time.time()) + 600)
        grant = make_grant(open_secret(), claims)
        proof = prove(grant.key, cookie, grant.claims)
        answer = self._ask(write_claim(Claim(cookie, grant.claims, grant.tag, proof)))
        assert answer[0] == ATTACHED, answer

    def want(self, slot: int) -> None:
        """Subscribe to voice."""
        self.socket.send(write_want(1, ((slot, 0),)))
        self._ask(write_ping(1))

    def _ask(self, data: bytes) -> bytes:
        self.socket.send(data)
        return self.socket.recv(2048)


def drain(one: socket.socket) -> int:
    """How many datagrams wait; they are read."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            one.recv(2048)
            count += 1
    return count


def evenly(rate: float, seconds: float) -> list[float]:
    """When packets are due of one who sends at a rate."""
    return [number / rate for number in range(int(seconds * rate))]


def at_random(rate: float, seconds: float) -> list[float]:
    """When those of many are, who know nothing of each other."""
    chance = random.Random(1)
    return sorted(chance.uniform(0, seconds) for _ in range(int(seconds * rate)))


def pump(
    sender: socket.socket,
    data: bytes,
    receiver: socket.socket,
    times: list[float],
    tick: float,
) -> int:
    """Send what is due at each tick, without one at once; how many arrive."""
    for one in (sender, receiver):
        one.setblocking(False)
    began = time.monotonic()
    received = 0
    for number, due in enumerate(times):
        while time.monotonic() - began < due:
            if tick:
                time.sleep(tick)
        sender.send(data)
        if number % 16 == 0:
            received += drain(receiver)
    time.sleep(0.05)
    return received + drain(receiver)


class Ours:
    """A relay with one who sends and one who receives."""

    name = "vchat"

    def __init__(self) -> None:
        self.server = RelayProcess()
        self.sender, self.receiver = (Client(self.server.port, slot).socket for slot in (1, 2))
        self.pid = self.server.pid

    def wrap(self, inner: bytes) -> bytes:
        """As it is sent."""
        return write_pass(2, inner)

    def stay(self) -> None:
        """Sign of life."""
        self.receiver.send(write_ping(1))

    def stop(self) -> None:
        """End it."""
        self.server.stop()


class Theirs:
    """coturn with one who sends and one who receives."""

    name = "coturn"

    def __init__(self, folder: Path) -> None:
        self.server = Coturn(folder)
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.receiver.bind(("127.0.0.1", 0))
        address = ("127.0.0.1", self.server.port)
        self._turn = TurnSender(address, self.receiver.getsockname())
        self.sender = self._turn.socket
        self.pid = self.server.pid

    def wrap(self, inner: bytes) -> bytes:
        """As it is sent."""
        return self._turn.wrap(inner)

    def stay(self) -> None:
        """An allocation lives ten minutes by itself."""

    def stop(self) -> None:
        """End it."""
        self.server.stop()


def cost(side: Ours | Theirs, size: int, times: list[float], tick: float) -> tuple[float, float]:
    """(µs of the server per packet sent, share that arrived)."""
    data = side.wrap(b"\x80" + bytes(size - 1))
    side.stay()
    before = run_seconds(side.pid)
    received = pump(side.sender, data, side.receiver, times, tick)
    return 1e6 * (run_seconds(side.pid) - before) / len(times), received / len(times)


@contextlib.contextmanager
def beside_coturn() -> Iterator[list[Ours | Theirs]]:
    """Both, or ours alone."""
    with tempfile.TemporaryDirectory(prefix="vchat-bench-") as folder:
        sides: list[Ours | Theirs] = [Ours()]
        if shutil.which("turnserver"):
            sides.append(Theirs(Path(folder)))
        try:
            yield sides
        finally:
            for side in sides:
                side.stop()


def forwarding(seconds: float, rounds: int) -> None:
    """One packet to one other, at equal rates, in turns."""
    print(f"{'CPU per forwarded packet':32}{'vchat':>12}{'coturn':>12}{'ratio':>8}  goal 1.2")
    with beside_coturn() as sides:
        for size, rate in itertools.product((160, 1150), (1_000, 10_000)):
            compare(sides, f"{size} B, {rate} a second", size, evenly(rate, seconds), rounds)
        for size, rate in itertools.product((160, 1150), (1_000, 10_000)):
            times = at_random(rate, seconds)
            compare(sides, f"{size} B, {rate}, at random", size, times, rounds, tick=0)


def compare(
    sides: list[Ours | Theirs],
    what: str,
    size: int,
    times: list[float],
    rounds: int,
    tick: float = TICK,
) -> None:
    """The same packets through each in turns."""
    took: dict[str, list[float]] = {side.name: [] for side in sides}
    lost = dict.fromkeys(took, 0.0)
    for _ in range(rounds):
        for side in sides:
            micros, arrived = cost(side, size, times, tick)
            took[side.name].append(micros)
            lost[side.name] = max(lost[side.name], 1 - arrived)
    show(what, took, 1.2)
    for name, share in lost.items():
        if share > 0.001:
            print(f"{'':32}{name} lost {share:.1%}")


def copying(seconds: float, rounds: int) -> None:
    """One voice to 29 others, at equal rates, in turns."""
    print(f"\n{'CPU per copy of a voice':32}{'vchat':>12}{'Mumble':>12}{'ratio':>8}  goal 1.0")
    with beside_mumble() as sides:
        for rate in (50, 500):  # one who speaks, and ten as fast
            took: dict[str, list[float]] = {side.name: [] for side in sides}
            for _ in range(rounds):
                for side in sides:
                    took[side.name].append(copy_cost(side, rate, seconds))
            show(f"{RECEIVERS} copies, {rate} a second", took, 1.0)


def copy_cost(side: OurRoom | MumbleRoom, rate: float, seconds: float) -> float:
    """µs of the server per copy that arrived."""
    side.stay()
    time.sleep(0.1)
    for one in side.receivers:
        one.setblocking(False)
        drain(one)
    before, began = run_seconds(side.pid), time.monotonic()
    sent = received = 0
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(int(passed * rate) - sent):
            side.speak()
            sent += 1
        time.sleep(TICK)
        if sent % 16 == 0:
            received += sum(map(drain, side.receivers))
    time.sleep(0.1)
    received += sum(map(drain, side.receivers))
    assert received >= 0.98 * sent * RECEIVERS, f"{side.name}: {received} of {sent * RECEIVERS}"
    return 1e6 * (run_seconds(side.pid) - before) / received


class OurRoom:
    """Somebody who speaks and 29 who listen, at a relay."""

    name = "vchat"

    def __init__(self) -> None:
        self.server = RelayProcess()
        self.pid = self.server.pid
        self._clients = [Client(self.server.port, slot) for slot in range(RECEIVERS + 1)]
        for one in self._clients:
            one.want(EVERYBODY)
        self.receivers = [one.socket for one in self._clients[1:]]
        self._packet = write_spread(0, b"\x80" + bytes(VOICE - 1))

    def stay(self) -> None:
        """Sign of life."""
        for one in self._clients:
            one.socket.send(write_ping(1))

    def speak(self) -> None:
        """One frame."""
        self._clients[0].socket.send(self._packet)

    def stop(self) -> None:
        """End it."""
        self.server.stop()


class MumbleRoom:
    """The same at Mumble's server."""

    name = "Mumble"

    def __init__(self, folder: Path, program: str) -> None:
        self.server = Murmur(folder, program)
        self.pid = self.server.pid
        names = (f"user{number}" for number in range(RECEIVERS + 1))
        self._clients = [MumbleClient(self.server.port, name) for name in names]
        self.receivers = [one.socket for one in self._clients[1:]]

    def stay(self) -> None:
        """Sign of life."""
        for one in self._clients:
            one.stay()

    def speak(self) -> None:
        """One frame."""
        speaker = self._clients[0]
        speaker.socket.send(speaker.voice(VOICE))

    def stop(self) -> None:
        """End it."""
        self.server.stop()


@contextlib.contextmanager
def beside_mumble() -> Iterator[list[OurRoom | MumbleRoom]]:
    """Both, or ours alone."""
    program = shutil.which("murmurd") or shutil.which("mumble-server")
    with tempfile.TemporaryDirectory(prefix="vchat-bench-") as folder:
        sides: list[OurRoom | MumbleRoom] = [OurRoom()]
        if program:
            sides.append(MumbleRoom(Path(folder), program))
        try:
            yield sides
        finally:
            for side in sides:
                side.stop()


def show(what: str, took: dict[str, list[float]], goal: float) -> None:
    """A line: ours, theirs, ratio, verdict."""
    ours, *theirs = (median(values) for values in took.values())
    if not theirs:
        print(f"{what:32}{ours:9.2f} µs{'none':>12}", flush=True)
        return
    verdict = "ok" if ours <= goal * theirs[0] else "MISSED"
    figures = f"{ours:9.2f} µs{theirs[0]:9.2f} µs{ours / theirs[0]:8.2f}"
    print(f"{what:32}{figures}  {verdict}", flush=True)


def saturation(seconds: float) -> None:
    """As much as one core forwards: the sender always has some under way."""
    side = Ours()
    try:
        for size in (160, 1150):
            data = side.wrap(b"\x80" + bytes(size - 1))
            burst = min(64000 // len(data), 50)
            segment = [(socket.IPPROTO_UDP, UDP_SEGMENT, len(data).to_bytes(2, sys.byteorder))]
            for one in (side.sender, side.receiver):
                one.setblocking(False)
            sent = received = 0
            before, began = run_seconds(side.pid), time.monotonic()
            while time.monotonic() - began < seconds:
                while sent - received < UNDER_WAY:
                    side.sender.sendmsg([data * burst], segment)
                    sent += burst
                received += drain(side.receiver)
            cpu, passed = run_seconds(side.pid) - before, time.monotonic() - began
            print(f"{f'forwarded, {size} B':32}{received / cpu:9.0f} per CPU second")
            print(f"{'':32}{received / passed:9.0f} per second beside its load")
            if size == 160:
                print(f"{'voice streams per core':32}{received / cpu / 50:9.0f}")
    finally:
        side.stop()


def memory(count: int) -> None:
    """What one more client costs, in rooms of eight who want each other's voice."""
    server = RelayProcess()
    try:
        warm = [Client(server.port, slot, b"warm" * 4) for slot in range(8)]
        before = resident_mb(server.pid)
        clients = [
            Client(server.port, number % 8, (number // 8).to_bytes(16, "big"))
            for number in range(count)
        ]
        for one in clients:
            one.want(EVERYBODY)
            one.socket.send(write_spread(0, b"\x80" + bytes(160)))
        clients[-1].want(EVERYBODY)
        each = 1000 * (resident_mb(server.pid) - before) / count
        verdict = "ok" if each <= 50 else "MISSED"
        print(f"{f'memory, {count} clients':32}{each:9.1f} kB each  goal 50  {verdict}")
        for one in (*warm, *clients):
            one.socket.close()
    finally:
        server.stop()


def web_memory(count: int) -> None:
    """The same over WebSocket and TLS."""
    server = RelayProcess()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

    async def attach_all(amount: int, first: int) -> list[Web]:
        webs = [await dial(server.port, tls) for _ in range(amount)]
        for number, web in enumerate(webs, first):
            room = (number // 8).to_bytes(16, "big")
            await attach(web, number % 8, room, open_secret())
            await web.send(write_want(1, ((EVERYBODY, 0),)))
            await web.send(write_ping(1))
            await web.receive()
        return webs

    async def measure() -> float:
        warm = await attach_all(8, 0)
        before = resident_mb(server.pid)
        webs = await attach_all(count, 8)
        each = 1000 * (resident_mb(server.pid) - before) / count
        for web in (*warm, *webs):
            web.connection.transport.abort()
        return each

    try:
        each = asyncio.run(measure())
    finally:
        server.stop()
    verdict = "ok" if each <= 50 else "MISSED"
    print(f"{f'memory, {count} over TLS':32}{each:9.1f} kB each  goal 50  {verdict}")


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.7, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each figure")
    parser.add_argument("--parts", nargs="*", default=["forwarding", "copying", "capacity"])
    parser.add_argument("--clients", type=int, default=800, help="whose memory is measured")
    chosen = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    if "forwarding" in chosen.parts:
        forwarding(chosen.seconds, chosen.rounds)
    if "copying" in chosen.parts:
        copying(chosen.seconds, chosen.rounds)
    if "capacity" in chosen.parts:
        saturation(3 * chosen.seconds)
        memory(chosen.clients)
        web_memory(chosen.clients // 4)


if __name__ == "__main__":
    main()
