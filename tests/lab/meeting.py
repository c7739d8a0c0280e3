"""Two people in two places of a small internet, and how long they take to hear each other."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from tests.calls.engines import EngineProcess, Program
from tests.calls.stage import Stage
from tests.client.net import turn_server
from tests.lab.net import Node, World

SIGNAL_PORT = 8765  # nobody else is in the namespace
TURN_PORT = 3478


@dataclass
class Times:
    """Seconds of one meeting."""

    room: float
    """From the start of ``vchat join`` to its ``room`` event."""
    heard: float
    """From that ``room`` event to the first voice of the host."""
    notes: list[str] = field(default_factory=list)


@dataclass
class Scene:
    """A world, a stage in it, and a signaling server at a public place."""

    world: World
    stage: Stage
    folder: Path
    server: Program | None = None
    url: str = ""

    def serve(self, node: Node) -> None:
        """Run ``vchat signal`` there."""
        everywhere = f"{'[::]' if ':' in node.address else '0.0.0.0'}:{SIGNAL_PORT}"
        command = ["-m", "signaling.cli", "--json", "--listen", everywhere]
        folder = self.folder / "signal"
        self.server = self.stage.program(command, prefix=node.prefix, folder=folder)
        self.server.wait("listening")
        host = f"[{node.address}]" if ":" in node.address else node.address
        self.url = f"ws://{host}:{SIGNAL_PORT}"

    @contextmanager
    def turn(self, node: Node) -> Iterator[tuple[str, Path]]:
        """Run a TURN server of somebody else there: its URI and its log."""
        folder = self.folder / "turn"
        folder.mkdir()
        command = turn_server.command(node.address, TURN_PORT, folder, "--no-tls", "--verbose")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*node.prefix, *command], stdout=log, stderr=log, cwd=folder)
            try:
                credentials = f"{turn_server.USER}:{quote(turn_server.PASSWORD, safe='')}"
                yield f"turn:{credentials}@{node.address}:{TURN_PORT}", folder / "log"
            finally:
                process.terminate()
                process.wait()

    def far(self, delay: float, loss: float = 0.0, seed: int = 1) -> Node:
        """A machine at the end of a long wire, ``delay`` seconds one way."""
        ends = self.world.ends()
        words = ["-m", "tests.lab.wire", *ends, str(delay), str(loss), str(seed)]
        self.stage.program(words, prefix=self.world.backbone.prefix).wait("laid")
        return self.world.host(wire=ends)

    def host(self, node: Node, *options: str, **sound: str) -> EngineProcess:
        """Somebody opens a room there, humming."""
        sound = {"mic": "tone:440", **sound}
        return self.stage.host(*options, signal=self.url, prefix=node.prefix, **sound)

    def join(self, node: Node, code: str, *options: str, **sound: str) -> EngineProcess:
        """Somebody joins there."""
        server = ["--signal", self.url] if "@" not in code and self.url else []
        return self.stage.join(code, *server, *options, prefix=node.prefix, **sound)

    def meet(
        self, one: Node, two: Node, *options: str
    ) -> tuple[EngineProcess, EngineProcess, Times]:
        """A host at ``one``, a guest at ``two``, until the guest hears the host and can write."""
        host = self.host(one, *options)
        guest = self.join(two, host.code, *options)
        return host, guest, until_heard(host, guest)


def until_heard(host: EngineProcess, guest: EngineProcess) -> Times:
    """Wait for it, and for a text each way."""
    guest.meets(host)
    heard = guest.wait("talking", member=host.member, on=True)["seen"]
    for one, other in ((host, guest), (guest, host)):
        one.say("chat", text=f"from {one.member}")
        other.wait("chat", text=f"from {one.member}")
    room = guest.room["seen"]
    return Times(room - guest.started, heard - room)


@contextmanager
def scene() -> Iterator[Scene]:
    """Everything is gone afterwards, processes first."""
    with World() as world, TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        yield Scene(world, stage, Path(folder))


def since(told: dict[str, float]) -> float:
    """Seconds since an event was seen."""
    return time.monotonic() - told["seen"]
