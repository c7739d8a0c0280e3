"""One end of a direct road as a program: ``python -m tests.lab.talker lead|follow STUN …``.

It sends a small datagram every 20 ms, as voice does, and measures the longest pause in
what it hears. While nothing came for 0.6 s it pokes, as the ladder does. On stdin and
stdout are JSON lines: descriptions both ways, ``{"ask": "gap"}`` in, states out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from client.hosting.signaling import split_address
from client.loop import run
from client.net.candidates import Description
from client.net.direct import DirectCarrier

BEAT = 0.02  # s
SILENCE = 0.6  # s
POKE = 0.2  # s


def tell(**what: Any) -> None:
    """One line."""
    print(json.dumps(what), flush=True)


class Talker:
    """The end."""

    def __init__(self, *, leading: bool, stun: list[tuple[str, int]]) -> None:
        self.loop = asyncio.get_running_loop()
        self.last = self.begun = self.loop.time()
        self.longest = 0.0
        self.heard = 0
        self.connected = False
        self.carrier = DirectCarrier(
            controlling=leading,
            stun=stun,
            loopback=False,
            on_description=lambda description: tell(event="description", **asdict(description)),
            on_datagram=self.hear,
            on_state=self.state,
        )

    def state(self, state: str) -> None:
        self.connected = state == "connected"
        self.last = self.loop.time()
        seconds = round(self.last - self.begun, 3)
        tell(event=state, pair=self.carrier.selected(), after=seconds, why=self.carrier.failure)

    def hear(self, _datagram: bytes) -> None:
        now = self.loop.time()
        if self.heard:
            self.longest = max(self.longest, now - self.last)
        self.last = now
        self.heard += 1

    async def talk(self) -> None:
        """For ever."""
        due, poked = self.loop.time(), 0.0
        while True:
            self.carrier.send(b"\x80" + bytes(79))
            now = self.loop.time()
            if self.connected and now - self.last > SILENCE and now - poked > POKE:
                poked = now
                self.carrier.poke()
            due += BEAT
            await asyncio.sleep(max(0.0, due - now))

    def ordered(self, line: str) -> None:
        """A line of stdin."""
        told = json.loads(line)
        if "ask" in told:
            gap = max(self.longest, self.loop.time() - self.last)
            tell(event="gap", longest=gap, heard=self.heard, moves=self.carrier.moves)
            self.longest, self.heard = 0.0, 0
        else:
            told["candidates"] = tuple(told["candidates"])
            self.carrier.add_remote(Description(**told))


async def main(role: str, *servers: str) -> None:
    """Until stdin ends."""
    stun = [split_address(server, 3478) for server in servers]
    talker = Talker(leading=role == "lead", stun=stun)
    reader = asyncio.StreamReader()
    await talker.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await talker.carrier.start()
    talking = talker.loop.create_task(talker.talk())
    while line := await reader.readline():
        talker.ordered(line.decode())
    talking.cancel()
    await talker.carrier.close()


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
