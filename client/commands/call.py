"""``vchat host``, ``vchat join`` and ``vchat attach``.

What can be refused is refused here, before anything is started. Then the engine
runs in this process (``--json``), or a face does and starts the engine itself
with the same words. What was asked for at a prompt goes to the engine by the
environment, so that it stands on no command line.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from client import words
from client.config import Config, config_folder, load, make_settings
from client.logs import set_up_log
from client.refused import Refused
from client.settings import RUNGS
from vc_core.errors import Ending

if TYPE_CHECKING:
    from vc_core.invite import Invitation

# Implementation
CODE_VARIABLE = "VCHAT_CODE"
MAX_LINE = 1 << 16  # bytes of a code on stdin

Command = TypeVar("Command", bound=Callable[..., Any])

_FACE = (
    click.option("--json", "as_json", is_flag=True, help="Events and commands, one JSON per line."),
    click.option("--plain", is_flag=True, default=None, help="Line by line, no full screen."),
)
_SHARED = (
    *_FACE,
    click.option("--name", metavar="NAME", help="What the others call you (else: login name)."),
    click.option("--signal", metavar="URL", help="Signaling server, ws:// or wss://."),
    click.option("--relay", metavar="ADDRESS", multiple=True, help="A relay; may be repeated."),
    click.option("--stun", metavar="HOST:PORT", multiple=True, help="Ask this STUN server too."),
    click.option("--no-stun", is_flag=True, default=None, help="Ask no STUN server."),
    click.option(
        "--lan/--no-lan", default=None, help="Find each other in one network, without a server."
    ),
    click.option("--turn", metavar="URI", multiple=True, help="turn:USER:PASSWORD@HOST:PORT."),
    click.option(
        "--no-port-mapping", is_flag=True, default=None, help="Do not ask the router for ports."
    ),
    click.option("--only", type=click.Choice(RUNGS), multiple=True, help="Use only this rung."),
    click.option(
        "--mic", metavar="SPEC", help="default, none, a name or number, file:, loop:, tone:."
    ),
    click.option("--speaker", metavar="SPEC", help="default, none, a name or number, file:PATH."),
    click.option(
        "--process", type=click.Choice(("on", "off")), help="Voice processing of files too."
    ),
    click.option("--record", metavar="DIR", help="Write one WAV file per member."),
    click.option("--config", "folder", metavar="DIR", help="Folder of identity and settings."),
    click.option("-v", "--verbose", count=True, help="Log more; -vv for everything."),
    click.option("-q", "--quiet", is_flag=True, help="Log errors only."),
    click.option("--log-file", metavar="FILE", help="Log there, not on stderr."),
    click.option("--detached", is_flag=True, hidden=True),
    click.option("--socket", type=click.Path(path_type=Path), hidden=True),
)


def _shared(command: Command) -> Command:
    """The options of both."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


@click.command()
@_shared
@click.option("--guests", metavar="N", help="How many the code lets in (8).")
@click.option("--once", is_flag=True, help="The code lets in one guest.")
@click.option("--life", metavar="MINUTES", help="How long the code can be used (10).")
@click.option("--listen", metavar="HOST:PORT", help="Where the signaling server inside listens.")
@click.option("--advertise", metavar="HOST", help="Name or address that the code carries.")
@click.option(
    "--relay-secret-file", metavar="FILE", help="What the embedded server shares with relays."
)
@click.pass_obj
def host(typed: list[str], /, *, once: bool, **given: Any) -> int:
    """Open a room, show its code and link, and join it as host.

    Without --signal the signaling server runs inside, so that others on this
    network (or anybody, where --listen can be reached) can join.
    """
    if once:
        if given["guests"] not in (None, "1"):
            raise click.UsageError("--once and --guests exclude each other")
        given["guests"] = "1"
    config = _prepare(given)
    _check_server(None, config)
    return _call(typed, config, given, hosting=True)


@click.command()
@click.argument("code", required=False, shell_complete=lambda _c, _p, typed: complete_code(typed))
@_shared
@click.pass_obj
def join(typed: list[str], /, *, code: str | None, **given: Any) -> int:
    """Join a room by the code or link that its host gave out.

    Without CODE it is taken from VCHAT_CODE, or asked for (Tab completes words),
    or read as one line from stdin.
    """
    config = _prepare(given)
    code = code or os.environ.get(CODE_VARIABLE) or _ask_for_code(given)
    _check_server(_understood(code), config)
    os.environ[CODE_VARIABLE] = code  # an engine of its own finds it there, not on its argv
    typed = [word for word in typed if word != code]
    return _call(typed, config, given, hosting=False, code=code)


