"""Which sound devices there are, and through which library we reach them.

PortAudio (sounddevice) where it loads, else miniaudio, else none. Everything
here blocks: call it in an executor. Streams call back on a thread of the
library, where nothing may be done but copying into a ring.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from audio.backend import Backend, Device
from audio.unavailable import AudioUnavailable

log = logging.getLogger(__name__)

# Implementation
NO_BACKEND = "no sound library works here: install libportaudio2, or write instead"
NO_MICROPHONE = "no microphone found: others cannot hear you"
NO_SPEAKER = "no speaker found: you cannot hear the others"


@cache
def hush_alsa() -> Callable[..., None] | None:
    """Keep ALSA from writing its own troubles to stderr; the handler, to be kept alive."""
    if not sys.platform.startswith("linux"):
        return None
    text, number = ctypes.c_char_p, ctypes.c_int
    kind = ctypes.CFUNCTYPE(None, text, number, text, number, text)
    handler = kind(lambda *_said: None)
    try:
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(handler)
    except (OSError, AttributeError) as error:
        log.debug("no ALSA to keep quiet: %s", error)
    return handler


def port_audio() -> Backend:
    """PortAudio; ``OSError`` or ``ImportError`` where it is missing, ``AudioUnavailable``
    where it cannot begin."""
    try:
        import sounddevice
    except (ImportError, OSError):
        raise
    except Exception as error:  # of a kind that is only there when the import succeeds
        raise AudioUnavailable("audio-backend", f"PortAudio: {error}") from error

    from audio.portaudio import PortAudio

    return PortAudio(sounddevice)


def mini_audio() -> Backend:
    """miniaudio; ``ImportError`` without it, ``AudioUnavailable`` without a sound system."""
    import miniaudio

    from audio.mini import MiniAudio

    return MiniAudio(miniaudio)


BACKENDS = (port_audio, mini_audio)
"""Best first."""


def backends() -> Iterator[Backend]:
    """Those that work here, best first; none is loaded before it is asked for."""
    hush_alsa()
    for connect in BACKENDS:
        try:
            yield connect()
        except (ImportError, OSError, AudioUnavailable) as error:
            log.info("%s: %s", connect.__name__, error)


def best() -> Backend | None:
    """The backend in use, if any."""
    return next(backends(), None)


def backend_name() -> str:
    """Of the backend in use: ``PortAudio``, ``miniaudio`` or ``none``."""
    backend = best()
    return backend.name if backend else "none"


def choose(devices: Sequence[Device], spec: str, what: str) -> Device:
    """The device that ``spec`` means: its number, its name, or part of its name.

    ``default`` is the default one, else the first. ``AudioUnavailable`` if none fits.
    """
    if spec == "default":
        fitting = [one for one in devices if one.default] or list(devices)
    elif spec.isascii() and spec.isdigit():
        fitting = [one for one in devices if one.number == int(spec)]
    else:
        exact = [one for one in devices if one.name == spec]
        fitting = exact or [one for one in devices if spec.casefold() in one.name.casefold()]
    if not fitting:
        raise AudioUnavailable("audio-device", f"no {what} fits '{spec}'", "see: vchat devices")
    return fitting[0]


def microphones() -> list[Device]:
    """All microphones of the backend in use."""
    backend = best()
    return backend.microphones() if backend else []


def speakers() -> list[Device]:
    """All speakers of the backend in use."""
    backend = best()
    return backend.speakers() if backend else []
