"""Microphones, speakers, files and recordings, without a sound device."""

from __future__ import annotations

import asyncio
import threading
import time
import wave
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio import devices
from audio.backend import Backend
from audio.microphone import AudioUnavailable, SampleClock, open_microphone
from audio.pacer import MOST_AT_ONCE, Pacer
from audio.pcm import BLOCK, FRAME, FRAME_SECONDS, RATE, Frame, Samples, silence, to_int16
from audio.record import GrowingWav, Recorder, safe_name
from audio.record import read_wav as read_growing
from audio.sources import open_file
from audio.speaker import DeviceSpeaker, open_speaker
from tests.audio.devices import FakeBackend
from tests.audio.signal import delay_of, speech

BOUND = 10.0  # seconds that any condition may take


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, but not for ever."""
    async with asyncio.timeout(BOUND):
        while not condition():
            await asyncio.sleep(0.002)


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_int16(np.repeat(samples, channels)).tobytes())
    return str(path)


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32_767


def read_all(path: str) -> np.ndarray:
    source, out = open_file(path), []
    while (frame := source.read()) is not None:
        out.append(frame)
    return np.concatenate(out)


class Ears:
    """Keeps what a microphone gives."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.times: list[float] = []

    def __call__(self, frame: Frame, captured_at: float) -> None:
        self.frames.append(frame)
        self.times.append(captured_at)


# -- the beat -------------------------------------------------------------


async def test_the_beat_makes_up_for_a_short_stall_and_skips_a_long_one() -> None:
    now, beats, skipped = [100.0], list[int](), list[int]()
    pacer = Pacer(beats.append, skipped.append, 100.0, clock=lambda: now[0])
    await until(lambda: beats == [0])
    now[0] = 100.0 + 3 * FRAME_SECONDS
    await until(lambda: beats == [0, 1, 2, 3])
    now[0] = 100.0 + 40 * FRAME_SECONDS
    most = round(MOST_AT_ONCE / FRAME_SECONDS)
    await until(lambda: len(beats) == 4 + most)
    assert beats[-1] == 40
    assert sum(skipped) == 40 - 3 - most
    pacer.stop()


async def test_the_beat_does_not_drift() -> None:
    late: list[float] = []
    origin = time.monotonic() + 0.01
    pacer = Pacer(
        lambda beat: late.append(time.monotonic() - origin - beat * FRAME_SECONDS),
        lambda _count: None,
        origin,
    )
    await until(lambda: len(late) >= 40)
    pacer.stop()
    assert min(late) > -0.002
    assert min(late[-20:]) < 0.01


# -- microphones ----------------------------------------------------------


async def test_a_file_is_played_once_in_real_time_and_then_silence_goes_on(tmp_path: Path) -> None:
    said = speech(0.2)
    ears = Ears()
    begun = time.monotonic()
    microphone = await open_microphone("file:" + write_wav(tmp_path / "a.wav", said), ears)
    await until(lambda: len(ears.frames) >= 15)
    microphone.close()
    heard = np.concatenate(ears.frames)
    assert np.abs(heard[: len(said)] - said).max() < 1e-4
    assert not heard[len(said) :].any()
    assert np.diff(ears.times) == pytest.approx(FRAME_SECONDS)
    assert ears.times[0] >= begun
    assert time.monotonic() - ears.times[0] >= 15 * FRAME_SECONDS - 0.002
    assert microphone.name.startswith("file:")
    assert microphone.started == pytest.approx(time.time(), abs=BOUND)


async def test_a_loop_begins_again(tmp_path: Path) -> None:
    said = speech(0.06)
    ears = Ears()
    microphone = await open_microphone("loop:" + write_wav(tmp_path / "a.wav", said), ears)
    await until(lambda: len(ears.frames) >= 6)
    microphone.close()
    assert np.array_equal(ears.frames[0], ears.frames[3])
    assert ears.frames[0].any()


async def test_a_tone_is_continuous_from_frame_to_frame() -> None:
    ears = Ears()
    microphone = await open_microphone("tone:440", ears)
    await until(lambda: len(ears.frames) >= 4)
    microphone.close()
    joined = np.concatenate(ears.frames)
    assert np.abs(np.diff(joined)).max() <= 0.25 * 2 * np.pi * 440 / RATE * 1.01


async def test_none_is_silent_and_never_calls() -> None:
    microphone = await open_microphone("none", Ears())
    assert (microphone.name, microphone.started) == ("none", None)
    microphone.close()


