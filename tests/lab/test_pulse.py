"""A call over the default devices of PulseAudio, and of PipeWire in its place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import RATE
from tests.audio.signal import speech
from tests.calls.sounds import best_pieces, cut, read_wav, recorded, wait_until
from tests.calls.stage import Stage
from tests.lab.pulse import SERVERS, PipeWire, Pulse, pulse, why_impossible

pytestmark = pytest.mark.live

SAID = 6.0  # seconds of speech
JUDGED = 3.0  # seconds of it that are compared
SETTLED = 2.0  # seconds after which the playout delay has been found


@pytest.fixture(params=SERVERS)
def machines(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Pulse, Pulse]]:
    """Two of them, each with a microphone and a speaker."""
    why = why_impossible(request.param)
    if why is not None:
        pytest.skip(why)
    one, two = (pulse(tmp_path / name, server=request.param) for name in ("one", "two"))
    with one as first, two as second:
        yield first, second


def test_speech_goes_both_ways_between_default_devices(
    stage: Stage, machines: tuple[Pulse, Pulse], tmp_path: Path
) -> None:
    one, two = machines
    sound = {"mic": "default", "speaker": "default"}
    host = stage.host(variables=one.variables, **sound)
    guest = stage.join(host.code, variables=two.variables, **sound)
    for engine, other in ((host, guest), (guest, host)):
        engine.meets(other)
        told = engine.wait("audio")
        assert told["mic"] != "none" and told["speaker"] != "none", told
        print(told)
    ears = [tmp_path / "ear-one.wav", tmp_path / "ear-two.wav"]
    hearing = [machine.record(ear) for machine, ear in zip(machines, ears, strict=True)]
    said = [speech(SAID, seed) for seed in (1, 2)]
    began = [machine.say(samples) for machine, samples in zip(machines, said, strict=True)]
    for speaker, listener in ((0, 1), (1, 0)):
        window = cut(said[speaker], SETTLED, JUDGED)
        start = began[speaker] + SETTLED - hearing[listener]
        recorded(ears[listener], start + JUDGED + 1.5, 20.0)
        heard = best_pieces(window, cut(read_wav(ears[listener]), start, JUDGED + 1.5))
        print(f"STOI {heard.stoi:.3f}, about {heard.delay:.3f} s late")
        assert heard.stoi > 0.7
        assert heard.delay < 0.8
    assert (guest.leave(), host.leave()) == (0, 0)


def test_a_device_that_is_unplugged_is_said_to_be_gone_and_replaced(
    stage: Stage, machines: tuple[Pulse, Pulse], tmp_path: Path
) -> None:
    one, _ = machines
    host = stage.host(variables=one.variables, mic="default", speaker="default")
    host.wait("audio")
    time.sleep(1.0)
    mark = host.mark()
    for module in ("module-remap-source", "module-null-sink"):
        assert one.tell("unload-module", module) == 0
    rerouted = isinstance(one, PipeWire)  # it plays into nothing until there is a speaker again
    if not rerouted:
        for word in ("speaker-gone", "microphone-gone"):
            assert host.wait("warning", since=mark, code=word)["hint"]
        host.wait("warning", since=mark, code="no-sound")
    mark = host.mark()
    one.tell("load-module", "module-null-sink", "sink_name=ear", f"rate={RATE}", "channels=1")
    if not rerouted:
        host.wait("audio", 30.0, mark, speaker="default", mic="default")
    ear = tmp_path / "ear.wav"
    guest = stage.join(host.code, mic="tone:440", speaker="none")
    guest.meets(host)
    one.record(ear)
    wait_until(lambda: np.abs(read_wav(ear)[-RATE:]).max(initial=0.0) > 0.02, 10.0)
    assert (guest.leave(), host.leave()) == (0, 0)
