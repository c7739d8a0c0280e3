"""Where our log goes: stderr or a file, and how much of it."""

from __future__ import annotations

import logging
from pathlib import Path

from client.refused import Refused
from vc_core.errors import reason

# Implementation
FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s"
CLOCK = "%H:%M:%S"
LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
CHATTY = ("aioice", "quic", "websockets", "asyncio", "prompt_toolkit")
"""Libraries that tell what strangers send and what interests only those who look for a bug."""
MUFFLED = logging.ERROR - logging.INFO


def set_up_log(verbosity: int, file: Path | None, *, screen: bool = False) -> None:
    """``verbosity`` from -1 (quiet) to 2 (debug); on a full screen only a file is written."""
    logging.raiseExceptions = False  # a log that finds no room is no traceback
    level = LEVELS.get(verbosity, logging.DEBUG)
    root = logging.getLogger()
    root.addHandler(_handler(file, screen=screen))
    root.setLevel(level)
    if level > logging.DEBUG:
        for name in CHATTY:
            logging.getLogger(name).setLevel(level + MUFFLED)


def _handler(file: Path | None, *, screen: bool) -> logging.Handler:
    if file is None:
        handler: logging.Handler = logging.NullHandler() if screen else logging.StreamHandler()
    else:
        try:
            handler = logging.FileHandler(file, encoding="utf-8")
        except OSError as error:
            why = reason(error)
            raise Refused("log-file", f"cannot write to {file}: {why}") from error
    handler.setFormatter(logging.Formatter(FORMAT, CLOCK))
    return handler
