"""Ten wrong codes in a row, with real processes: ``python -m tests.calls.burn`` (four minutes).

A host, then ten guests one after another with the right nameplate and wrong
words, then an eleventh with the right ones. Each wrong code must be answered
later than the one before, be shown to the host and end with exit code 3; the
tenth burns the code, so that the right words open nothing any more.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.calls.engines import EngineProcess
from tests.calls.stage import Stage
from vc_core.admission import FIRST_DELAY, LONGEST_DELAY, MAX_TRIES
from vc_core.wordlist import WORDS

START = 20.0  # s that a process may take to start and to prove its code
CODE_REFUSED = 3  # exit code


def main() -> int:
    """The story with its figures; 1 if it went otherwise."""
    begun = time.monotonic()
    with TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        try:
            _story(stage)
        except AssertionError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    print(f"as promised, in {time.monotonic() - begun:.0f} s")
    return 0


def _story(stage: Stage) -> None:
    host = stage.host()
    words = _wrong_words(host.code)
    print(f"{'try':>3} {'left':>4} {'promised':>9} {'answered after':>14}  ending (exit)")
    for number in range(1, MAX_TRIES + 1):
        delay = min(FIRST_DELAY * 2 ** (number - 1), LONGEST_DELAY)
        _wrong(host, stage.join(next(words)), number, delay)
    assert host.wait("code-ended")["reason"] == "burned", host.story()
    _late(host, stage.join(host.code))


def _wrong_words(code: str) -> Iterator[str]:
    """Codes with the nameplate of ``code`` and other words."""
    spoken, at, server = code.partition("@")
    digits, *right = spoken.split("-")
    for word in itertools.islice((word for word in WORDS if word not in right), MAX_TRIES):
        yield "-".join((digits, right[0], right[1], word)) + at + server


def _wrong(host: EngineProcess, guest: EngineProcess, number: int, delay: float) -> None:
    reason, told, code = guest.ended(delay + START)
    failed = host.of("code-failed")
    after = guest.wait("ended")["seen"] - failed[-1]["seen"] if failed else 0.0
    left = failed[-1]["left"] if failed else "-"
    print(f"{number:3} {left:>4} {delay:7.0f} s {after:12.2f} s  {reason} ({code})", flush=True)
    assert (reason, told, code) == ("code-wrong", CODE_REFUSED, CODE_REFUSED), guest.story()
    assert [event["left"] for event in failed] == list(range(MAX_TRIES))[: -number - 1 : -1]
    assert delay - 0.1 <= after <= delay + 2.0, f"answered after {after:.2f} s"


def _late(host: EngineProcess, guest: EngineProcess) -> None:
    """The right words, too late."""
    reason, told, code = guest.ended()
    print(f"the right words afterwards: {reason} ({code})")
    assert (reason, told, code) == ("too-many-tries", CODE_REFUSED, CODE_REFUSED), guest.story()
    assert not host.of("member-joined") and host.process.poll() is None, host.story()
    assert len(host.of("code-failed")) == MAX_TRIES, host.story()


if __name__ == "__main__":
    sys.exit(main())
