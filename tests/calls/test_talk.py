"""Stories of voices: who is heard by whom, how well, and who is silent."""

from __future__ import annotations

import signal
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import RATE
from tests.calls.engines import EngineProcess
from tests.calls.sounds import (
    Speech,
    compare,
    loudness,
    pitch,
    read_wav,
    recorded,
    unix,
    wait_until,
)
from tests.calls.stage import Stage

SETTLED = 1.0  # seconds after the first sound in which the playout delay is found
QUIET = 0.005  # root mean square of what counts as silence


def _newest(ear: Path, seconds: float) -> np.ndarray:
    """The next ``seconds`` that are played, after what was under way has come."""
    have = len(read_wav(ear))
    wanted = have + round((seconds + 0.6) * RATE)
    wait_until(lambda: len(read_wav(ear)) >= wanted, 20.0)
    return read_wav(ear)[wanted - round(seconds * RATE) : wanted]


@pytest.mark.live
def test_both_hear_what_the_other_said(stage: Stage, tmp_path: Path) -> None:
    one, two = (Speech.make(tmp_path / f"say{n}.wav", 9.0, seed=n) for n in (1, 2))
    ears = tmp_path / "host.wav", tmp_path / "guest.wav"
    host = stage.host(mic=one.mic, speaker=f"file:{ears[0]}")
    guest = stage.join(host.code, mic=two.mic, speaker=f"file:{ears[1]}")
    met = max(unix(e, e.wait("talking", member=o.member, on=True)) for e, o in _both(host, guest))
    begin, seconds = met + SETTLED, 3.0
    end = begin + seconds + 1.5
    for engine, ear in zip((host, guest), ears, strict=True):
        start = engine.wait("audio")["speaker_started"]
        recorded(ear, end - start, 20.0)
    for said, speaker, ear, listener in (
        (one, host, ears[1], guest),
        (two, guest, ears[0], host),
    ):
        heard = compare(said, speaker, ear, listener, begin, seconds)
        print(f"{listener.room['role']} hears with STOI {heard.stoi:.3f}, {heard.delay:.3f} s late")
        assert heard.stoi > 0.85
        assert 0 < heard.delay < 0.4
    assert (guest.leave(), host.leave()) == (0, 0)
    for ear in ears:
        with wave.open(str(ear)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)


def _both(
    host: EngineProcess, guest: EngineProcess
) -> tuple[tuple[EngineProcess, EngineProcess], ...]:
    return (host, guest), (guest, host)


def test_a_muted_or_deafened_call_is_silent_and_comes_back(stage: Stage, tmp_path: Path) -> None:
    ear = tmp_path / "ear.wav"
    host = stage.host(mic="tone:440")
    guest = stage.join(host.code, speaker=f"file:{ear}")
    guest.wait("talking", member=host.member, on=True)
    assert pitch(_newest(ear, 0.5)) == pytest.approx(440, abs=5)

    host.say("mute", on=True)
    host.wait("muted", member=host.member, on=True)
    guest.wait("muted", member=host.member, on=True)
    guest.wait("talking", member=host.member, on=False)
    assert loudness(_newest(ear, 0.5)) < QUIET

    since = guest.mark()
    host.say("mute", on="toggle")
    guest.wait("muted", member=host.member, on=False, since=since)
    guest.wait("talking", member=host.member, on=True, since=since)
    assert pitch(_newest(ear, 0.5)) == pytest.approx(440, abs=5)

    guest.say("deafen", on=True)
    guest.wait("deafened", on=True)
    assert loudness(_newest(ear, 0.5)) < QUIET
    guest.say("deafen", on=False)
    guest.wait("deafened", on=False)
    assert loudness(_newest(ear, 0.5)) > 0.1


