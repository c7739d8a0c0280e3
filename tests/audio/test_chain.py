"""The whole way of a voice, from frames to frames, over virtual lines."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pystoi import stoi

from audio.chain import Listening, VoiceSender
from audio.pcm import BLOCK, FRAME, FRAME_SECONDS, RATE, Frame, silence
from audio.receiver import VoiceReceiver
from tests.audio.line import Line, Road
from tests.audio.signal import aligned, delay_of, frames, speech

SAID = np.concatenate([silence(RATE // 5), speech(6.0)])


def carry(road: Road, seed: int = 1, told_loss: float = 0.0) -> tuple[Line, np.ndarray]:
    sender, receiver = VoiceSender(), VoiceReceiver()
    sender.set_loss(told_loss)
    line = Line(road, sender, receiver, seed)
    return line, line.carry(frames(SAID))


def likeness(heard: np.ndarray) -> float:
    late, original = aligned(heard, SAID)
    return float(stoi(original, late, RATE))


@pytest.mark.parametrize("block", [BLOCK, FRAME])
@pytest.mark.parametrize("phase", [0.0005, 0.007, 0.013, 0.0195])
def test_a_perfect_line_makes_nothing_up_and_stretches_nothing(phase: float, block: int) -> None:
    line, heard = carry(Road(delay=0.001, jitter=0.001, phase=phase, block=block))
    stats = line.receiver.stats()
    assert (stats.concealed, stats.repaired, line.receiver.stretched) == (0, 0, 0)
    assert stats.playout_ms < 30
    assert likeness(heard) > 0.97
    assert delay_of(heard, SAID) / RATE < 0.04


@pytest.mark.parametrize(
    ("road", "least"),
    [
        (Road(loss=0.05), 0.9),
        (Road(loss=0.10), 0.86),
        (Road(jitter=0.04), 0.9),
        (Road(jitter=0.004, drift=5e-4), 0.9),
        (Road(jitter=0.004, drift=-5e-4), 0.9),
        (Road(jitter=0.01, duplicate=0.3), 0.9),
        (Road(jitter=0.02, block=FRAME), 0.9),
        (Road(jitter=0.004, drift=-5e-4, block=FRAME), 0.9),
    ],
)
def test_speech_stays_intelligible(road: Road, least: float) -> None:
    _, heard = carry(road, told_loss=road.loss)
    assert likeness(heard) > least


@pytest.mark.parametrize("block", [BLOCK, FRAME])
def test_a_short_stall_is_heard_no_longer_than_it_lasts(block: int) -> None:
    _, calm = carry(Road(block=block))
    _, stalled = carry(Road(block=block, stall=(5.5, 0.03)))
    wrong = np.flatnonzero(calm != stalled)
    assert 0.01 < (wrong[-1] - wrong[0]) / RATE < 0.045


def test_in_band_fec_restores_what_concealment_would_make_up() -> None:
    without, _ = carry(Road(loss=0.1))
    line, _ = carry(Road(loss=0.1), told_loss=0.1)
    assert without.receiver.repaired == 0
    assert line.receiver.repaired > line.receiver.concealed > 0


def test_all_packets_have_one_size_whatever_is_said() -> None:
    sender = VoiceSender()
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(RATE).astype(np.float32) * np.float32(0.3)
    sizes = set()
    for loss in (0.0, 0.2):
        sender.set_loss(loss)
        for frame in frames(np.concatenate([SAID, noise, silence(RATE)])):
            sizes |= {len(packet.payload) for packet in sender.push(frame)}
    assert sizes == {96}


def test_timestamps_run_on_through_silence_and_over_the_wrap() -> None:
    sender = VoiceSender(rng=lambda count: b"\xff" * count)
    loud = speech(0.2)[:FRAME] + np.float32(0.1)
    stamps = [sender.push(loud)[0].timestamp]
    sender.push(silence())
    stamps.append(sender.push(loud)[0].timestamp)
    assert stamps == [0xFFFF_FFFF, 2 * FRAME - 1]


def test_mute_ends_the_talk_spurt_with_one_silent_marked_packet() -> None:
    sender, receiver = VoiceSender(), VoiceReceiver()
    loud = frames(speech(1.0))
    for frame in loud[:10]:
        sender.push(frame)
    sender.mute(True)
    assert not sender.talking
    [farewell] = sender.push(loud[10])
    assert farewell.last
    receiver.receive(farewell.timestamp, farewell.payload, True, 0.0)
    assert all(sender.push(frame) == [] for frame in loud[11:])


def test_silence_after_the_end_of_talking_costs_nothing_and_is_no_loss() -> None:
    line, _ = carry(Road())
    assert line.receiver.pull(100.0) is None
    assert not line.receiver.talking
    assert line.receiver.stats().loss == 0.0


def test_hostile_payloads_are_concealed() -> None:
    receiver = VoiceReceiver()
    for number in range(20):
        receiver.receive(number * FRAME, b"\xff\xff" * 40, False, number * FRAME_SECONDS)
        frame = receiver.pull(number * FRAME_SECONDS + 0.015)
        assert frame is None or np.isfinite(frame).all()
    assert receiver.concealed > 0


class Hall:
    """Members that send into one ``Listening``, beat by beat."""

    def __init__(self, members: int) -> None:
        self.heard: list[tuple[int, bool]] = []
        self.recorded: list[tuple[int, Frame]] = []
        self.listening = Listening(
            on_talking=lambda member, on: self.heard.append((member, on)),
            on_member_frame=lambda member, frame: self.recorded.append((member, frame)),
        )
        self.senders = {member: VoiceSender() for member in range(members)}
        self.now = 0.0

    def beat(self, frame: Frame) -> Frame:
        for member, sender in self.senders.items():
            for packet in sender.push(frame):
                self.listening.receive(
                    member, packet.timestamp, packet.payload, packet.last, self.now
                )
        self.now += FRAME_SECONDS
        return np.concatenate([self.listening.pull(self.now - wait) for wait in (0.015, 0.005)])

    def play(self, pieces: list[Frame]) -> np.ndarray:
        return np.concatenate([self.beat(frame) for frame in pieces])


def test_eight_members_at_once_never_clip() -> None:
    mixed = Hall(8).play(frames(SAID))
    assert 0.5 < np.abs(mixed).max() < 1.0


def test_tells_once_who_begins_and_who_ends_talking() -> None:
    hall = Hall(2)
    hall.play(frames(np.concatenate([speech(1.0), silence(RATE)])))
    assert sorted(hall.heard) == [(0, False), (0, True), (1, False), (1, True)]


def test_volume_deafen_and_forget() -> None:
    hall = Hall(1)
    normal = np.abs(hall.play(frames(speech(1.0)))).max()
    hall.listening.volume(0, 50)
    assert np.abs(hall.play(frames(speech(1.0)))).max() == pytest.approx(normal / 2, rel=0.25)
    hall.listening.deafen(True)
    assert not hall.play(frames(speech(0.5))).any()
    hall.listening.deafen(False)
    hall.listening.forget(0)
    assert hall.listening.receivers == {}
    assert hall.heard[-1] == (0, False)


def test_the_recording_hook_gets_every_beat_of_every_member() -> None:
    hall = Hall(2)
    hall.play(frames(np.concatenate([speech(0.5), silence(RATE)])))
    counts = [sum(1 for member, _ in hall.recorded if member == one) for one in (0, 1)]
    assert counts == [len(frames(silence(RATE * 3 // 2)))] * 2


def test_the_chain_loads_no_device_library_and_no_av() -> None:
    code = (
        "import sys, audio.chain, audio.microphone, audio.speaker; audio.chain.VoiceSender();"
        "print({'av', 'sounddevice', 'miniaudio', 'soxr'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
