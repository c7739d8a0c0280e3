"""The program ``vchat``: from what was typed to an exit code and, if need be, a sentence.

Importing costs more than most commands do, so this file imports nothing heavy:
``--version`` needs no more than it, and each command loads only what it uses.
Every way to fail ends here, as ``vchat: error: …`` and ``vchat: hint: …``; with
``--json`` also as the events ``error`` and ``ended``.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from client import __version__
from vc_core.errors import Ending, reason

if TYPE_CHECKING:
    import click

    from client.refused import Refused

# Implementation
NAME = "vchat"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # a disk or a quota is full
_STARTED = time.monotonic()

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code (docs/interface.md)."""
    _fill_streams()
    typed = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(typed)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who read our output has gone away
        with suppress(OSError):
            sys.stdout.close()
        return Ending.FAILED.exit_code
    except OSError as error:
        with suppress(OSError):
            sys.stdout.close()
        return fail([], _of_system(error))
    except KeyboardInterrupt:  # while something was still being loaded
        return _interrupted(typed)


def _fill_streams() -> None:
    """A standard stream that was closed reads and writes nothing; no socket gets its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _run(typed: list[str]) -> int:
    if typed in (["--version"], ["-V"]):
        print(NAME, __version__)
        return 0
    import click

    from client.commands.root import vchat
    from client.refused import Refused

    try:
        code = vchat.main(args=typed, prog_name=NAME, standalone_mode=False, obj=typed)
        return code if isinstance(code, int) else 0
    except (click.Abort, KeyboardInterrupt, EOFError):
        return _interrupted(typed)
    except Refused as refused:
        return fail(typed, refused)
    except click.ClickException as error:
        return fail(typed, _of_click(typed, error))
    except ImportError as error:
        from client.words import of_import

        return fail(typed, Refused("library-missing", *of_import(error), Ending.LIBRARY_MISSING))
    except BrokenPipeError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return fail(typed, _of_system(error))
        log.debug("a bug in vchat", exc_info=True)
        what = f"something in vchat broke: {type(error).__name__}: {error}"
        return fail(typed, Refused("internal", what, "please report it; -vv shows where"))


def fail(typed: Sequence[str], refused: Refused) -> int:
    """Say why nothing came of it; the exit code."""
    message, hint = _harmless(refused.message), _harmless(refused.hint)
    _tell_events(typed, refused, message, hint)
    with suppress(OSError):
        print(f"{NAME}: error: {message}", file=sys.stderr)
        if hint:
            print(f"{NAME}: hint: {hint}", file=sys.stderr)
    return refused.ending.exit_code


def _interrupted(typed: Sequence[str]) -> int:
    """Who pressed Ctrl-C knows why nothing came of it; a script is told."""
    from client.refused import Refused

    ending = Ending.INTERRUPTED
    _tell_events(typed, Refused(ending.word, ending.word, "", ending), ending.word, "")
    return ending.exit_code


def _tell_events(typed: Sequence[str], refused: Refused, message: str, hint: str) -> None:
    if "--json" not in typed or typed[0] not in ("host", "join"):
        return
    t = round(time.monotonic() - _STARTED, 3)
    error = {"event": "error", "t": t, "code": refused.code, "message": message, "hint": hint}
    ending = refused.ending
    ended = {"event": "ended", "t": t, "reason": ending.word, "exit": ending.exit_code}
    with suppress(OSError):
        print(json.dumps(error), json.dumps(ended), sep="\n", flush=True)


def _harmless(text: str) -> str:
    """Without the escape sequences of what was typed, or of what a file holds."""
    if text.isprintable():
        return text
    from vc_core.clean import clean_text

    return clean_text(text)


def _of_system(error: OSError) -> Refused:
    """What is written finds no room."""
    from client.refused import Refused

    why = reason(error)
    return Refused("failed", f"what vchat writes cannot be written: {why}")


def _of_click(typed: Sequence[str], error: click.ClickException) -> Refused:
    """Click's own words in our manner."""
    import click

    from client.refused import Refused

    said = " ".join(error.format_message().split())
    message = (said[:1].lower() + said[1:]).removesuffix(".")
    if not isinstance(error, click.UsageError):
        return Refused("failed", message, getattr(error, "hint", ""))
    where = error.ctx.command_path if error.ctx else _command_of(typed)
    return Refused("usage", message, f"see: {where} --help", Ending.USAGE)


def _command_of(typed: Sequence[str]) -> str:
    from client.commands.root import COMMANDS

    return f"{NAME} {typed[0]}" if typed and typed[0] in COMMANDS else NAME
