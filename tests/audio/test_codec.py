"""Opus: sizes, repair, hostile bytes, and where the library is found."""

from __future__ import annotations

import ctypes.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio import codec, libopus
from audio.codec import FULLBAND, Decoder, Encoder, carries_fec
from audio.pcm import FRAME, silence
from tests.audio.signal import frames, speech
from vc_core.errors import LocalProtocolError, RemoteProtocolError

VOICE = frames(speech(2.0))


def test_packets_have_the_size_of_the_bit_rate() -> None:
    assert {len(Encoder().encode(frame)) for frame in VOICE} == {96}
    assert {len(Encoder(48_000, FULLBAND).encode(frame)) for frame in VOICE} == {120}


def test_an_older_library_encodes_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_APPLICATION_RESTRICTED_SILK", 1)
    assert {len(Encoder().encode(frame)) for frame in VOICE} == {96}


def test_fec_is_in_the_packets_only_while_packets_get_lost() -> None:
    encoder = Encoder()
    calm = [encoder.encode(frame) for frame in VOICE]
    encoder.set_loss(0.1)
    lossy = [encoder.encode(frame) for frame in VOICE]
    encoder.set_loss(0.005)
    calm_again = [encoder.encode(frame) for frame in VOICE]
    assert not any(map(carries_fec, calm + calm_again[2:]))
    assert sum(map(carries_fec, lossy)) > len(lossy) // 2


def test_fec_restores_better_than_concealment() -> None:
    encoder, clean, fec, plc = Encoder(), Decoder(), Decoder(), Decoder()
    encoder.set_loss(0.2)
    wrong_fec = wrong_plc = 0.0
    packets = [encoder.encode(frame) for frame in VOICE]
    for number, packet in enumerate(packets[:-1]):
        right = clean.decode(packet)
        if number % 7 == 6:
            restored, made_up = fec.decode_fec(packets[number + 1]), plc.conceal()
            wrong_fec += float(((restored - right) ** 2).sum())
            wrong_plc += float(((made_up - right) ** 2).sum())
        else:
            fec.decode(packet)
            plc.decode(packet)
    assert wrong_fec < 0.7 * wrong_plc


def test_concealment_fades_out() -> None:
    encoder, decoder = Encoder(), Decoder()
    for frame in VOICE[:20]:
        decoder.decode(encoder.encode(frame))
    made_up = [decoder.conceal() for _ in range(30)]
    assert np.abs(made_up[-1]).max() < 0.2 * np.abs(made_up[0]).max() + 1e-3


def test_a_decoder_that_goes_back_has_never_made_anything_up() -> None:
    encoder, undisturbed, decoder = Encoder(), Decoder(), Decoder()
    for number, frame in enumerate(VOICE):
        packet = encoder.encode(frame)
        if number % 5 == 4:
            decoder.keep()
            decoder.conceal()
            decoder.back()
        assert np.array_equal(undisturbed.decode(packet), decoder.decode(packet))


@pytest.mark.parametrize("payload", [b"", b"\xff" * 80, b"\x00" * 1276, bytes([0x03, 0x3F]) * 40])
def test_what_is_no_20_ms_of_opus_is_the_fault_of_the_sender(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Decoder().decode(payload)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.booleans())
def test_any_bytes_give_a_frame_or_a_remote_error(payloads: list[bytes], fec: bool) -> None:
    decoder = Decoder()
    for payload in payloads:
        carries_fec(payload)
        try:
            frame = decoder.decode_fec(payload) if fec else decoder.decode(payload)
        except RemoteProtocolError:
            frame = decoder.conceal()
        assert frame.shape == (FRAME,)
        assert np.isfinite(frame).all()


def test_a_frame_of_the_wrong_shape_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError):
        Encoder().encode(silence(480))


@pytest.mark.parametrize(
    "place", ["av.libs/libopus-1.so.0", "av/.dylibs/libopus.0.dylib", "av.libs/libopus-0.dll"]
)
def test_finds_the_library_of_every_wheel_layout(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tmp_path / "av" / "__init__.py", tmp_path / place):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = importlib_spec(tmp_path / "av" / "__init__.py")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: found)
    assert libopus.bundled() == tmp_path / place


def importlib_spec(origin: Path) -> object:
    class Spec:
        pass

    spec = Spec()
    spec.origin = str(origin)  # type: ignore[attr-defined]
    return spec


def test_says_so_when_there_is_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    with pytest.raises(libopus.OpusMissing) as caught:
        libopus.locate()
    assert caught.value.hint
