"""What the decoding process gives up before it sees a byte of a stranger's.

    everywhere   environment: only what a display and Python need
    POSIX        memory, core dumps; CPU seconds, renewed while it lives
    Linux        no new privileges, no memory dump, and (without a window) no new
                 files or sockets at all

Not given up: what is open already (stdin, stdout, stderr; the display or the socket
of a terminal), and reading the clock. There is no system call filter. Where a window
is shown, the process holds the display's connection, and with X11 whoever holds that
can watch keys and screens: docs/security.md says so to people.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Mapping

# Implementation
MEMORY = 3 * 1024**3  # bytes of address space; libraries and threads reserve most of it
CPU = 20  # s at a stretch without coming back to the loop
CALM = 5  # of niceness: voice goes before
MOST_FILES = 64  # open at once where a window needs some later
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38

KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TEMP", "TMP", "TZ"),
    *("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE"),
    *("SDL_VIDEODRIVER", "SDL_RENDER_DRIVER", "LIBGL_ALWAYS_SOFTWARE", "VIRTUAL_ENV"),
    *("PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "WINDIR", "APPDATA", "LOCALAPPDATA"),
)


def environment(of: Mapping[str, str]) -> dict[str, str]:
    """What the child is started with: no codes, passphrases or tokens of its parent."""
    return {name: of[name] for name in KEPT if name in of}


def close_inherited() -> None:
    """Whatever the parent left open besides the three streams."""
    if os.name == "posix":
        os.closerange(3, 4096)


def confine(*, opens_files: bool, writes_files: bool) -> None:
    """Give up what is not needed any more; each step as far as this system knows it.

    ``opens_files``: a window loads and opens things later. ``writes_files``: into what
    is open already (a recording).
    """
    for name in list(os.environ):
        if name not in KEPT:
            del os.environ[name]
    if os.name != "posix":
        return
    import resource

    with contextlib.suppress(OSError):
        os.nice(CALM)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, MEMORY)
    if not writes_files and not opens_files:
        _limit(resource.RLIMIT_FSIZE, 0)
    if sys.platform == "linux":
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        _prctl(PR_SET_DUMPABLE, 0)
        _limit(resource.RLIMIT_NOFILE, MOST_FILES if opens_files else 0)
    else:
        _limit(resource.RLIMIT_NOFILE, MOST_FILES)


def stay_alive() -> None:
    """Another ``CPU`` seconds: a decoder that never comes back is ended by the system."""
    if os.name == "posix":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + CPU, hard))


def _limit(kind: int, most: int) -> None:
    import resource

    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most, most if hard < 0 else min(most, hard)))


def _prctl(what: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(what, value, 0, 0, 0)
