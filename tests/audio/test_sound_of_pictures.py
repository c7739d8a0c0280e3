"""Stereo on its way: codec, tracks, elastic, lips, films, and what ``pactl`` says."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from audio import system
from audio.chain import Listening
from audio.codec import Decoder, Encoder, StereoEncoder
from audio.elastic import KEPT, STEP, Elastic
from audio.files import FilmSound
from audio.lips import ALIKE, MOST, Lips
from audio.mixer import Mixer
from audio.pcm import FRAME, RATE, Stereo, fade_out, stereo_silence, to_stereo
from audio.receiver import VoiceReceiver
from audio.record import GrowingWav, Recorder
from audio.ring import Ring
from audio.sinks import of_others, sink_inputs, tells_of_streams
from audio.soundtrack import Tones
from audio.speaker import open_speaker
from audio.stretch import lengthen, shorten
from audio.system import SystemSound
from audio.tracks import Tracks
from audio.unavailable import AudioUnavailable
from tests.audio.devices import FakeBackend
from tests.calls.stereo import apart, pitches, read_stereo
from tests.client.net.waiting import until
from vc_core.errors import LocalProtocolError

NAME = (3, 1)
SIDES = (440.0, 660.0)


def both(seconds: float, left: float = SIDES[0], right: float = SIDES[1]) -> Stereo:
    times = np.arange(round(seconds * RATE)) / RATE
    sides = [0.3 * np.sin(2 * np.pi * hertz * times) for hertz in (left, right)]
    return np.stack(sides, axis=1).astype(np.float32)


def frames(samples: Stereo) -> Iterator[Stereo]:
    for at in range(0, len(samples) // FRAME * FRAME, FRAME):
        yield samples[at : at + FRAME]


# ---- Codec -------------------------------------------------------------------------------


def test_all_packets_of_sound_have_one_size_whatever_plays() -> None:
    encoder = StereoEncoder()
    noise = np.random.default_rng(1).uniform(-1, 1, (RATE, 2)).astype(np.float32)
    for sound in (both(1.0), stereo_silence(RATE), noise):
        assert {len(encoder.encode(frame)) for frame in frames(sound)} == {240}


def test_both_sides_come_out_as_they_went_in() -> None:
    encoder, decoder = StereoEncoder(), Decoder(channels=2)
    heard = np.concatenate([decoder.decode(encoder.encode(one)) for one in frames(both(2.0))])
    assert pitches(heard[RATE // 2 :]) == pytest.approx((440, 660), abs=2)
    assert apart(heard[RATE // 2 :], *SIDES) > 50


def test_a_mono_packet_is_heard_on_both_sides() -> None:
    packet = Encoder().encode(both(0.02)[:, 0])
    frame = Decoder(channels=2).decode(packet)
    assert frame.shape == (FRAME, 2)
    assert np.array_equal(frame[:, 0], frame[:, 1])


def test_a_mono_frame_is_no_stereo_frame() -> None:
    with pytest.raises(LocalProtocolError):
        StereoEncoder().encode(np.zeros(FRAME, np.float32))


# ---- Tracks ------------------------------------------------------------------------------


def tracks() -> Tracks:
    return Tracks(lambda: VoiceReceiver(Decoder(channels=2)))


def test_a_track_plays_from_its_opening_to_its_close() -> None:
    listening, encoder = Listening(), StereoEncoder()
    packets = [encoder.encode(one) for one in frames(both(3.0))]
    heard = []
    for number, packet in enumerate(packets):
        now = number * 0.02
        if number == 50:
            listening.tracks.open(NAME)
        if number == 120:
            listening.tracks.close(NAME)
        listening.tracks.receive(NAME, number * FRAME, packet, now)
        heard.append(to_stereo(listening.pull(now, FRAME)))
    assert not np.any(np.concatenate(heard[:50]))
    assert not np.any(np.concatenate(heard[121:]))
    playing = np.concatenate(heard[60:118])
    assert pitches(playing) == pytest.approx((440, 660), abs=3)


def test_nonsense_costs_concealment_and_nothing_else() -> None:
    chance, one, encoder = random.Random(5), tracks(), StereoEncoder()
    one.open(NAME)
    for number, frame in enumerate(frames(both(6.0))):
        now = number * 0.02
        good = number % 7 or number > 250
        packet = encoder.encode(frame) if good else chance.randbytes(chance.randrange(300))
        one.receive(NAME, number * FRAME, packet, now)
        for _, samples, _ in one.pull(now, FRAME):
            assert samples.shape == (FRAME, 2) and np.all(np.isfinite(samples))
    told = one.stats()[NAME]
    assert 0.02 < told.concealed < 0.25


def test_sound_is_held_back_as_long_as_it_is_told() -> None:
    def lag(hold: float) -> float:
        one, encoder, now = tracks(), StereoEncoder(), 0.0
        one.open(NAME)
        one.hold(NAME, hold)
        for number, frame in enumerate(frames(both(4.0))):
            now = number * 0.02
            one.receive(NAME, number * FRAME, encoder.encode(frame), now)
            one.pull(now, FRAME)
        playing = one.playing(NAME)
        assert playing is not None
        return now + 0.02 + playing[1] - playing[0] / RATE

    assert lag(0.2) - lag(0.0) == pytest.approx(0.2, abs=0.03)


def test_volume_of_a_stream_is_apart_from_that_of_its_member() -> None:
    listening, encoder = Listening(), StereoEncoder()
    listening.tracks.open(NAME)
    packets = [encoder.encode(one) for one in frames(both(4.0))]
    loud = {}
    for number, packet in enumerate(packets):
        if number == 60:
            listening.tracks.volume(NAME, 50)
        if number == 110:
            listening.volume(NAME[0], 50)
        if number == 160:
            listening.deafen(True)
        listening.tracks.receive(NAME, number * FRAME, packet, number * 0.02)
        loud[number] = float(np.abs(listening.pull(number * 0.02, FRAME)).max())
    assert loud[100] == pytest.approx(loud[50] / 2, rel=0.1)
    assert loud[150] == pytest.approx(loud[50] / 4, rel=0.1)
    assert loud[190] == 0.0


def test_a_track_is_recorded_on_two_channels_in_a_file_of_its_own(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, lambda _member: "Ann")
    for frame in frames(both(1.0)):
        recorder.on_track_frame(NAME, frame)
        recorder.on_member_frame(3, frame[:, 0])
    recorder.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["Ann-m3-sound1.wav", "Ann-m3.wav"]
    heard = read_stereo(tmp_path / "Ann-m3-sound1.wav")
    assert pitches(heard) == pytest.approx((440, 660), abs=2)


# ---- Two channels where there was one ----------------------------------------------------


def test_voices_stay_mono_until_something_is_stereo() -> None:
    mono, stereo = both(0.02)[:, 0], both(0.02)
    assert Mixer().mix([(mono, 1.0)]).shape == (FRAME,)
    mixed = Mixer().mix([(mono, 1.0), (stereo, 0.5), (mono, 1.0)])
    assert mixed.shape == (FRAME, 2)
    assert np.allclose(mixed[:, 1], 2 * mono + stereo[:, 1] / 2, atol=1e-6)


def test_loud_stereo_is_limited_on_both_sides_alike() -> None:
    mixed = Mixer().mix([(both(0.02), 1.0)] * 5)
    assert np.abs(mixed).max() < 1.0
    assert np.abs(mixed[-480:, 0]).max() == pytest.approx(np.abs(mixed[-480:, 1]).max(), abs=0.05)


@pytest.mark.parametrize("stretch", [lengthen, shorten])
def test_time_is_stretched_for_both_sides_together(stretch: object) -> None:
    frame = both(0.02, 400.0, 800.0)
    changed = stretch(frame)  # type: ignore[operator]
    assert len(changed) != FRAME and changed.shape[1] == 2
    assert np.abs(np.diff(changed, axis=0)).max() < 0.05, "a click"


def test_a_ring_of_two_channels_keeps_them_apart() -> None:
    ring, sound = Ring(1000, channels=2), both(0.05)
    ring.write(sound[:700])
    first = ring.read(600)
    ring.write(sound[700:1500])
    assert np.array_equal(np.concatenate((first, ring.read())), sound[:1500])


def test_fading_knows_two_channels() -> None:
    assert np.array_equal(fade_out(both(0.02))[-1], np.zeros(2, np.float32))


async def test_a_device_plays_two_channels(tmp_path: Path) -> None:
    backend, sound = FakeBackend(), both(1.0)
    position = 0

    def pull(count: int) -> Stereo:
        nonlocal position
        position += count
        return sound[position - count : position]

    speaker = await open_speaker("default", pull, backend)
    assert np.array_equal(backend.take_both(480), sound[:480])
    speaker.close()


def test_a_file_of_one_channel_takes_the_mean_of_two(tmp_path: Path) -> None:
    file = GrowingWav(tmp_path / "mono.wav")
    file.write(np.array([[0.5, 0.1], [-0.2, 0.2]], np.float32))
    file.close()
    data = (tmp_path / "mono.wav").read_bytes()
    assert np.frombuffer(data[44:], "<i2").tolist() == [round(0.3 * 32767), 0]


# ---- Elastic -----------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [-300, 0, 300])
def test_a_device_with_another_clock_runs_neither_dry_nor_full(ppm: int) -> None:
    elastic, sound, given = Elastic(), both(121.0, 440.0, 440.0), 0.0
    silent, most, heard = 0, 0, []
    for beat in range(6000):
        given += FRAME * (1 + ppm / 1e6)
        begin, end = int(given - FRAME * (1 + ppm / 1e6)), int(given)
        elastic.push(sound[begin:end])
        frame = elastic.pull()
        silent += frame is None
        most = max(most, len(elastic))
        if frame is not None and beat > 5900:
            heard.append(frame)
    assert silent <= 3, "only before it begins"
    assert most < (KEPT + 0.02) * RATE
    steps = np.abs(np.diff(np.concatenate(heard)[:, 0]))
    assert steps.max() < 0.3 * 2 * np.pi * 440 / RATE * 1.1, "a click"


def test_after_a_stall_what_is_old_is_left_out() -> None:
    elastic = Elastic()
    elastic.push(both(5.0))
    assert elastic.pull() is not None
    assert len(elastic) <= KEPT * RATE + STEP


def test_what_has_ended_fades_out_and_begins_again() -> None:
    elastic = Elastic()
    elastic.push(both(0.075))
    got = [elastic.pull() for _ in range(6)]
    assert got[0] is not None and got[-1] is None
    elastic.push(both(0.06))
    assert elastic.pull() is not None


# ---- Lips --------------------------------------------------------------------------------


def test_early_sound_waits_for_its_pictures_and_late_sound_does_not() -> None:
    lips, own = Lips(), 0.06
    for _ in range(20):
        lips.compare(0.3, own + lips.hold)
    assert own + lips.hold == pytest.approx(0.3, abs=ALIKE)
    for _ in range(20):
        lips.compare(0.04, own + lips.hold)
    assert lips.hold == 0.0
    assert lips.ahead == pytest.approx(-0.02)


def test_sound_is_not_held_back_without_end() -> None:
    lips = Lips()
    for _ in range(50):
        lips.compare(9.0, 0.1 + lips.hold)
    assert lips.hold == MOST


# ---- What pactl says ---------------------------------------------------------------------

LISTING = """Sink Input #5
\tDriver: protocol-native.c
\tProperties:
\t\tapplication.name = "Sink Input #77"
\t\tapplication.process.id = "6390"

