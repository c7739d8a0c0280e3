"""``vchat doctor`` in networks of several kinds says what they are."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.calls.engines import ROOT, environment
from tests.lab.meeting import Scene, scene
from tests.lab.net import Nat, Node, run
from tests.lab.opener import opener, why_no_opener

pytestmark = pytest.mark.usefixtures("lab")

RELAY_PORT = 3478
LIMIT = 5.0  # seconds of the network's part
REST = 5.0  # seconds of everything else, on a busy machine


@pytest.fixture
def world() -> Iterator[Scene]:
    """A signaling server and a relay at two public places."""
    with scene() as made:
        made.serve(made.world.host())
        yield made


def doctor(made: Scene, node: Node) -> dict[str, str]:
    """What is said, by what it is said of: ``ok``, ``warn`` or ``fail``, and the sentence."""
    relay = made.world.host()
    place = f"{relay.address}:{RELAY_PORT}"
    command = ["-m", "client", "relay", "--json", "--listen", f"0.0.0.0:{RELAY_PORT}"]
    made.stage.program(command, prefix=relay.prefix).wait("listening")
    servers = ("--signal", made.url, "--relay", place)
    began = time.monotonic()
    done = subprocess.run(
        [*node.prefix, sys.executable, "-m", "client", "doctor", *servers],
        capture_output=True,
        text=True,
        timeout=30.0,
        cwd=ROOT,
        env=environment(made.folder / "doctor"),
        check=False,
    )
    assert done.stderr == ""
    assert time.monotonic() - began < LIMIT + REST, done.stdout
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    said = {}
    for line in lines:
        what, _, sentence = line[6:].partition(": ")
        said[what] = f"{line[:4].strip()} {sentence}"
    return said


def test_in_the_open_everybody_can_be_met(world: Scene) -> None:
    node = world.world.host(ip6=True)
    said = doctor(world, node)
    assert said["nat"].startswith(f"ok none: others see {node.address}:")
    assert said["ipv6"].startswith("ok 2001:db8::") and "has a way out" in said["ipv6"]
    assert said["port mapping"] == "ok none, and none is needed"
    assert said["calls"] == "ok direct with everybody who can send udp"


def test_behind_a_usual_router_most_can_be_met(world: Scene) -> None:
    router = world.world.router(Nat.PORT_RESTRICTED)
    said = doctor(world, world.world.behind(router))
    assert said["signaling"].startswith(f"ok {world.url} answers after ")
    assert said["relay"].startswith("ok ") and " answers over udp after " in said["relay"]
    assert said["nat"].startswith("ok one outer port for all destinations (")
    assert router.address in said["nat"]
    assert said["hairpin"].startswith("ok no: ")
    assert said["filter"].startswith("ok cannot be told")
    assert said["port mapping"] == "warn no router here opens ports"
    assert said["ipv6"] == "warn no global address with a way out"
    assert said["calls"].startswith("ok direct with everybody but people whose network changes")


def test_behind_a_router_that_changes_ports_few_can_be_met(world: Scene) -> None:
    said = doctor(world, world.world.behind(world.world.router(Nat.SYMMETRIC)))
    assert said["nat"].startswith("warn another outer port for each destination (")
    assert said["calls"] == "warn direct only with people who can be reached from anywhere"
    assert "hairpin" not in said


def test_where_udp_is_blocked_nobody_can_be_met(world: Scene) -> None:
    router = world.world.router(Nat.PORT_RESTRICTED)
    rule = "insert rule ip home through meta l4proto udp drop"
    run(*router.prefix, "nft", "-f", "-", text=rule)
    said = doctor(world, world.world.behind(router))
    assert said["signaling"].startswith("ok ")
    assert said["udp out"] == "warn signaling does not answer over udp"
    assert said["relay"].startswith("ok wss://") and " over tcp after " in said["relay"]
    assert said["nat"] == "warn cannot be told: no server answered over udp"
    assert said["calls"].endswith("this network, with all others over tcp by a relay")


def test_a_router_that_maps_ports_makes_up_for_one_that_changes_them(world: Scene) -> None:
    if (why := why_no_opener()) is not None:
        pytest.skip(why)
    router = world.world.router(Nat.SYMMETRIC)
    with opener(world.world, router) as opened:
        said = doctor(world, world.world.behind(router))
        assert opened.doors() == 0
    assert said["nat"].startswith("warn another outer port for each destination (")
    assert said["port mapping"] == f"ok by PCP, at {opened.outside}"
    assert said["calls"] == "ok direct with everybody who can send udp"


def test_a_router_is_left_alone_when_told_to(world: Scene) -> None:
    folder = world.folder / "doctor" / "config"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("no_port_mapping = true\n")
    said = doctor(world, world.world.behind(world.world.router(Nat.PORT_RESTRICTED)))
    assert said["port mapping"] == "ok not asked for (no_port_mapping)"
