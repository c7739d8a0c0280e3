"""The story of a room that has outgrown a mesh: ten members and one relay."""

from __future__ import annotations

import time

import numpy as np
import pytest

from audio.pcm import RATE, Samples
from tests.calls.engines import EngineProcess
from tests.calls.sounds import pitch, read_wav, recorded, wait_until
from tests.calls.stage import LOOPBACK, Stage
from vc_core.ways import MESH_LIMIT

pytestmark = pytest.mark.live

MEMBERS = MESH_LIMIT + 2
TURN = 3  # members who hum at a time
LONG = 60.0  # seconds that anything may take: ten processes share this machine with others
GAP = 0.2  # seconds of silence that nobody must hear when the relay's room changes


def test_ten_members_over_one_relay_hear_read_and_kick(stage: Stage) -> None:
    everyone = _gather(stage)
    _read_every_line_once(everyone)
    for first in range(0, MEMBERS, TURN):
        _hear_each_other(everyone, everyone[first : first + TURN])
    _kick_one_while_another_hums(everyone)
    assert [one.leave() for one in reversed(everyone[:-1])] == [0] * (MEMBERS - 1)


def _gather(stage: Stage) -> list[EngineProcess]:
    _, server = stage.server()
    words = ["-m", "client", "relay", "--json", "--no-tcp", "--listen", LOOPBACK]
    port = stage.program(words).wait("listening")["port"]
    more = ["--relay", f"127.0.0.1:{port}", "--guests", "20"]
    host = stage.host(*_sound(stage, 0), *more, name="N0", mic=_note(0), signal=f"ws://{server}")
    host.wait("room", LONG)
    host.say("mute", on=True)
    everyone = [host]
    for number in range(1, MEMBERS):
        options = [*_sound(stage, number), "--signal", f"ws://{server}"]
        everyone.append(stage.join(host.code, *options, name=f"N{number}", mic=_note(number)))
        everyone[-1].wait("room", LONG)
        everyone[-1].say("mute", on=True)
    for one in everyone:
        for other in _others(everyone, one):
            _path(one, other)
    late, early = everyone[-1], everyone[1]
    assert _path(late, early)["rung"] != "direct"
    return everyone


def _sound(stage: Stage, number: int) -> list[str]:
    return ["--record", str(stage.folder / f"N{number}"), "--no-stun"]


def _note(number: int) -> str:
    return f"tone:{_hertz(number)}"


def _hertz(number: int) -> int:
    return 300 + 100 * number


def _others(everyone: list[EngineProcess], one: EngineProcess) -> list[EngineProcess]:
    return [other for other in everyone if other is not one]


def _path(one: EngineProcess, other: EngineProcess) -> dict[str, object]:
    return one.wait("path", LONG, member=other.member, where=lambda told: told["rung"] != "none")


def _read_every_line_once(everyone: list[EngineProcess]) -> None:
    for one in everyone:
        for line in range(3):
            one.say("chat", text=f"{one.room['name']}: {line}")
    for one in everyone:
        for other in _others(everyone, one):
            one.wait("chat", LONG, text=f"{other.room['name']}: 2")
        told = [event["text"] for event in one.of("chat")]
        for other in _others(everyone, one):
            name = other.room["name"]
            mine = [text for text in told if text.startswith(f"{name}:")]
            assert mine == [f"{name}: {line}" for line in range(3)]


def _hear_each_other(everyone: list[EngineProcess], humming: list[EngineProcess]) -> None:
    for one in humming:
        one.say("mute", on=False)
    for one in everyone:
        for other in _others(humming, one):
            _hears(one, other)
    for one in humming:
        one.say("mute", on=True)


def _tape(one: EngineProcess, other: EngineProcess) -> Samples:
    """What one has recorded of the other so far."""
    name = other.room["name"]
    folder = one.folder.parent / str(one.room["name"])
    path = folder / f"{name}-{other.member}.wav"
    return read_wav(path) if path.exists() else np.zeros(0, np.float32)


def _hears(one: EngineProcess, other: EngineProcess) -> None:
    name = other.room["name"]
    path = one.folder.parent / str(one.room["name"]) / f"{name}-{other.member}.wav"
    hertz = _hertz(int(name[1:]))
    wait_until(lambda: abs(pitch(recorded(path, 0.5, LONG)) - hertz) < 6, LONG)


def _kick_one_while_another_hums(everyone: list[EngineProcess]) -> None:
    host, speaker, kicked = everyone[0], everyone[MESH_LIMIT], everyone[-1]
    ears = [one for one in everyone if one not in (speaker, kicked)]
    speaker.say("mute", on=False)
    for ear in ears:
        _hears(ear, speaker)
    before = {ear: len(_tape(ear, speaker)) for ear in ears}
    host.say("kick", member=kicked.member)
    assert kicked.ended(LONG) == ("kicked", 1, 1)
    for ear in ears:
        ear.wait("member-left", LONG, member=kicked.member, reason="kicked")
    time.sleep(4.0)  # the new room of the relay is attached to within this time
    for ear in ears:
        silent = _longest_silence(_tape(ear, speaker)[before[ear] :])
        assert silent < GAP, f"{ear.room['name']} heard nothing for {silent:.2f} s"
    host.say("chat", text="still here")
    for ear in _others(ears, host):
        ear.wait("chat", LONG, text="still here")


def _longest_silence(samples: Samples) -> float:
    """Seconds, in steps of 20 ms."""
    step = RATE // 50
    frames = samples[: len(samples) // step * step].reshape(-1, step)
    loud = np.flatnonzero(np.abs(frames).max(axis=1) > 0.01)
    edges = np.concatenate(([-1], loud, [len(frames)]))
    return float((np.diff(edges).max() - 1) / 50)