Sink Input #6
\tCorked: no
\tProperties:
\t\tmedia.name = "a "quoted" name"
\t\tapplication.process.id = "100"

Sink Input #8
\tProperties:
\t\tmedia.role = "filter"

Sink Input #9
\tProperties:
"""


def test_others_streams_are_found_and_ones_own_and_filters_left_out() -> None:
    assert of_others(sink_inputs(LISTING), own=100) == [5, 9]
    assert sink_inputs(LISTING)[1].properties["media.name"] == 'a "quoted" name'
    assert sink_inputs('nonsense\n\t\ta = "b"\n') == []


def test_only_events_about_streams_count() -> None:
    assert tells_of_streams("Event 'new' on sink-input #12\n")
    assert not tells_of_streams("Event 'change' on sink #0")
    assert not tells_of_streams("Event 'new' on source-output #3")


async def test_without_its_tools_the_sound_of_the_machine_is_refused_with_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioUnavailable) as refused:
        await SystemSound().open()
    assert refused.value.code == "no-system-sound"
    assert refused.value.hint


class Tap:
    """A stream that is tapped."""

    heard = False

    def __init__(self, gone: Callable[[], None]) -> None:
        self.gone = gone
        self.closed = False

    async def start(self, index: int) -> None:
        """At once."""

    def close(self) -> None:
        self.closed = True


async def test_a_sound_server_that_does_not_answer_once_silences_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[list[int] | None] = [[5], None, [5, 6]]
    sound = SystemSound()

    async def streams() -> list[int] | None:
        return answers.pop(0)

    async def watch() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(system, "_Tap", Tap)
    monkeypatch.setattr(system, "SETTLING", 0.0)
    monkeypatch.setattr(system, "AGAIN", 0.01)
    monkeypatch.setattr(sound, "_streams", streams)
    monkeypatch.setattr(sound, "_watch", watch)
    sound.listen(True)
    await until(lambda: len(answers) == 2)
    (tapped,) = sound._taps.values()
    sound._look.set()
    await until(lambda: len(sound._taps) == 2)
    assert sound._taps[5] is tapped and not cast(Any, tapped).closed
    sound.close()


async def test_a_stream_that_cannot_be_tapped_is_not_tried_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Deaf(Tap):
        async def start(self, index: int) -> None:
            looks.append(index)
            self.gone()

    async def streams() -> list[int]:
        return [5]

    async def watch() -> None:
        await asyncio.Event().wait()

    looks: list[int] = []
    sound = SystemSound()
    monkeypatch.setattr(system, "_Tap", Deaf)
    monkeypatch.setattr(system, "SETTLING", 0.0)
    monkeypatch.setattr(sound, "_streams", streams)
    monkeypatch.setattr(sound, "_watch", watch)
    sound.listen(True)
    await asyncio.sleep(0.2)
    sound.close()
    assert len(looks) == 1


# ---- Films and test tones ----------------------------------------------------------------


def film(path: Path, seconds: float = 2.0) -> Path:
    """A film without pictures: the tones, loud for 0.1 s of each second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="stereo")
        tones = Tones()
        for number in range(round(seconds * RATE / FRAME)):
            samples = np.ascontiguousarray(tones.read(number * 0.02).reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="stereo")
            frame.sample_rate, frame.pts = RATE, number * FRAME
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def settle(sound: FilmSound) -> None:
    """Until its thread has decoded ahead."""
    deadline = time.monotonic() + 5.0
    while not sound._pieces and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)


