"""What a room finds at public addresses: a signaling server and relays, in both families.

    relays ── secret file ── signaling server, which grants slots and names the relays

An open relay has no secret; then the signaling server grants nothing.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from tests.calls.engines import EngineProcess, Program
from tests.lab.meeting import SIGNAL_PORT, Scene
from tests.lab.net import Node

RELAY_PORT = 3478
EVERYWHERE = "0.0.0.0"  # of both families


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@dataclass
class RelayDaemon:
    """One ``vchat relay`` in its place."""

    scene: Scene
    node: Node
    name: str
    options: tuple[str, ...]
    program: Program
    address: str = ""
    """How clients are told of it."""

    @classmethod
    def start(cls, scene: Scene, name: str, *options: str) -> RelayDaemon:
        """Run one at an address of its own."""
        node = scene.world.host(ip6=True)
        daemon = cls(scene, node, name, options, _run(scene, node, name, options))
        pin = daemon.program.wait("listening")["pin"]
        ends = (f"{_bracketed(one)}:{RELAY_PORT}#{pin}" for one in (node.address, node.address6))
        daemon.address = ",".join(ends)
        return daemon

    def again(self) -> None:
        """After its end: the same address, the same certificate, nothing else remembered."""
        self.program = _run(self.scene, self.node, self.name, self.options)
        self.program.wait("listening")


def _run(scene: Scene, node: Node, name: str, options: tuple[str, ...]) -> Program:
    listen = (
        "--json",
        "--listen",
        f"{EVERYWHERE}:{RELAY_PORT}",
        "--state",
        str(scene.folder / name),
    )
    command = ["-m", "relay.cli", *listen, *options]
    return scene.stage.program(command, prefix=node.prefix, folder=scene.folder / name)


@dataclass
class Services:
    """All of them."""

    scene: Scene
    node: Node
    """Where the signaling server is."""
    command: list[str]
    relays: list[RelayDaemon]
    signal: Program = field(init=False)

    @classmethod
    def start(cls, scene: Scene, relays: int = 1, *, opened: bool = False) -> Services:
        """Run a signaling server and so many relays that it knows."""
        secret = scene.folder / "secret"
        secret.write_text(os.urandom(32).hex())
        secret.chmod(0o600)
        own = () if opened else ("--secret-file", str(secret))
        daemons = [RelayDaemon.start(scene, f"relay{number}", *own) for number in range(relays)]
        named = [word for one in daemons for word in ("--relay", one.address)]
        signs = [] if opened or not relays else ["--relay-secret-file", str(secret)]
        node = scene.world.host(ip6=True)
        command = ["-m", "signaling.cli", "--json", "--listen", f"{EVERYWHERE}:{SIGNAL_PORT}"]
        services = cls(scene, node, [*command, *named, *signs], daemons)
        services.again()
        return services

    def again(self) -> None:
        """Start the signaling server, for the first time or after its end."""
        self.signal = self.scene.stage.program(
            self.command, prefix=self.node.prefix, folder=self.scene.folder / "signal"
        )
        self.signal.wait("listening")

    def url(self, node: Node) -> str:
        """The signaling server in a family that a machine has."""
        server = self.node.address6 if ":" in node.address else self.node.address
        return f"ws://{_bracketed(server)}:{SIGNAL_PORT}"

    def host(self, node: Node, *options: str, **sound: str) -> EngineProcess:
        """Somebody opens a room there, humming."""
        sound = {"mic": "tone:440", **sound}
        stage = self.scene.stage
        return stage.host(*options, signal=self.url(node), prefix=node.prefix, **sound)

    def join(self, node: Node, code: str, *options: str, **sound: str) -> EngineProcess:
        """Somebody joins there."""
        server = ("--signal", self.url(node))  # the code names it as the host sees it
        return self.scene.stage.join(code, *server, *options, prefix=node.prefix, **sound)

    def busiest(self, seconds: float = 0.5) -> RelayDaemon:
        """The relay that forwards."""
        before = [self.scene.world.received(one.node) for one in self.relays]
        time.sleep(seconds)
        after = [self.scene.world.received(one.node) for one in self.relays]
        moved = [b - a for a, b in zip(before, after, strict=True)]
        return self.relays[moved.index(max(moved))]