@pytest.mark.parametrize(
    "spec", ["", "tone:", "tone:high", "tone:0", "tone:nan", "file:/no/such/file", "file:"]
)
async def test_a_bad_microphone_is_refused_with_a_sentence(spec: str) -> None:
    with pytest.raises(AudioUnavailable) as caught:
        await open_microphone(spec, Ears())
    assert caught.value.message and caught.value.code


async def test_a_file_without_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.wav").write_text("this is no sound " * 100)
    with pytest.raises(AudioUnavailable):
        await open_microphone(f"file:{tmp_path / 'note.wav'}", Ears())


@pytest.mark.parametrize(("at", "zeros"), [(24, 4), (34, 2)], ids=["rate", "bits"])
def test_a_file_without_a_rate_or_a_depth_is_refused(at: int, zeros: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, speech(0.2))
    data = bytearray(path.read_bytes())
    data[at : at + zeros] = bytes(zeros)
    path.write_bytes(data)
    with pytest.raises(AudioUnavailable):
        open_file(str(path))


async def test_a_loop_whose_file_is_gone_falls_silent(tmp_path: Path) -> None:
    path, ears, errors = tmp_path / "a.wav", Ears(), list[object]()
    write_wav(path, np.full(2 * FRAME, 0.5, np.float32))
    asyncio.get_running_loop().set_exception_handler(lambda _, about: errors.append(about))
    microphone = await open_microphone(f"loop:{path}", ears)
    path.unlink()
    await until(lambda: len(ears.frames) >= 6)
    microphone.close()
    assert not ears.frames[-1].any() and not errors


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 2)])
def test_files_of_any_rate_and_channels_become_frames(
    rate: int, channels: int, tmp_path: Path
) -> None:
    at = np.arange(rate) / rate
    path = write_wav(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 500 * at), rate, channels)
    heard = read_all(path)
    expected = 0.5 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    assert len(heard) == pytest.approx(RATE, abs=FRAME)
    assert np.abs(heard[2000:40_000] - expected[2000:40_000]).max() < 0.01


def test_other_formats_are_read_through_pyav(tmp_path: Path) -> None:
    import av

    path, said = str(tmp_path / "a.flac"), speech(0.5)
    with av.open(path, "w") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(to_int16(said)[np.newaxis], "s16", "mono")
        frame.rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.abs(read_all(path)[: len(said)] - said).max() < 1e-3


def test_a_damaged_place_in_a_file_is_passed_over(tmp_path: Path) -> None:
    import av

    path, said = tmp_path / "a.mp3", speech(4.0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(said[np.newaxis], "fltp", "mono")
        frame.rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(number * 7919 // 8 % 256 for number in range(2000))
    path.write_bytes(data)
    assert len(read_all(str(path))) > 0.8 * len(said)


# -- speakers -------------------------------------------------------------


async def test_a_file_speaker_writes_what_it_pulls_and_is_readable_meanwhile(
    tmp_path: Path,
) -> None:
    path, pulled = tmp_path / "out.wav", list[Frame]()

    def pull(count: int) -> Samples:
        pulled.append(np.full(count, len(pulled) / 1000, np.float32))
        return pulled[-1]

    speaker = await open_speaker(f"file:{path}", pull)
    await until(lambda: len(pulled) >= 110)
    assert len(read_wav(path)) >= RATE  # sizes are said once a second
    speaker.close()
    speaker.close()
    written = read_wav(path)
    assert len(written) >= len(pulled) * BLOCK
    assert written[10 * BLOCK] == pytest.approx(0.01, abs=1e-4)


async def test_a_full_disk_ends_the_file_and_not_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: GrowingWav, _samples: Frame) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GrowingWav, "write", full)
    pulls: list[int] = []

    def pull(count: int) -> Samples:
        pulls.append(count)
        return silence(count)

    heard: list[str] = []
    speaker = await open_speaker(f"file:{tmp_path / 'out.wav'}", pull)
    speaker.on_failure = heard.append
    await until(lambda: len(pulls) >= 3)
    speaker.close()
    assert heard == [speaker.advice]
    assert heard[0].endswith("is written no longer: no space left on device")


async def test_a_disk_that_fails_at_the_end_is_said_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_self: GrowingWav) -> None:
        raise OSError(5, "Input/output error")

    speaker, heard = await open_speaker(f"file:{tmp_path / 'out.wav'}", silence), list[str]()
    speaker.on_failure = heard.append
    monkeypatch.setattr(GrowingWav, "close", gone)
    speaker.close()
    speaker.close()
    assert len(heard) == 1 and "input/output error" in heard[0]