@click.command()
@click.option("--plain", is_flag=True, help="Line by line, no full screen.")
@click.option("--socket", type=click.Path(path_type=Path), help="Of which call; else the newest.")
@click.pass_obj
def attach(typed: list[str], /, *, plain: bool, socket: Path | None) -> int:
    """Show a call that runs without a face (after /detach, or when its window was closed)."""
    return _run_module("client.interface.attach", typed)


def complete_code(typed: str) -> list[str]:
    """What may stand where ``typed`` stands, with its last word whole."""
    from vc_core.wordlist import completions

    before, dash, last = typed.rpartition("-")
    return [before + dash + word for word in completions(last)] if dash else []


def _prepare(given: dict[str, Any]) -> Config:
    """Settings, log and passphrase."""
    config = load(config_folder(given["folder"]), given)
    verbosity = -1 if given["quiet"] else given["verbose"]
    set_up_log(verbosity, config["log_file"], screen=_face(given, config) == "client.ui.app")
    if sys.stdin.isatty() and not (given["as_json"] or given["detached"]):
        _ask_for_passphrase(config.folder)
    return config


def _ask_for_passphrase(folder: Path) -> None:
    """The engine, here or in a process of its own, finds the answer in the environment."""
    from client.identity import PASSPHRASE_VARIABLE, is_sealed

    if is_sealed(folder) and not os.environ.get(PASSPHRASE_VARIABLE):
        asked = click.prompt("passphrase of your identity", hide_input=True, err=True)
        os.environ[PASSPHRASE_VARIABLE] = asked


def _face(given: dict[str, Any], config: Config) -> str:
    """The module that runs the call."""
    if given["as_json"] or given["detached"]:
        return "client.engine"
    terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return "client.ui.app" if terminal and not config["plain"] else "client.plain"


def _call(
    typed: list[str],
    config: Config,
    given: dict[str, Any],
    *,
    hosting: bool,
    code: str | None = None,
) -> int:
    module = _face(given, config)
    if module != "client.engine":
        return _run_module(module, typed)
    call = {"hosting": hosting, "code": code}
    os.environ.pop(CODE_VARIABLE, None)
    face = {"socket": given["socket"], "detached": given["detached"]}
    return _run_module(module, make_settings(config, **call, **face))


def _run_module(module: str, argument: Any) -> int:
    code: int = importlib.import_module(module).run(argument)
    return code


def _understood(code: str) -> Invitation:
    from vc_core.invite import InvitationError, parse_invitation

    try:
        return parse_invitation(code)
    except InvitationError as error:
        ending = Ending.CODE_MALFORMED
        raise Refused(ending.word, *words.of_invitation(error), ending) from error


def _check_server(invitation: Invitation | None, config: Config) -> None:
    """A server that we may use is known; None for the host, who brings one along."""
    private = config["only"] == ("relayed",) and not config["signal"]
    if invitation is None:
        if private:
            raise Refused("reveals-address", *words.REVEALS_OWN, Ending.USAGE)
        return
    if private and invitation.servers:
        raise Refused("reveals-address", *words.REVEALS, Ending.USAGE)
    if not (
        invitation.servers or config["signal"] or (config["lan"] and "direct" in config["only"])
    ):
        ending = Ending.NO_SIGNALING
        raise Refused(ending.word, *words.NO_SERVER, ending)


def _ask_for_code(given: dict[str, Any]) -> str:
    """From the person at the terminal, or one line of stdin."""
    if sys.stdin.isatty() and sys.stderr.isatty() and not given["as_json"]:
        from client.ui.ask import ask_for_code

        return ask_for_code()
    if given["as_json"]:  # what the call needs is loaded while somebody types
        threading.Thread(target=_warm_up, daemon=True).start()
    return _read_line()


def _read_line() -> str:
    """Byte by byte: what follows the line on stdin belongs to the call."""
    line = b""
    while len(line) < MAX_LINE and (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode("utf-8", "replace").strip()


def _warm_up() -> None:
    with suppress(ImportError):  # the call itself says what is missing
        for module in ("client.engine", "client.driver", "client.media"):
            importlib.import_module(module)
        for edge in ("direct", "quic"):
            importlib.import_module(f"client.net.{edge}").preload()
