"""``vchat signal``, also ``vchat-signal``: the signaling server as a program."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import click

from signaling.limits import Limits
from vc_core.errors import CannotListenError, reason
from vc_core.limits import read_limits
from vc_core.relay_address import FORMS, parse_relay

# Implementation
REPORT_EVERY = 60.0
"""Seconds between two ``counts`` lines; nothing is said while nothing changes."""
SPARE_FILES = 64
"""Open files that are no connection."""
MAX_RELAYS = 16  # as many as fit in one Hello

log = logging.getLogger("vchat.signaling")


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


def _read_listen(context: click.Context, option: click.Parameter, value: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``."""
    host, colon, port = value.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise click.BadParameter(f"{value!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)


def _read_relays(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Clients would leave out in silence what they cannot read."""
    for value in values:
        try:
            parse_relay(value)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not {FORMS}") from None
    return values


def _read_limits(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> Limits:
    try:
        return Limits(**read_limits(Limits(), values))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("signal")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=_read_listen,
    default="0.0.0.0:8765",
    show_default=True,
    help="TCP port of WebSocket and UDP port of STUN; 0.0.0.0 is every address of this machine, "
    "IPv6 too; port 0 picks a free one.",
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key (PEM).")
@click.option(
    "--relay",
    "relays",
    multiple=True,
    metavar="ADDRESS",
    callback=_read_relays,
    help="A relay to tell clients of.",
)
@click.option(
    "--relay-secret-file",
    type=click.Path(path_type=Path),
    help="The secret of those relays; sign grants for them (vchat relay --new-secret).",
)
@click.option(
    "--limit",
    "limits",
    metavar="NAME=VALUE",
    callback=_read_limits,
    multiple=True,
    help="Change a limit, e.g. connections=500 or guesses=1/10 (per second / at once).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line on stdout.")
@click.option("-v", "--verbose", is_flag=True, help="Log more; no names, no addresses.")
@click.option("--log-file", type=click.Path(path_type=Path), help="Log there, not on stderr.")
def command(  # noqa: PLR0913  # click hands over each option
    *,
    listen: tuple[str, int],
    tls_cert: Path | None,
    tls_key: Path | None,
    relays: tuple[str, ...],
    relay_secret_file: Path | None,
    limits: Limits,
    as_json: bool,
    verbose: bool,
    log_file: Path | None,
) -> None:
    """Run the signaling server: it brings people together and can read nothing.

    It knows nameplates (the digits of a code) and mailboxes of sealed bytes, no
    names and no keys, and it keeps nothing when it stops. It also answers STUN on
    the UDP port of the same number, so that it is all that a direct call needs.

    With --relay-secret-file it gives hosts the grants that their members need at the
    relays of the same secret.
    """
    if tls_key and not tls_cert:
        raise click.UsageError("--tls-key needs --tls-cert")
    if len(relays) > MAX_RELAYS or any(len(relay.encode()) > 255 for relay in relays):
        raise click.UsageError(f"at most {MAX_RELAYS} relays of 255 bytes each can be told")
    _set_up_log(verbose, log_file)
    from signaling.server import Settings

    settings = Settings(
        host=listen[0],
        port=listen[1],
        tls_cert=tls_cert,
        tls_key=tls_key,
        relays=relays,
        relay_secret=_read_secret(relay_secret_file) if relay_secret_file else None,
        limits=_fitting(limits),
    )
    say = _json_line if as_json else _plain_line
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(settings, relay_secret_file, say))


def main() -> None:
    """The program ``vchat-signal``."""
    try:
        code = command.main(prog_name="vchat-signal", standalone_mode=False)
    except click.ClickException as error:
        usual = "see: vchat-signal --help" if isinstance(error, click.UsageError) else ""
        Failure(_lower(error.format_message()), getattr(error, "hint", usual)).show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


async def _run(
    settings: Any, secret_file: Path | None, say: Callable[[dict[str, Any]], None]
) -> None:
    """From ``listening`` to ``stopped``."""
    from signaling.server import serve

    def reload() -> None:
        """What cannot be read leaves everything as it is."""
        try:
            server.reload(_read_secret(secret_file) if secret_file else None)
        except (Failure, CannotListenError) as error:
            log.warning("not reloaded: %s", error)
        else:
            say({"event": "reloaded"})

    stop = asyncio.Event()
    with _signals(stop):
        try:
            server = await serve(settings)
        except CannotListenError as error:
            raise Failure(str(error), error.hint) from error
        if server.stun_port not in (0, server.port):
            log.warning("the UDP port is taken; STUN answers at %d", server.stun_port)
        start = {"host": server.host, "port": server.port, "stun_port": server.stun_port}
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        extras = {"tls": settings.tls_cert is not None, "grants": bool(settings.relay_secret)}
        say({"event": "listening", **start, **extras})
        said = server.counts()
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REPORT_EVERY)
            if (counts := server.counts()) != said:
                say({"event": "counts", **counts})
                said = counts
        await server.close()
        say({"event": "stopped"})


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT ask politely; where a loop knows no signals, so does Ctrl-C."""
    loop = asyncio.get_running_loop()

    def _ask(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(stop.set)

    before = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            before[number] = signal.signal(number, _ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _fitting(limits: Limits) -> Limits:
    """As many connections as this process may have open files, after asking for more."""
    try:
        import resource
    except ImportError:  # Windows counts no files
        return limits
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits
    fits = max(1, soft - SPARE_FILES)
    log.info("open files are limited to %d, so connections are to %d", soft, fits)
    return dataclasses.replace(limits, connections=fits)


def _set_up_log(verbose: bool, log_file: Path | None) -> None:
    logging.raiseExceptions = False  # a log that finds no room is no traceback
    try:
        handler = logging.FileHandler(log_file) if log_file else logging.StreamHandler()
    except OSError as error:
        raise Failure(f"cannot write to {log_file}: {reason(error)}") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if verbose else logging.WARNING)


def _read_secret(path: Path) -> bytes:
    from vc_core.grant import parse_secret

    hint = "vchat relay --new-secret prints one"
    try:
        return parse_secret(path.read_text("ascii"))
    except OSError as error:
        raise Failure(f"cannot read {path}: {reason(error)}", hint) from error
    except ValueError as error:
        raise Failure(f"{path} is not a secret of 64 hexadecimal digits", hint) from error


def _json_line(event: dict[str, Any]) -> None:
    _write_line(json.dumps({**event, "t": round(time.time(), 3)}))


def _plain_line(event: dict[str, Any]) -> None:
    what = event["event"]
    rest = " ".join(f"{name}={value}" for name, value in event.items() if name != "event")
    _write_line(f"{what} {rest}".rstrip())


def _write_line(line: str) -> None:
    """A reader of our stdout who has gone away ends no service."""
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)


def _lower(sentence: str) -> str:
    return (sentence[:1].lower() + sentence[1:]).removesuffix(".")


if __name__ == "__main__":
    main()
