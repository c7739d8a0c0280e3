"""One end of the direct rung as a process: ``python -m tests.lab.caller ROLE [map] [HOST:PORT …]``.

    out  {"event": "described", "candidates": […], …}   to be told to the other end
         {"event": "connected"}, {"event": "failed"}, {"event": "got"}
    in   what the other end described, one object per line; an empty line ends

``map`` asks the router for ports, ``HOST:PORT`` is a STUN server.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial
from typing import Any

from client.net.candidates import Description
from client.net.direct import DirectCarrier
from client.net.mapped import mapped_ports
from client.net.portmap.mapper import Mapper

HELLO = b"\x80 hello"


def tell(event: str, **fields: Any) -> None:
    """One line for who drives this."""
    print(json.dumps({"event": event, **fields}), flush=True)


async def call(leading: bool, stun: list[tuple[str, int]], mapper: Mapper | None) -> None:
    """Until stdin says that it is over."""

    def state(state: str) -> None:
        tell(state)
        if state == "connected":
            carrier.send(HELLO)

    def got(datagram: bytes) -> None:
        tell("got", fine=datagram == HELLO)

    carrier = DirectCarrier(
        controlling=leading,
        stun=stun,
        loopback=False,
        on_description=lambda one: tell("described", **vars(one)),
        on_datagram=got,
        on_state=state,
        mapper=mapped_ports(mapper) if mapper is not None else None,
        release=partial(mapper.unmap, "udp") if mapper is not None else None,
    )
    await carrier.start()
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        said = json.loads(line)
        lines = tuple(said["candidates"])
        carrier.add_remote(Description(said["ufrag"], said["pwd"], lines, said["done"]))
    await carrier.close()


async def main(role: str, *rest: str) -> None:
    """As the command line says."""
    stun = [(host, int(port)) for host, _, port in (one.rpartition(":") for one in rest) if host]
    async with Mapper() as mapper:
        await call(role == "leading", stun, mapper if "map" in rest else None)
        ending = time.monotonic()
    tell("over", seconds=time.monotonic() - ending)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
