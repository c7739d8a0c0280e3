"""``vchat relay``, also ``vchat-relay``: the relay daemon as a program."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click

from relay.limits import Limits
from vc_core.errors import reason
from vc_core.limits import read_limits

# Implementation
SECRET_SIZE = 32
COLLECTING = (700, 10, 3)
"""Allocations before garbage is looked for, and of such looks those that go further: often and
little, since what a flood of handshakes leaves behind held packets over TCP for 0.2 s."""

log = logging.getLogger("vchat.relay")


class Failure(click.ClickException):
    """A sentence for a person, exit code 1."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it in the manner of docs/interface.md."""
        click.echo(f"vchat: error: {self.message}", err=True)
        if self.hint:
            click.echo(f"vchat: hint: {self.hint}", err=True)


def _read_listen(
    context: click.Context, option: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``."""
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise click.BadParameter(f"{value!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)


def _read_seconds(context: click.Context, option: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number of seconds")
    return value


def _read_limits(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    try:
        return read_limits(Limits(), values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _new_secret(context: click.Context, option: click.Parameter, value: bool) -> None:
    if value:
        click.echo(os.urandom(SECRET_SIZE).hex())
        context.exit()


_FILE = click.Path(path_type=Path)


@click.command("relay")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=_read_listen,
    default="0.0.0.0:3478",
    show_default=True,
    help="UDP port; 0.0.0.0 is every address of this machine, IPv6 too; port 0 picks a free one.",
)
@click.option(
    "--tcp-listen",
    metavar="HOST:PORT",
    callback=_read_listen,
    help="TCP port of WebSocket (else: as --listen).",
)
@click.option("--no-tcp", is_flag=True, help="UDP only.")
@click.option("--tls-cert", type=_FILE, help="Certificate chain (PEM); else it makes its own.")
@click.option("--tls-key", type=_FILE, help="Its key (PEM).")
@click.option("--insecure-tcp", is_flag=True, help="WebSocket without TLS (ws://).")
@click.option(
    "--state",
    type=_FILE,
    envvar="STATE_DIRECTORY",
    help="Folder that keeps its own certificate, so that the pin stays; else it is new each time.",
)
@click.option(
    "--secret-file",
    type=_FILE,
    help="What it shares with signaling servers; else it is open.",
)
@click.option(
    "--new-secret",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_new_secret,
    help="Print a new secret and end.",
)
@click.option("--user", metavar="NAME", help="Become this user when all ports are bound.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    callback=_read_seconds,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="After SIGTERM, how long those who are here may stay.",
)
@click.option(
    "--metrics", metavar="HOST:PORT", callback=_read_listen, help="Private port of counts."
)
@click.option("--metrics-token-file", type=_FILE, help="What a reader of counts must show.")
@click.option(
    "--limit",
    "changes",
    metavar="NAME=VALUE",
    callback=_read_limits,
    multiple=True,
    help="Change a limit, e.g. rooms=100 or claims=1/10 (per second / at once).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line on stdout.")
@click.option("-v", "--verbose", is_flag=True, help="Log more; no names, no addresses.")
@click.option("--log-file", type=_FILE, help="Log there, not on stderr.")
def command(  # noqa: PLR0913  # click hands over each option
    *,
    listen: tuple[str, int],
    tcp_listen: tuple[str, int] | None,
    no_tcp: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure_tcp: bool,
    state: Path | None,
    secret_file: Path | None,
    user: str | None,
    grace: float,
    metrics: tuple[str, int] | None,
    metrics_token_file: Path | None,
    changes: dict[str, Any],
    as_json: bool,
    verbose: bool,
    log_file: Path | None,
) -> None:
    """Run the relay daemon: it copies sealed packets and cannot open them.

    Who cannot reach the others directly gets a slot here, by a grant that a
    signaling server with the same secret signed; without a secret the relay is open,
    with tight limits. It also answers STUN. SIGTERM lets those who are here go on
    for a while; SIGHUP reads secret and certificate anew.
    """
    if tls_key and not tls_cert:
        raise click.UsageError("--tls-key needs --tls-cert")
    if insecure_tcp and (tls_cert or no_tcp):
        raise click.UsageError("--insecure-tcp excludes --tls-cert and --no-tcp")
    if no_tcp and (tls_cert or tcp_listen):
        raise click.UsageError("--no-tcp excludes --tls-cert and --tcp-listen")
    if (metrics is None) != (metrics_token_file is None):
        raise click.UsageError("--metrics and --metrics-token-file need each other")
    _set_up_log(verbose, log_file)
    from relay.daemon import Plan

    plan = Plan(
        listen=listen,
        tcp=None if no_tcp else tcp_listen or listen,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure_tcp=insecure_tcp,
        secret_file=secret_file,
        changes=changes,
        state=state,
        user=user,
        grace=grace,
        metrics=metrics,
        metrics_token_file=metrics_token_file,
    )
    gc.freeze()  # modules stay
    gc.set_threshold(*COLLECTING)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(plan, as_json=as_json))


def main() -> None:
    """The program ``vchat-relay``."""
    try:
        code = command.main(prog_name="vchat-relay", standalone_mode=False)
    except Failure as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        sentence = error.format_message()  # click begins with a capital
        hint = "see: vchat-relay --help" if isinstance(error, click.UsageError) else ""
        Failure((sentence[:1].lower() + sentence[1:]).removesuffix("."), hint).show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


async def _run(plan: Any, *, as_json: bool) -> None:
    from relay.daemon import Daemon
    from vc_core.errors import VchatError

    def say(event: dict[str, Any]) -> None:
        _say(event, as_json=as_json)

    try:
        await Daemon(plan, say).run()
    except VchatError as error:
        raise Failure(str(error), getattr(error, "hint", "")) from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _set_up_log(verbose: bool, log_file: Path | None) -> None:
    logging.raiseExceptions = False  # a log that finds no room is no traceback
    try:
        handler = logging.FileHandler(log_file) if log_file else logging.StreamHandler()
    except OSError as error:
        raise Failure(f"cannot write to {log_file}: {reason(error)}") from error
    form = "%(asctime)s %(levelname)s %(message)s" if log_file else "vchat: warning: %(message)s"
    handler.setFormatter(logging.Formatter(form))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if verbose else logging.WARNING)


def _say(event: dict[str, Any], *, as_json: bool) -> None:
    """A reader of our stdout who has gone away ends no service."""
    if as_json:
        line = json.dumps({**event, "t": round(time.time(), 3)})
    else:
        rest = (f"{name}={value}" for name, value in event.items() if name != "event")
        line = " ".join((event["event"], *rest))
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)


if __name__ == "__main__":
    main()
