"""What one machine plays, heard on another: shared with a screen, over PulseAudio and PipeWire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import RATE, Samples, Stereo
from tests.calls.engines import EngineProcess
from tests.calls.sounds import read_wav, wait_until
from tests.calls.stage import Stage
from tests.calls.stereo import above, apart, bursts, gaps, pitches, read_stereo
from tests.lab.pulse import SERVERS, Pulse, pulse, why_impossible
from tests.video.desk import MISSING, xvfb

pytestmark = pytest.mark.live

MUSIC = (440.0, 660.0)  # hertz, left and right
BEEP = 1500.0  # hertz that the sharer "says"
GUEST = 1000.0  # hertz of the viewer's own voice


def tones(seconds: float, *hertz: float) -> Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    both = [0.3 * np.sin(2 * np.pi * one * times) for one in hertz]
    return np.stack(both, axis=1).astype(np.float32)


def beating(seconds: float, *hertz: float) -> Samples:
    """Half a second of tones in each second."""
    samples = tones(seconds, *hertz)
    samples[np.arange(len(samples)) % RATE >= RATE // 2] = 0.0
    return samples


@pytest.fixture(params=SERVERS)
def machines(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Pulse, Pulse, str]]:
    """Two with sound, and a screen."""
    why = why_impossible(request.param) or MISSING
    if why:
        pytest.skip(why)
    one, two = (pulse(tmp_path / name, 2, request.param) for name in ("one", "two"))
    with one as first, two as second, xvfb(640, 480) as (display, _):
        yield first, second, display


def call(stage: Stage, machines: tuple[Pulse, Pulse, str]) -> tuple[EngineProcess, EngineProcess]:
    """The first machine shares its screen and sound, the second watches; both talk."""
    first, second, display = machines
    screen = {**first.variables, "DISPLAY": display}
    host = stage.host(variables=screen, mic="default", speaker="default")
    mic = f"tone:{GUEST:.0f}"
    guest = stage.join(host.code, variables=second.variables, mic=mic, speaker="default")
    guest.meets(host)
    host.meets(guest)
    for engine in (host, guest):
        assert engine.wait("audio")["speaker"] != "none"
    host.say("share", source="screen", audio=True)
    offered = guest.wait("stream-offered", member=host.member)
    assert offered["audio"] is True
    stream = offered["stream"]
    guest.say("watch", member=host.member, stream=stream, to="none")
    guest.wait("stream-started", member=host.member, stream=stream)
    return host, guest


def tail(path: Path, seconds: float) -> Stereo:
    """The last seconds of what a speaker played."""
    return read_stereo(path)[-round(seconds * RATE) :]


def test_what_a_machine_plays_is_heard_in_stereo_and_without_the_call_itself(
    stage: Stage, machines: tuple[Pulse, Pulse, str], tmp_path: Path
) -> None:
    first, second, _ = machines
    host, guest = call(stage, machines)
    here, there = tmp_path / "here.wav", tmp_path / "there.wav"
    first.record(here)
    second.record(there)
    first.play(tones(12.0, *MUSIC))
    wait_until(lambda: np.abs(tail(there, 0.2)).max() > 0.1, 10.0)
    time.sleep(6.0)
    played, heard = tail(here, 4.0), tail(there, 4.0)
    assert bursts(np.concatenate((np.zeros(RATE, np.float32), played[:, 0])), GUEST), (
        "the viewer is not heard where the music plays, so nothing is shown"
    )
    assert pitches(heard) == pytest.approx((MUSIC[0], MUSIC[1]), abs=2)
    own = above(heard[:, 0], MUSIC[0], GUEST)
    print(f"sides apart by {apart(heard, *MUSIC):.0f}, own voice below music by {own:.0f}")
    assert apart(heard, *MUSIC) > 30
    assert own > 100, "the viewer hears its own voice in the sound of the other's machine"
    assert gaps(heard[:, 0]) < 0.1
    host.say("unshare")
    guest.wait("stream-ended")
    wait_until(lambda: np.abs(tail(there, 0.3)).max() < 0.02, 5.0)
    assert guest.of("warning", code="sound-forged") == []
    assert (guest.leave(), host.leave()) == (0, 0)


def test_whatever_begins_is_heard_and_goes_on_when_it_moves_to_another_speaker(
    stage: Stage, machines: tuple[Pulse, Pulse, str], tmp_path: Path
) -> None:
    first, second, _ = machines
    call(stage, machines)
    there = tmp_path / "there.wav"
    second.record(there)

    def heard(*hertz: float) -> bool:
        """Whether all of these are, far above a pitch that nothing has."""
        left = tail(there, 0.5)[:, 0]
        return len(left) == RATE // 2 and all(above(left, one, 3000.0) > 30 for one in hertz)

    known = set(first.streams())
    first.play(tones(10.0, 440.0, 440.0))
    wait_until(lambda: heard(440.0), 5.0)
    (music,) = set(first.streams()) - known
    first.play(tones(25.0, 2000.0, 2000.0))
    wait_until(lambda: heard(440.0, 2000.0), 5.0)
    assert first.tell("move-sink-input", music, "mouth") == 0
    time.sleep(1.0)
    wait_until(lambda: heard(440.0, 2000.0), 5.0)
    wait_until(lambda: not heard(440.0) and heard(2000.0), 12.0)


def test_music_and_voice_come_at_about_the_same_time(
    stage: Stage, machines: tuple[Pulse, Pulse, str], tmp_path: Path
) -> None:
    first, second, _ = machines
    _host, guest = call(stage, machines)
    guest.say("mute", on=True)
    files = {name: tmp_path / f"{name}.wav" for name in ("ear", "mouth", "there")}
    begun = {"ear": first.record(files["ear"]), "mouth": first.record(files["mouth"], "mouth")}
    begun["there"] = second.record(files["there"])
    first.play(beating(12.0, *MUSIC))
    first.say(beating(12.0, BEEP)[:, 0])
    time.sleep(10.0)
    heard = read_stereo(files["there"])
    sides = {"ear": read_stereo(files["ear"])[:, 0], "mouth": read_wav(files["mouth"])}
    late = {}
    for name, hertz in (("ear", MUSIC[0]), ("mouth", BEEP)):
        said = [begun[name] + at for at in bursts(sides[name], hertz)]
        came = [begun["there"] + at for at in bursts(heard[:, 0], hertz, 0.05)]
        assert all(0.8 < b - a < 1.2 for a, b in pairwise(came[-4:])), came
        pairs = [min((b - a for a in said if -0.1 < b - a < 0.9), default=9.9) for b in came[-4:]]
        late[name] = float(np.median(pairs))
    print(f"music {1000 * late['ear']:.0f} ms late, voice {1000 * late['mouth']:.0f} ms")
    assert late["ear"] < 0.4
    assert abs(late["ear"] - late["mouth"]) < 0.15


def test_without_a_sound_server_the_pictures_go_alone_and_that_is_said(
    stage: Stage, tmp_path: Path
) -> None:
    if MISSING:
        pytest.skip(MISSING)
    with xvfb(640, 480) as (display, _):
        nowhere = {"DISPLAY": display, "PULSE_SERVER": f"unix:{tmp_path / 'nothing'}"}
        host = stage.host(variables=nowhere)
        guest = stage.join(host.code)
        guest.meets(host)
        host.say("share", source="screen", audio=True)
        warned = host.wait("warning", code="no-system-sound")
        assert warned["hint"]
        assert guest.wait("stream-offered", member=host.member)["audio"] is False
