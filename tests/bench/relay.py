"""What forwarding costs: beside coturn, beside Mumble's server, and how much fits in a core.

    python -m tests.bench.relay [--seconds 2] [--rounds 3]

CPU is that of the server's process, from /proc. Peers run at the same rates, in
turns with ours, in the same run; what is not installed is left out. Everything is
on loopback and bounded in number and time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.process import cpu_seconds
from tests.bench.turn import Coturn, TurnSender
from tests.calls.engines import ROOT
from vc_core.envelope import (
    ATTACHED,
    Claim,
    read_cookie,
    write_claim,
    write_hello,
    write_pass,
    write_ping,
    write_want,
)
from vc_core.grant import Claims, make_grant, open_secret, prove

# Implementation
LIFTED = (
    "rate=1000000000 room_work=1e11 total_work=1e11 slots=20000 slots_per_customer=20000 "
    "rooms=20000 hellos=1e9/1e9 claims=1e9/1e9 all_hellos=1e9/1e9"
)
ROOM = b"bench room 16 b."
TICK = 0.0005  # s between two looks at what is due


class RelayProcess:
    """``vchat relay`` on a free port of loopback, open, without limits."""

    def __init__(self) -> None:
        limits = [word for limit in LIFTED.split() for word in ("--limit", limit)]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "relay.cli", "--listen", "127.0.0.1:0", "--no-tcp"),
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


def pump(
    sender: socket.socket,
    data: bytes,
    receivers: list[socket.socket],
    rate: float,
    seconds: float,
) -> tuple[int, int]:
    """Send at a rate; (sent, received)."""
    for one in (sender, *receivers):
        one.setblocking(False)
    began = time.monotonic()
    sent = received = 0
    while (passed := time.monotonic() - began) < seconds:
        due = min(int(passed * rate), int(seconds * rate)) - sent
        for _ in range(due):
            sender.send(data)
        sent += due
        received += sum(map(drain, receivers))
        time.sleep(TICK)
    time.sleep(0.05)
    return sent, received + sum(map(drain, receivers))


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

    def stop(self) -> None:
        """End it."""
        self.server.stop()


def cost(side: Ours | Theirs, size: int, rate: float, seconds: float) -> tuple[float, float]:
    """(µs of the server per packet sent, share that arrived)."""
    data = side.wrap(b"\x80" + bytes(size - 1))
    before = cpu_seconds(side.pid)
    sent, received = pump(side.sender, data, [side.receiver], rate, seconds)
    return 1e6 * (cpu_seconds(side.pid) - before) / sent, received / sent


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
        for size in (160, 1150):
            for rate in (1_000, 10_000):
                took: dict[str, list[float]] = {side.name: [] for side in sides}
                lost: dict[str, float] = {}
                for _ in range(rounds):
                    for side in sides:
                        micros, arrived = cost(side, size, rate, seconds)
                        took[side.name].append(micros)
                        lost[side.name] = max(lost.get(side.name, 0), 1 - arrived)
                ours = median(took["vchat"])
                what = f"{size} B, {rate} a second"
                if len(sides) == 1:
                    print(f"{what:32}{ours:9.1f} µs{'none':>12}")
                    continue
                theirs = median(took["coturn"])
                verdict = "ok" if ours <= 1.2 * theirs else "MISSED"
                gone = ", ".join(f"{n} lost {x:.1%}" for n, x in lost.items() if x > 0.001)
                figures = f"{ours:9.1f} µs{theirs:9.1f} µs{ours / theirs:8.2f}"
                print(f"{what:32}{figures}  {verdict}  {gone}", flush=True)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each figure")
    chosen = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    forwarding(chosen.seconds, chosen.rounds)


if __name__ == "__main__":
    main()