async def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioUnavailable):
        await open_speaker(f"file:{tmp_path}/no/folder.wav", silence)


# -- devices --------------------------------------------------------------


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000])
async def test_a_device_microphone_gives_frames_whatever_its_rate(rate: int) -> None:
    backend, ears = FakeBackend(rate), Ears()
    microphone = await open_microphone("default", ears, backend)
    assert microphone.name == "Built-in"
    assert backend.deliver is not None
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate).astype(np.float32)
    for block in np.split(tone, 100):
        backend.deliver(np.stack((block, block), axis=1))
        await asyncio.sleep(0)
    await until(lambda: len(ears.frames) >= 40)
    microphone.close()
    await until(lambda: backend.stream.closed)
    heard = np.concatenate(ears.frames)[4800:30_000]
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("kind", ["microphone", "speaker"])
async def test_a_device_that_opens_too_late_is_closed_again(kind: str) -> None:
    backend, asked, go = FakeBackend(), threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        go.wait(BOUND)

    backend.before_opening = wait
    opening: Coroutine[Any, Any, object] = (
        open_microphone("default", Ears(), backend)
        if kind == "microphone"
        else open_speaker("default", silence, backend)
    )
    task = asyncio.create_task(opening)
    await until(asked.is_set)
    task.cancel()
    await asyncio.wait([task])
    go.set()
    await until(lambda: backend.stream.closed)