def test_a_films_sound_comes_when_its_pictures_do(tmp_path: Path) -> None:
    sound = FilmSound(str(film(tmp_path / "film.mkv")))
    assert not np.any(sound.read(99.0)), "nothing before the film has begun"
    sound.begins(100.0, 0)
    settle(sound)
    heard = []
    for beat in range(110):
        heard.append(sound.read(100.005 + beat * 0.02))
        time.sleep(0.002)
    sound.close()
    whole = np.concatenate(heard)
    wanted = np.concatenate([Tones().read(0.005 + beat * 0.02) for beat in range(99)])
    assert np.abs(whole[: len(wanted)] - wanted).max() < 0.01
    assert not np.any(whole[-FRAME:]), "silence behind its end"


def test_a_film_that_begins_again_is_heard_again(tmp_path: Path) -> None:
    sound = FilmSound(str(film(tmp_path / "film.mkv", 0.4)))
    for turn, zero in enumerate((10.0, 10.5, 20.0)):
        sound.begins(zero, turn)
        settle(sound)
        frame = sound.read(zero + 0.02)
        assert np.abs(frame - Tones().read(0.02)).max() < 0.01, f"turn {turn}"
    sound.close()


def test_who_comes_late_hears_a_long_film_where_it_stands(tmp_path: Path) -> None:
    sound = FilmSound(str(film(tmp_path / "film.mkv", 20.0)))
    sound.begins(100.0, 0)
    deadline = time.monotonic() + 5.0
    while not np.any(frame := sound.read(116.0)) and time.monotonic() < deadline:
        time.sleep(0.01)
    sound.close()
    assert np.abs(frame - Tones().read(16.0)).max() < 0.01


def test_damage_in_a_films_sound_costs_a_moment_of_it(tmp_path: Path) -> None:
    path = tmp_path / "film.mka"
    with av.open(str(film(tmp_path / "film.mkv"))) as whole, av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        for frame in whole.decode(audio=0):
            for plain in resampler.resample(frame):
                container.mux(stream.encode(plain))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux() if packet.size]
    data = path.read_bytes()
    for packet in packets[20:24]:
        data = data.replace(packet, b"\xff" * len(packet))
    path.write_bytes(data)
    sound = FilmSound(str(path))
    sound.begins(100.0, 0)
    settle(sound)
    silent = []
    for beat in range(80):
        if not np.any(np.abs(sound.read(100.0 + beat * 0.02)) > 0.001):
            silent.append(beat)
        time.sleep(0.002)
    sound.close()
    assert len(silent) <= 8


def test_a_film_without_sound_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mute.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    for path in ("mute.mkv", "nothing.mkv", os.devnull):
        with pytest.raises(AudioUnavailable) as refused:
            FilmSound(str(tmp_path / path))
        assert refused.value.code == "no-film-sound"
