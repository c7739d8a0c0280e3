"""``vchat relay``, also ``vchat-relay``: the relay daemon as a program."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import IO, Any

import click


class Failure(click.ClickException):
    """A sentence for a person, exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it in the manner of docs/interface.md."""
        click.echo(f"vchat: error: {self.message}", err=True)


def _read_listen(context: click.Context, option: click.Parameter, value: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``."""
    host, colon, port = value.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise click.BadParameter(f"{value!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)


@click.command("relay")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=_read_listen,
    default="0.0.0.0:3478",
    show_default=True,
    help="UDP port; 0.0.0.0 is every address of this machine, IPv6 too; port 0 picks a free one.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line on stdout.")
def command(*, listen: tuple[str, int], as_json: bool) -> None:
    """Run the relay daemon.

    In this version it only answers STUN Binding, so that callers learn the address
    under which the internet sees them. Forwarding of sealed packets for those who
    find no direct path follows in the next version.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(*listen, as_json=as_json))


def main() -> None:
    """The program ``vchat-relay``."""
    try:
        code = command.main(prog_name="vchat-relay", standalone_mode=False)
    except click.ClickException as error:
        sentence = error.format_message()
        Failure((sentence[:1].lower() + sentence[1:]).removesuffix(".")).show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


async def _run(host: str, port: int, *, as_json: bool) -> None:
    """From ``listening`` to ``stopped``."""
    from relay.server import CannotListenError, Settings, serve

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    try:
        relay = await serve(Settings(host, port))
    except CannotListenError as error:
        raise Failure(str(error)) from error
    _say({"event": "listening", "host": relay.host, "port": relay.port}, as_json=as_json)
    await stop.wait()
    await relay.close()
    _say({"event": "stopped"}, as_json=as_json)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _say(event: dict[str, Any], *, as_json: bool) -> None:
    """A reader of our stdout who has gone away ends no service."""
    plain = " ".join(str(value) for value in event.values())
    line = json.dumps({**event, "t": round(time.time(), 3)}) if as_json else plain
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)


if __name__ == "__main__":
    main()
