"""PortAudio that refuses, without a sound device."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from audio import devices
from audio.backend import Device
from audio.portaudio import PortAudio
from audio.unavailable import AudioUnavailable

BROKEN = """
class PortAudioError(Exception):
    pass

raise PortAudioError("Error initializing PortAudio: Unanticipated host error [-9999]")
"""


class RefusedError(Exception):
    """The library's own kind."""


class Stream:
    """An open stream that cannot be started."""

    opened: ClassVar[list[Stream]] = []

    def __init__(self, **_: Any) -> None:
        self.latency, self.closed = 0.0, False
        self.opened.append(self)

    def start(self) -> None:
        raise RefusedError("device unavailable")

    def close(self, *, ignore_errors: bool) -> None:
        self.closed = ignore_errors


@pytest.fixture
def library() -> PortAudio:
    def refuse(**_: Any) -> Any:
        raise RefusedError("error querying devices")

    Stream.opened.clear()
    return PortAudio(
        SimpleNamespace(PortAudioError=RefusedError, InputStream=Stream, query_devices=refuse)
    )


def test_a_library_that_cannot_begin_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(devices, "BACKENDS", (devices.port_audio,))
    assert devices.best() is None


def test_devices_that_cannot_be_listed_are_none(library: PortAudio) -> None:
    assert library.microphones() == library.speakers() == []


def test_a_stream_that_does_not_start_is_closed(library: PortAudio) -> None:
    device = Device(0, "Headset", 1, 44_100, True, 0)
    with pytest.raises(AudioUnavailable, match="cannot be opened"):
        library.capture(device, lambda _: None)
    assert len(Stream.opened) == 2 and all(one.closed for one in Stream.opened)
