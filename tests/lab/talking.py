"""Two ``tests.lab.talker`` programs in two places, and somebody who carries their letters."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.calls.engines import Program
from tests.lab.meeting import Scene
from tests.lab.net import Node

STEP = 0.01  # s between looks for letters


class Talkers:
    """A lead and a follower, joined by us as by a signaling server."""

    def __init__(self, scene: Scene, one: Node, two: Node, *stun: str) -> None:
        self.ends = [
            scene.stage.program(["-m", "tests.lab.talker", role, *stun], prefix=node.prefix)
            for role, node in (("lead", one), ("follow", two))
        ]
        self._carried = [0, 0]

    def carry(self, seconds: float) -> None:
        """Carry letters for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for end in (0, 1):
                told = self.ends[end].of("description")
                for letter in told[self._carried[end] :]:
                    fields = {k: v for k, v in letter.items() if k not in ("event", "seen")}
                    self._say(self.ends[1 - end], fields)
                self._carried[end] = len(told)
            time.sleep(STEP)

    def connected(self, within: float) -> list[dict[str, Any]]:
        """Carry letters until both are; what they said, fewer than two if it took too long."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self.carry(STEP)
            told = [found for end in self.ends for found in end.of("connected")]
            if len(told) == 2:
                return told
        return told

    def gaps(self) -> list[dict[str, Any]]:
        """What each end measured since it was last asked."""
        marks = [end.mark() for end in self.ends]
        for end in self.ends:
            self._say(end, {"ask": "gap"})
        return [end.wait("gap", since=mark) for end, mark in zip(self.ends, marks, strict=True)]

    def alive(self) -> bool:
        """Whether neither has failed."""
        return not any(end.of("failed") for end in self.ends)

    def close(self) -> None:
        """End both."""
        for end in self.ends:
            end.stdin.close()
        for end in self.ends:
            assert end.finish() == 0, end.story()

    def _say(self, end: Program, what: dict[str, Any]) -> None:
        end.stdin.write(json.dumps(what).encode() + b"\n")
        end.stdin.flush()
