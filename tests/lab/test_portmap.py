"""Port mapping between real networks, with the real miniupnpd."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.net.portmap import natpmp, pcp
from tests.calls.engines import Program
from tests.calls.stage import Stage
from tests.lab.net import Nat, Node, World
from tests.lab.opener import opener, why_no_opener

pytestmark = pytest.mark.usefixtures("lab")

PATIENCE = 5.0
TONGUES: dict[str, dict[str, Any]] = {
    "PCP": {"deaf": natpmp.VERSION},
    "NAT-PMP": {"deaf": pcp.VERSION},
    "UPnP": {"pcp": False},
}


@pytest.fixture(autouse=True)
def miniupnpd() -> None:
    """It is installed."""
    if (why := why_no_opener()) is not None:
        pytest.skip(why)


class Caller:
    """A process of ``tests.lab.caller``."""

    def __init__(self, stage: Stage, node: Node, *words: str) -> None:
        command = ["-m", "tests.lab.caller", *words]
        self.program: Program = stage.program(command, prefix=node.prefix)
        self._told = 0

    def described(self) -> list[dict[str, object]]:
        """All that it said of itself, once it is complete."""
        self.program.wait("described", done=True)
        return self.program.of("described")

    def hear(self, other: Caller) -> None:
        """Tell it what the other end said."""
        for said in other.described():
            self.program.stdin.write(json.dumps(said).encode() + b"\n")
        self.program.stdin.flush()

    def end(self) -> float:
        """Seconds that letting go of the router took."""
        self.program.stdin.write(b"\n")
        self.program.stdin.flush()
        return float(self.program.wait("over")["seconds"])

    @property
    def candidates(self) -> list[str]:
        """The lines of all descriptions."""
        return [line for one in self.described() for line in one["candidates"]]  # type: ignore[attr-defined]


def comes(condition: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("tongue", TONGUES)
def test_two_symmetric_networks_meet_because_one_router_maps_ports(
    tongue: str, tmp_path: Path
) -> None:
    with World() as world, Stage(tmp_path) as stage:
        routers = [world.router(Nat.SYMMETRIC) for _ in range(2)]
        homes = [world.behind(router) for router in routers]
        with opener(world, routers[0], **TONGUES[tongue]) as opened:
            one = Caller(stage, homes[0], "leading", "map")
            two = Caller(stage, homes[1], "following")
            (line,) = [line for line in one.candidates if f" {opened.outside} " in line]
            assert " typ srflx " in line and opened.doors() == 1
            one.hear(two)
            two.hear(one)
            for caller in (one, two):
                caller.program.wait("connected")
                assert caller.program.wait("got")["fine"]
            assert one.end() < 0.5
            assert comes(lambda: opened.doors() == 0)
            two.end()
            if "deaf" in TONGUES[tongue]:
                assert min(opened.unheard()) > 0


def test_a_router_that_maps_nothing_delays_no_exit(tmp_path: Path) -> None:
    with World() as world, Stage(tmp_path) as stage:
        home = world.behind(world.router(Nat.SYMMETRIC))
        caller = Caller(stage, home, "leading", "map")
        (line,) = caller.candidates
        assert f" {home.address} " in line
        assert caller.end() < 0.5
