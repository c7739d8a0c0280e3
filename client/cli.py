"""The program ``vchat``: from what was typed to an exit code and, if need be, a sentence.

Importing costs more than most commands do, so this file imports nothing heavy:
``--version`` needs no more than it, and each command loads only what it uses.
Every way to fail ends here, as ``vchat: error: …`` and ``vchat: hint: …``; with
``--json`` also as the events ``error`` and ``ended``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from client import __version__
from vc_core.errors import Ending

if TYPE_CHECKING:
    import click

    from client.refused import Refused

# Implementation
NAME = "vchat"
_STARTED = time.monotonic()

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code (docs/interface.md)."""
    typed = list(sys.argv[1:] if argv is None else argv)
    try:
        if typed in (["--version"], ["-V"]):
            print(NAME, __version__)
            return 0
        return _run(typed)
    except BrokenPipeError:  # who read our output has gone away
        with suppress(OSError):
            sys.stdout.close()
        return Ending.FAILED.exit_code
    except KeyboardInterrupt:  # while something was still being loaded
        return Ending.INTERRUPTED.exit_code


def _run(typed: list[str]) -> int:
    import click

    from client.commands.root import vchat
    from client.refused import Refused

    try:
        code = vchat.main(args=typed, prog_name=NAME, standalone_mode=False, obj=typed)
        return code if isinstance(code, int) else 0
    except (click.Abort, KeyboardInterrupt, EOFError):
        return Ending.INTERRUPTED.exit_code
    except Refused as refused:
        return fail(typed, refused)
    except click.ClickException as error:
        return fail(typed, _of_click(typed, error))
    except ModuleNotFoundError as error:
        missing = (error.name or "?").partition(".")[0]
        hint = "install vchat again, with all that it needs"
        words = (f"the library {missing} is missing", hint, Ending.LIBRARY_MISSING)
        return fail(typed, Refused("library-missing", *words))
    except BrokenPipeError:
        raise
    except Exception as error:
        log.debug("a bug in vchat", exc_info=True)
        what = f"something in vchat broke: {type(error).__name__}: {error}"
        return fail(typed, Refused("internal", what, "please report it; -vv shows where"))


def fail(typed: Sequence[str], refused: Refused) -> int:
    """Say why nothing came of it; the exit code."""
    ending = refused.ending
    if "--json" in typed and typed[0] in ("host", "join"):
        t = round(time.monotonic() - _STARTED, 3)
        words = {"message": refused.message, "hint": refused.hint}
        print(json.dumps({"event": "error", "t": t, "code": refused.code, **words}))
        ended = {"event": "ended", "t": t, "reason": ending.word, "exit": ending.exit_code}
        print(json.dumps(ended), flush=True)
    print(f"{NAME}: error: {refused.message}", file=sys.stderr)
    if refused.hint:
        print(f"{NAME}: hint: {refused.hint}", file=sys.stderr)
    return ending.exit_code


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