def test_a_members_volume_is_set_at_the_listener(stage: Stage, tmp_path: Path) -> None:
    ear = tmp_path / "ear.wav"
    host = stage.host(mic="tone:440")
    guest = stage.join(host.code, speaker=f"file:{ear}")
    guest.wait("talking", member=host.member, on=True)
    full = loudness(_newest(ear, 0.5))
    guest.say("volume", member=host.member, percent=25)
    assert loudness(_newest(ear, 0.5)) == pytest.approx(full / 4, rel=0.15)
    guest.say("volume", member=host.member, percent=0)
    assert loudness(_newest(ear, 0.5)) < QUIET


def test_after_the_first_push_to_talk_only_the_pressed_key_speaks(
    stage: Stage, tmp_path: Path
) -> None:
    ear = tmp_path / "ear.wav"
    host = stage.host(mic="tone:440")
    guest = stage.join(host.code, speaker=f"file:{ear}")
    guest.wait("talking", member=host.member, on=True)
    since = guest.mark()
    host.say("ptt", on=False)
    guest.wait("talking", member=host.member, on=False, since=since)
    assert loudness(_newest(ear, 0.4)) < QUIET
    since = guest.mark()
    host.say("ptt", on=True)
    guest.wait("talking", member=host.member, on=True, since=since)
    assert loudness(_newest(ear, 0.4)) > 0.1


def test_a_listener_that_was_stopped_takes_nothing_for_forged(stage: Stage) -> None:
    """Its own socket kept the signatures of what it had heard before."""
    host = stage.host(mic="tone:440")
    guest = stage.join(host.code)
    guest.wait("talking", member=host.member, on=True)
    for running in (4.3, 4.9):  # nothing is judged for 3 s after it hears again
        time.sleep(running)
        guest.signal(signal.SIGSTOP)
        time.sleep(3.0)
        guest.signal(signal.SIGCONT)
    time.sleep(5.0)
    assert guest.of("warning") == []
    assert guest.of("ended") == []


def test_talking_marks_follow_the_speech_on_all_screens(stage: Stage, tmp_path: Path) -> None:
    words = Speech.make(tmp_path / "words.wav", 1.5, seed=3)
    host = stage.host()
    guest = stage.join(host.code, mic=words.mic)
    for engine in (host, guest):
        on = engine.wait("talking", member=guest.member, on=True)
        since = engine.events.index(on)
        off = engine.wait("talking", since=since, member=guest.member, on=False)
        assert 0.5 < off["seen"] - on["seen"] < 3.5
    assert host.of("talking", member=host.member) == []


def test_record_writes_one_file_per_member(stage: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "tapes"
    host = stage.host("--record", str(folder))
    for name, hertz in (("Ada", 500), ("Ben/../x", 700)):
        guest = stage.join(host.code, name=name, mic=f"tone:{hertz}")
        host.wait("talking", member=guest.member, on=True)
        path = wait_for_one(folder, f"*-{guest.member}.wav")
        assert path.parent == folder
        assert pitch(recorded(path, 1.0, 20.0)[-RATE // 2 :]) == pytest.approx(hertz, abs=5)
        assert guest.leave() == 0
    assert host.leave() == 0
    assert sorted(p.name for p in folder.iterdir())[0] == "Ada-m1.wav"
    assert len(list(folder.iterdir())) == 2


def wait_for_one(folder: Path, pattern: str) -> Path:
    """The one file that fits, once it is there."""
    wait_until(lambda: len(list(folder.glob(pattern))) == 1, 10.0)
    return next(folder.glob(pattern))


def test_stats_tell_of_the_road_and_of_the_voice(stage: Stage) -> None:
    host = stage.host(mic="tone:440")
    guest = stage.join(host.code)
    guest.wait("talking", member=host.member, on=True)
    guest.say("stats", every=0.3)
    wait_until(lambda: len(guest.of("stats")) >= 6, 10.0)
    told = guest.of("stats")[-1]
    member = told["members"][host.member]
    assert member["rung"] == "direct"
    assert 0 <= member["rtt_ms"] < 500
    assert 0 <= member["loss_in"] < 0.2
    assert 20_000 < member["bitrate_in"] < 120_000
    assert told["process"]["rss_mb"] > 10
    guest.say("stats", every=0)
    guest.say("chat", text="last")
    host.wait("chat", text="last")
