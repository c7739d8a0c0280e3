"""Stories of rooms that outlive their host."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import RATE
from tests.calls.engines import EngineProcess
from tests.calls.sounds import read_wav, wait_until
from tests.calls.stage import Stage

QUIET = 0.02  # root mean square of 20 ms that are no tone
FRAME = RATE // 50
GAP = (
    0.7  # seconds that a busy machine may stall for; a key that is missing takes a second and more
)
EVERYBODY = 15.0  # seconds after the death of a host in which a newcomer is in


def _trio(stage: Stage, *, server: str | None = None) -> list[EngineProcess]:
    """A host, Ada and Ben in this order, who hum and record each other."""
    host = stage.host(signal=server)
    people = [host]
    for number, name in enumerate(("Ada", "Ben")):
        tapes = "--record", str(stage.folder / name)
        people.append(stage.join(host.code, *tapes, name=name, mic=f"tone:{400 + 200 * number}"))
        for one in people:
            one.meets(*(other for other in people if other is not one))
    return people


def _tape(stage: Stage, listener: str, speaker: EngineProcess) -> Path:
    return stage.folder / listener / f"{speaker.room['name']}-{speaker.member}.wav"


def _all_meet(*people: EngineProcess) -> None:
    """Wait until there is a road between each two, on whatever rung."""
    for one in people:
        for other in people:
            if other is not one:
                one.wait("path", member=other.member, where=lambda told: told["rung"] != "none")


def _longest_gap(tape: Path, begin: int) -> tuple[float, float]:
    """(seconds, where) of the longest silence in a recorded hum, from sample ``begin`` on."""
    sound = read_wav(tape)[begin:]
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    longest = where = run = 0
    loud = np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))
    for at, silent in enumerate(loud < QUIET):
        run = run + 1 if silent else 0
        longest, where = (run, at) if run > longest else (longest, where)
    return longest / 50, where / 50


@pytest.mark.parametrize("embedded", [True, False])
def test_a_killed_host_is_replaced_while_the_others_go_on_talking(
    stage: Stage, *, embedded: bool
) -> None:
    server = None if embedded else f"ws://{stage.server()[1]}"
    host, ada, ben = _trio(stage, server=server)
    tapes = [_tape(stage, "Ada", ben), _tape(stage, "Ben", ada)]
    for tape in tapes:
        wait_until(lambda tape=tape: tape.exists() and len(read_wav(tape)) > RATE, 20.0)  # type: ignore[misc]
    begins = [len(read_wav(tape)) for tape in tapes]
    host.kill()
    killed = time.monotonic()
    told = ada.wait("host-changed", member=ada.member)
    assert told["code"] and told["link"]
    assert 9.0 < told["seen"] - killed < 12.0
    assert ben.wait("host-changed", member=ada.member)["name"] == "Ada"
    assert "@" in told["code"]
    late = stage.join(told["code"], name="Late")
    within = ada.wait("member-joined", member=late.member)["seen"] - killed
    _all_meet(late, ada, ben)
    print(f"a newcomer is in {within:.1f} s after the host was killed")
    assert within < EVERYBODY
    assert late.wait("member-joined", member=ada.member)["host"] is True
    time.sleep(max(0.0, killed + 18.0 - time.monotonic()))
    gaps = [_longest_gap(*of) for of in zip(tapes, begins, strict=True)]
    print(f"longest gaps in the voices between the others, and when: {gaps} s")
    assert max(length for length, _ in gaps) <= GAP
    ada.say("kick", member=late.member)
    assert late.ended() == ("kicked", 1, 1)
    ada.say("lock", on=True)
    ben.wait("locked", on=True)
    ada.say("invite")
    ada.wait("code")


def test_a_host_that_leaves_hands_the_room_over_at_once(stage: Stage) -> None:
    host, ada, ben = _trio(stage)
    host.say("deputies", members=["Ben"])
    ben.say("chat", text="named")
    ada.wait("chat", text="named")
    left = time.monotonic()
    assert host.leave() == 0
    told = ben.wait("host-changed", member=ben.member)
    assert told["seen"] - left < 6.0
    assert ada.wait("host-changed", member=ben.member)["seen"] - left < 2.0
    ada.wait("member-left", member=host.member, reason="left")
    late = stage.join(told["code"], name="Late")
    _all_meet(late, ada, ben)
    late.say("chat", text="here")
    ada.wait("chat", text="here")
    assert ben.leave() == 0
    assert ada.wait("host-changed", member=ada.member)["link"]


def test_a_host_that_was_stopped_for_twenty_seconds_yields(stage: Stage) -> None:
    host, ada, ben = _trio(stage)
    host.signal(signal.SIGSTOP)
    told = ada.wait("host-changed", member=ada.member)
    ben.wait("member-left", member=host.member, reason="vanished")
    time.sleep(10.0)
    since = ben.mark()
    host.signal(signal.SIGCONT)
    assert host.wait("host-changed", member=ada.member)["name"] == "Ada"
    host.wait("code-ended")
    ben.wait("member-joined", member=host.member, host=False, since=since)
    host.say("chat", text="I slept")
    for one in (ada, ben):
        one.wait("chat", text="I slept")
    since = host.mark()
    host.say("kick", member=ben.member)
    host.wait("error", code="bad-command", since=since)
    assert told["code"] and not host.of("ended")
