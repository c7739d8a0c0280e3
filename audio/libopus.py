"""Where libopus is, found without importing PyAV.

The copy inside PyAV's wheel comes first, since it is newer than most systems'
(1.6 against 1.3: PESQ-WB 0.3 better with FEC on) and found without the process
that ``find_library`` starts; then the system's. The wheel's folder differs:

    Linux    av.libs/libopus-*.so*        beside the package
    macOS    av/.dylibs/libopus*.dylib    inside it
    Windows  av.libs/*opus*.dll           beside it

opuslib asks ``ctypes.util.find_library`` at import and raises a bare Exception
when that knows nothing; so the path is put there for that one import.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from vc_core.errors import VchatError

# Implementation
PATTERNS = (
    "av.libs/libopus-*.so*",
    "av.libs/libopus.so*",
    "av/.dylibs/libopus*.dylib",
    "av.libs/*opus*.dll",
    "av/*opus*.dll",
)


class OpusMissing(VchatError):
    """No libopus could be loaded."""

    code = "opus-missing"
    message = "the Opus library could not be loaded"
    hint = "reinstall the package av, or install libopus0 of your system"

    def __init__(self, reason: str = "") -> None:
        super().__init__(f"{self.message} ({reason})" if reason else self.message)


def bundled() -> Path | None:
    """The libopus inside PyAV's wheel, or None."""
    spec = importlib.util.find_spec("av")
    if spec is None or spec.origin is None:
        return None
    site = Path(spec.origin).parent.parent
    found = (path for pattern in PATTERNS for path in sorted(site.glob(pattern)))
    return next(found, None)


def locate() -> str:
    """Name or path of libopus for ``ctypes.CDLL``; ``OpusMissing`` if there is none."""
    wheel = bundled()
    if wheel is not None:
        return str(wheel)
    system = ctypes.util.find_library("opus")
    if system is None:
        raise OpusMissing("found neither beside PyAV nor in the system")
    return system


@contextmanager
def _found_at(path: str) -> Iterator[None]:
    """``find_library`` answers ``path`` for a moment."""
    asked = ctypes.util.find_library
    ctypes.util.find_library = lambda name: path
    try:
        yield
    finally:
        ctypes.util.find_library = asked


@cache
def load() -> ctypes.CDLL:
    """The library, through opuslib's handle; ``OpusMissing`` if it cannot be loaded."""
    path = locate()
    try:
        with _found_at(path), warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # opuslib compares with ``is 0``
            from opuslib import api
    except (ImportError, OSError) as error:
        raise OpusMissing(str(error)) from error
    library: ctypes.CDLL = api.libopus
    return library
