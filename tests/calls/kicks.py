"""Kicks around the moment at which a path stands: ``python -m tests.calls.kicks [--tries 40]``.

One host with real processes as guests, one after another. Each is kicked at
another moment, from its joining until shortly after QUIC stands, and must be
told so within a few seconds; not told, it would find out after a minute.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.calls.engines import EngineProcess
from tests.calls.stage import Stage

PROMPT = 5.0  # s in which somebody who was kicked must know it
MOMENTS = {"member-joined": 0.4, "path": 0.06}
"""The host's event after which we kick, and how many seconds later at most."""


def main() -> int:
    """The figures; 1 if somebody was not told."""
    parser = argparse.ArgumentParser(prog="python -m tests.calls.kicks")
    parser.add_argument("--tries", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    chance, endings, longest = random.Random(wanted.seed), Counter[str](), 0.0
    with TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        host = stage.host()
        for number in range(wanted.tries):
            moment = tuple(MOMENTS)[number % len(MOMENTS)]
            delay = chance.uniform(0, MOMENTS[moment])
            ending, after = _kick(stage, host, moment, delay)
            endings[ending] += 1
            longest = max(longest, after)
            if ending != "kicked":
                print(f"try {number}: {delay * 1000:.0f} ms after {moment}: {ending}", flush=True)
    told = ", ".join(f"{ending} {count}" for ending, count in endings.items())
    print(f"{wanted.tries} tries: {told}; told after {longest:.2f} s at the latest")
    return int(endings["kicked"] != wanted.tries)


def _kick(stage: Stage, host: EngineProcess, moment: str, delay: float) -> tuple[str, float]:
    """How it ended for the guest, and how many seconds after the kick."""
    since = host.mark()
    guest = stage.join(host.code)
    member = host.wait("member-joined", since=since)["member"]
    host.wait(moment, since=since, member=member)
    time.sleep(delay)
    host.say("kick", member=member)
    kicked = time.monotonic()
    try:
        ended = guest.wait("ended", PROMPT)
    except AssertionError:
        ended = {"reason": "not told", "seen": kicked + PROMPT}
    guest.kill()
    host.say("invite")
    host.wait("code", since=since)
    return ended["reason"], ended["seen"] - kicked


if __name__ == "__main__":
    sys.exit(main())
