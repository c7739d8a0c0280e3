"""A server in the LAN that pretends to have every code it is told of: ``rogue.py NAMEPLATE``.

It announces the nameplate as a host would and runs a signaling server where nobody hosts.
``{"event": "announced"}`` is printed when it stands, and ``{"event": "counts"}`` ten times a
second, with what its server has seen.
"""

from __future__ import annotations

import asyncio
import json
import sys

from client.net.lan import Announcer
from signaling.server import Settings, serve
from vc_core.events import CodeReady

# Implementation
INTERVAL = 0.1  # s between two counts


def tell(event: str, **fields: object) -> None:
    """One line."""
    print(json.dumps({"event": event, **fields}), flush=True)


async def main(nameplate: str) -> None:
    """Until somebody ends this process."""
    server = await serve(Settings(port=0))
    announcer = Announcer("0.0.0.0", server.port, lambda _code: tell("announced"))
    announcer.follow(CodeReady(f"{nameplate}-no-word-matters", "", 1, 0.0))
    while True:
        await asyncio.sleep(INTERVAL)
        tell("counts", **server.counts())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
