"""Networks: the short cases of the lab, and what the kernel tells."""

from __future__ import annotations

import time

import pytest

from tests.calls.stage import Stage
from tests.lab.cases import SHORT, Case
from tests.lab.meeting import scene
from tests.lab.net import World, run


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.__name__)
def test_a_call_between_networks_works_with(case: Case, lab: None) -> None:
    with scene() as made:
        times = case(made)
    print(f"{case.__name__}: {times}")


WATCHING = """
import asyncio, json
from client.net.interfaces import watch

def tell(event):
    print(json.dumps({"event": event}), flush=True)

async def main():
    watch(lambda: tell("changed"))
    tell("watching")
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_kernel_tells_of_a_new_address_within_a_second(lab: None, stage: Stage) -> None:
    with World() as world:
        node = world.host()
        watcher = stage.program(["-c", WATCHING], prefix=node.prefix)
        watcher.wait("watching")
        for address in ("10.5.5.5/24", "10.5.5.6/24"):
            mark = watcher.mark()
            began = time.monotonic()
            run(*node.prefix, "ip", "address", "add", address, "dev", "eth0")
            assert watcher.wait("changed", since=mark)["seen"] - began < 1.0
        watcher.kill()
