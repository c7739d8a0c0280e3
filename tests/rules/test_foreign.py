"""Law 6: one foreign library, one room.

Each third-party import may appear only in the files that stand here beside its
name. To use a library in a new place, first ask whether one of its files can
offer what is missing; then add a pattern (``*`` stays within a folder), and for
a new library a line, its dependency in ``pyproject.toml`` and its job in
``docs/decisions/0003-dependencies.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.rules import source

ROOMS: Mapping[str, tuple[str, ...]] = {
    "aioice": ("client/net/ice*.py", "client/net/turn.py"),
    "aioquic": ("client/net/quic*.py",),
    "av": ("audio/files.py", "audio/sources.py", "video/*.py"),
    "click": (
        "client/cli.py",
        "client/commands/*.py",
        "signaling/cli.py",
        "relay/cli.py",
    ),
    "cryptography": ("client/net/kem.py", "client/net/quic*.py", "relay/certificate.py"),
    "ifaddr": ("client/net/interfaces.py",),
    "jeepney": ("video/portal.py",),
    "miniaudio": ("audio/devices.py",),
    "nacl": tuple(f"vc_core/{room}.py" for room in ("aead", "keys", "noise", "pake", "seal")),
    "mss": ("video/screen.py",),
    "numpy": ("audio/*.py", "video/*.py", "client/ui/picture.py"),
    "opuslib": ("audio/libopus.py",),
    "platformdirs": ("client/config.py",),
    "prompt_toolkit": ("client/ui/*.py",),
    "rich": ("client/commands/demo.py",),
    "sdl2": ("video/window.py",),
    "sounddevice": ("audio/devices.py",),
    "soxr": ("audio/*.py",),
    "uvloop": ("client/loop.py", "signaling/cli.py", "relay/cli.py"),
    "websockets": (
        *("client/net/mailbox.py", "client/net/channels.py"),
        *("signaling/server.py", "signaling/desk.py", "signaling/callers.py"),
        *("relay/server.py", "relay/callers.py", "relay/web.py", "relay/forwarder.py"),
    ),
    "zeroconf": ("client/net/mdns.py",),
}


def allows(library: str, name: str) -> bool:
    """Whether the file ``name`` may import ``library``."""
    return any(
        fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")
        for pattern in ROOMS.get(library, ())
    )


@pytest.mark.parametrize("path", source.shipped(), ids=source.name_of)
def test_a_file_imports_only_the_foreign_libraries_of_its_room(path: Path) -> None:
    name = source.name_of(path)
    strays = [
        f"{name}:{line} imports {library}, which belongs in {', '.join(rooms)}"
        if (rooms := ROOMS.get(library))
        else f"{name}:{line} imports {library}, which has no room in tests/rules/test_foreign.py"
        for library, line in source.foreign(path)
        if not allows(library, name)
    ]
    assert not strays, "\n".join(strays)


@pytest.mark.parametrize("library", ROOMS)
def test_every_pattern_names_a_file_that_uses_the_library(library: str) -> None:
    users = [
        source.name_of(path)
        for path in source.shipped()
        if any(one == library for one, _ in source.foreign(path))
    ]
    assert not [
        pattern for pattern in ROOMS[library] if not any(fnmatchcase(one, pattern) for one in users)
    ]


def test_a_pattern_does_not_reach_into_folders() -> None:
    assert allows("numpy", "audio/mixer.py")
    assert not allows("numpy", "audio/deeper/mixer.py")
    assert not allows("nacl", "vc_core/ids.py")
