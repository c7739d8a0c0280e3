"""The control socket of a running call, seen by ``vchat mute`` and ``vchat ptt``.

The engine listens at ``<runtime folder>/<pid>.sock``; both sides write one JSON
object per line: commands in, events out (docs/interface.md).

The runtime folder is ``$XDG_RUNTIME_DIR/vchat``, or ``vchat-<uid>`` among the
temporary files; it must be ours alone, or nothing is put there.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from client.refused import Refused
from client.storage import PRIVATE_FOLDER

# Specification
MAX_LINE = 1 << 18  # bytes of one line
# Implementation
ANSWER_LIMIT = 2.0  # seconds until the call must have done it
MAX_PATH = 100  # bytes; the kernel takes 108 (Linux) or 104 (macOS) with the final zero
STATES: dict[str, bool | str] = {"on": True, "off": False, "toggle": "toggle"}


def runtime_folder() -> Path:
    """The private folder of sockets, made if it is missing; ``Refused`` if it is not ours."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and Path(given).is_absolute():
        folder = Path(given, "vchat")
        if len(os.fsencode(folder)) < MAX_PATH - 16 and _is_private(folder):
            return folder
    user = os.getuid() if hasattr(os, "getuid") else "me"
    folder = Path(tempfile.gettempdir(), f"vchat-{user}")
    if not _is_private(folder):
        message = f"{folder} is not a private folder of yours, so no control socket can be there"
        raise Refused("runtime-folder", message, "remove it, or set XDG_RUNTIME_DIR")
    return folder


def socket_path(pid: int) -> Path:
    """Where the engine with this process number listens."""
    return runtime_folder() / f"{pid}.sock"


def newest_socket() -> Path | None:
    """The control socket of the call that started last; what no process serves is removed."""
    for path in _newest_first(runtime_folder()):
        try:
            _connect(path).close()
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        except OSError:
            continue
        else:
            return path
    return None


def command(do: str, on: bool | str, path: Path | None = None) -> bool:
    """Tell the running call (the newest, or that of ``path``); whether it is muted now.

    ``do`` is "mute" or "ptt". ``Refused`` if no call runs or none answers.
    """
    target = path or newest_socket()
    if target is None:
        raise Refused("no-call", "no call is running on this machine", "vchat host starts one")
    try:
        with _connect(target) as line:
            line.sendall(json.dumps({"do": do, "on": on}).encode() + b"\n")
            for event in _events(line, time.monotonic() + ANSWER_LIMIT):
                if event.get("event") == "muted" and _is_own(event):
                    return bool(event.get("on"))
                if event.get("event") == "error":
                    message, hint = str(event.get("message", "")), str(event.get("hint", ""))
                    raise Refused(str(event.get("code")), message, hint)
    except OSError as error:
        raise Refused("no-call", "the running call cannot be reached", "is it ending?") from error
    raise Refused("no-answer", "the running call did not answer", "see its window, or its log")


def _is_own(event: dict[str, Any]) -> bool:
    """Others' microphones are told as well, with their ``member``; ours may have none."""
    return event.get("own", True) is not False


def _events(line: socket.socket, until: float) -> Iterator[dict[str, Any]]:
    """What comes before ``until``; ends quietly when the time is over or the call is."""
    waiting = b""
    while (left := until - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            piece = line.recv(65536)
        except TimeoutError:
            return
        if not piece:
            return
        *lines, waiting = (waiting + piece).split(b"\n")
        if len(waiting) > MAX_LINE:
            return
        for one in lines:
            with suppress(ValueError):
                event = json.loads(one)
                if isinstance(event, dict):
                    yield event


def _connect(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        message = "control sockets need a system with unix sockets"
        raise Refused("no-call", message, "use the keys of the call's window")
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.settimeout(ANSWER_LIMIT)
        line.connect(os.fspath(path))
    except BaseException:
        line.close()
        raise
    return line


def _newest_first(folder: Path) -> list[Path]:
    found = []
    for path in folder.glob("*.sock"):
        with suppress(OSError):
            about = path.lstat()
            if stat.S_ISSOCK(about.st_mode):
                found.append((about.st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def _is_private(folder: Path) -> bool:
    """Whether ``folder`` is a folder of ours that nobody else may enter; made if missing."""
    with suppress(OSError):
        with suppress(FileExistsError):
            folder.mkdir(mode=PRIVATE_FOLDER)
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode):
            return False
        if not hasattr(os, "getuid"):
            return True
        mine = about.st_uid == os.getuid()
        return mine and not about.st_mode & 0o077 and os.access(folder, os.W_OK | os.X_OK)
    return False