@pytest.mark.parametrize("rate", [48_000, 44_100])
async def test_a_device_speaker_stays_about_a_frame_ahead(rate: int) -> None:
    pulls: list[int] = []

    def pull(count: int) -> Samples:
        pulls.append(count)
        return np.full(count, 0.25, np.float32)

    backend = FakeBackend(rate)
    speaker = await open_speaker("default", pull, backend)
    block = rate // 100
    out = []
    for _ in range(100):
        out.append(backend.take(block))
        await asyncio.sleep(0.001)
    speaker.close()
    played = np.concatenate(out)
    assert np.isfinite(played).all()
    assert played[rate // 10 :] == pytest.approx(0.25, abs=0.01)
    assert sum(pulls) / RATE <= 1.0 + 3 * FRAME_SECONDS
    assert speaker.started is not None


async def test_a_speaker_that_ran_dry_keeps_more_ahead() -> None:
    pulls: list[int] = []

    def pull(count: int) -> Samples:
        pulls.append(count)
        return np.full(count, 0.25, np.float32)

    backend = FakeBackend()
    speaker = await open_speaker("default", pull, backend)
    assert isinstance(speaker, DeviceSpeaker)
    backend.take(4800)  # far more than there is
    assert speaker.ran_dry == 1
    await until(lambda: sum(pulls) >= 4800 + FRAME)
    assert backend.take(4800).min() == np.float32(0.25)
    assert speaker.ran_dry == 1
    speaker.close()


@pytest.mark.parametrize(
    ("spec", "name"), [("default", "Built-in"), ("3", "Headset Mono"), ("head", "Headset Mono")]
)
def test_a_device_is_found_by_number_or_part_of_its_name(spec: str, name: str) -> None:
    assert devices.choose(FakeBackend().microphones(), spec, "microphone").name == name


@pytest.mark.parametrize("backend", [FakeBackend(empty=True), FakeBackend(refuses=True)])
async def test_default_without_a_device_is_none_with_advice(backend: FakeBackend) -> None:
    microphone = await open_microphone("default", Ears(), backend)
    speaker = await open_speaker("default", silence, backend)
    assert (microphone.name, speaker.name) == ("none", "none")
    assert microphone.advice == devices.NO_MICROPHONE
    assert speaker.advice == devices.NO_SPEAKER
    speaker.close()


async def test_default_without_any_library_is_none_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def missing() -> Backend:
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(devices, "BACKENDS", (missing, missing))
    assert devices.backend_name() == "none"
    microphone = await open_microphone("default", Ears())
    assert (microphone.name, microphone.advice) == ("none", devices.NO_BACKEND)


async def test_a_device_that_was_named_is_never_replaced() -> None:
    with pytest.raises(AudioUnavailable):
        await open_microphone("Headset", Ears(), FakeBackend(refuses=True))
    with pytest.raises(AudioUnavailable):
        await open_speaker("no such thing", silence, FakeBackend())


def test_the_clock_of_samples_is_straight_although_threads_are_late() -> None:
    clock, rng = SampleClock(), np.random.default_rng(1)
    late = rng.exponential(0.005, 500)
    times = [clock.at(n * FRAME, 50 + n * FRAME_SECONDS + late[n]) for n in range(500)]
    assert np.diff(times)[50:] == pytest.approx(FRAME_SECONDS, abs=0.001)
    assert times[-1] == pytest.approx(50 + 499 * FRAME_SECONDS, abs=0.003)


# -- recordings -----------------------------------------------------------


def test_no_name_leads_out_of_the_folder_or_over_a_file(tmp_path: Path) -> None:
    names = ["../../etc/passwd", "a/b\\c", "..", "", "CON", "\x1b[2J", "日本 👩", "x" * 500]
    for number in range(len(names)):
        for _ in range(2):
            recorder = Recorder(tmp_path / "rec", names.__getitem__)
            recorder.on_member_frame(number, silence())
            recorder.close()
    files = list((tmp_path / "rec").iterdir())
    assert len(files) == 2 * len(names)
    assert list(tmp_path.iterdir()) == [tmp_path / "rec"]
    assert all(len(read_wav(file)) == FRAME for file in files)
    assert safe_name("Zoë/..") == "Zoë"


def test_a_recording_holds_each_member_and_survives_a_failing_disk(tmp_path: Path) -> None:
    said, failures = speech(0.1), list[str]()
    recorder = Recorder(tmp_path, lambda member: f"n{member}", failures.append)
    for at in range(0, len(said), FRAME):
        recorder.on_member_frame(7, said[at : at + FRAME])
    recorder.forget(7)
    assert delay_of(read_wav(tmp_path / "n7-m7.wav"), said) == 0
    blocked = Recorder(tmp_path / "n7-m7.wav", lambda _member: "x", failures.append)
    blocked.on_member_frame(1, silence())
    blocked.on_member_frame(1, silence())
    blocked.close()
    assert len(failures) == 1


# -- naps -----------------------------------------------------------------


async def test_a_beat_with_nothing_to_do_naps_until_it_is_woken() -> None:
    now, beats, skipped, idle = [100.0], list[int](), list[int](), [True]
    pacer = Pacer(
        beats.append, skipped.append, 100.0, clock=lambda: now[0], may_nap=lambda: idle[0]
    )
    now[0] = 100.0 + 30 * FRAME_SECONDS
    idle[0] = False
    pacer.wake()
    assert (beats, skipped) == ([], [31])
    now[0] += FRAME_SECONDS
    await until(lambda: beats == [31])
    pacer.stop()
    assert skipped == [31]


async def test_microphone_and_speaker_of_files_share_their_beats(tmp_path: Path) -> None:
    speaker = await open_speaker(f"file:{tmp_path / 'heard.wav'}", silence)
    microphone = await open_microphone("tone:440", Ears())
    speaker.close()
    microphone.close()
    assert speaker.started is not None and microphone.started is not None
    apart = (microphone.started - speaker.started) / FRAME_SECONDS
    assert apart == pytest.approx(round(apart), abs=0.05)


async def test_a_silent_file_speaker_keeps_real_time_without_pulling(tmp_path: Path) -> None:
    path, pulls = tmp_path / "heard.wav", list[int]()

    def pull(count: int) -> Samples:
        pulls.append(count)
        return np.full(count, 0.5, np.float32)

    idle = [True]
    begun = time.monotonic()
    speaker = await open_speaker(f"file:{path}", pull, silent=lambda: idle[0])
    await until(lambda: len(read_growing(path)) >= RATE // 5)
    assert pulls == []
    idle[0] = False
    speaker.wake()
    await until(lambda: len(pulls) >= 10)
    speaker.close()
    heard, passed = read_growing(path), time.monotonic() - begun
    assert not heard[: RATE // 5].any()
    assert heard[-BLOCK:].all()
    assert len(heard) / RATE == pytest.approx(passed, abs=0.05)


async def test_where_nobody_listens_whole_frames_are_pulled() -> None:
    pulls: list[int] = []

    def pull(count: int) -> Samples:
        pulls.append(count)
        return silence(count)

    speaker = await open_speaker("none", pull)
    await until(lambda: len(pulls) >= 3)
    speaker.close()
    assert set(pulls) == {FRAME}
