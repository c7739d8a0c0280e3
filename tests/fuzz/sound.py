"""Targets of sound: what members seal as the sound of pictures, and what ``pactl`` says."""

from __future__ import annotations

import numpy as np

from audio.codec import Decoder, StereoEncoder
from audio.jitter import MOST_PACKETS
from audio.pcm import FRAME, stereo_silence
from audio.receiver import VoiceReceiver
from audio.sinks import of_others, sink_inputs, tells_of_streams
from audio.tracks import Tracks

NAME = (1, 1)


def track(data: bytes) -> None:
    """Packets of a stream, each with its length, how late it comes and how its clock leaps."""
    tracks, at, now, timestamp = Tracks(lambda: VoiceReceiver(Decoder(channels=2))), 0, 0.0, 0
    tracks.open(NAME)
    while at + 6 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big") % 1400
        leap = int.from_bytes(data[at + 2 : at + 5], "big")
        timestamp = (timestamp + FRAME + (leap << 8 if leap & 0x800000 else 0)) % (1 << 32)
        payload = data[at + 6 : at + 6 + size]
        tracks.receive(NAME, timestamp, payload, now)
        tracks.hold(NAME, data[at + 5] / 256)
        now += data[at + 5] / 4000
        at += 6 + size
        for _, samples, _ in tracks.pull(now, FRAME):
            assert samples.shape == (FRAME, 2)
            assert np.all(np.isfinite(samples))
        assert len(tracks._receivers[NAME]._jitter) <= MOST_PACKETS
        tracks.stats()


def listing(data: bytes) -> None:
    """Text of ``pactl``: names of programs stand in it."""
    text = data.decode("utf-8", "replace")
    assert all(index >= 0 for index in of_others(sink_inputs(text), 1))
    tells_of_streams(text)


# Seeds


def seeds_track() -> list[bytes]:
    """A second that is whole, and one that is not."""
    encoder = StereoEncoder()
    chance = np.random.default_rng(3)
    sound = [chance.uniform(-0.3, 0.3, (FRAME, 2)).astype(np.float32) for _ in range(25)]
    packets = [encoder.encode(one) for one in (*sound, stereo_silence())]
    whole = b"".join(len(one).to_bytes(2, "big") + bytes((0, 0, 0, 80)) + one for one in packets)
    return [whole, whole[: len(whole) // 2] + whole[len(whole) // 2 + 700 :], b""]


def seeds_listing() -> list[bytes]:
    """One stream, and an event."""
    head = b'Sink Input #5\n\tProperties:\n\t\tapplication.process.id = "6390"\n'
    return [head * 3, b"Event 'new' on sink-input #5\n"]
