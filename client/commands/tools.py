"""The small commands: mute, ptt, devices, doctor, demo, config."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import click

from client import config as configuration
from client.interface.control import STATES
from client.net.turn_uri import without_password

_FOLDER = click.option("--config", "folder", metavar="DIR", help="Folder of identity and settings.")


@click.command()
@click.argument("on", type=click.Choice(tuple(STATES)))
def mute(on: str) -> None:
    """Mute or unmute the running call (for key bindings)."""
    _tell("mute", on)


@click.command()
@click.argument("on", type=click.Choice(tuple(STATES)))
def ptt(on: str) -> None:
    """Push to talk in the running call: heard while on (for key bindings)."""
    _tell("ptt", on)


def _tell(do: str, on: str) -> None:
    from client.interface.control import command

    click.echo("muted" if command(do, STATES[on]) else "unmuted")


@click.command()
def devices() -> None:
    """List microphones and speakers (--mic, --speaker), screens and cameras (/share)."""
    from client.commands.devices import lines

    for line in lines():
        click.echo(line)


@click.command()
@_FOLDER
@click.option("--signal", metavar="URL", help="The signaling server to test.")
@click.option("--relay", metavar="ADDRESS", multiple=True, help="A relay to test.")
@click.option("--stun", metavar="HOST:PORT", multiple=True, help="A STUN server to ask too.")
def doctor(folder: str | None, **servers: Any) -> int:
    """See what works here: each line is ok, warn or fail, with advice."""
    from client.commands.doctor import run

    return run(configuration.config_folder(folder), servers)


@click.command()
def demo() -> int:
    """A whole call on this machine: a host and two guests, no devices; 0 if all arrived."""
    code: int = importlib.import_module("client.commands.demo").run()
    return code


@click.group(no_args_is_help=False)
def config() -> None:
    """Where settings are and what they are (flags > environment > config.toml > default)."""


@config.command("path")
@_FOLDER
def config_path(folder: str | None) -> None:
    """Print where config.toml is looked for."""
    click.echo(configuration.config_folder(folder) / configuration.FILE)


@config.command("show")
@_FOLDER
def config_show(folder: str | None) -> None:
    """Print each setting and where it comes from."""
    loaded = configuration.load(configuration.config_folder(folder), env=os.environ)
    for key, chosen in loaded.chosen.items():
        if chosen.value is None:
            click.echo(f"# {key} is not set")
        else:
            value = tuple(map(without_password, chosen.value)) if key == "turn" else chosen.value
            click.echo(f"{key} = {configuration.as_toml(key, value)}  # {chosen.source}")


@config.command("check")
@_FOLDER
def config_check(folder: str | None) -> None:
    """See whether config.toml can be used."""
    place = configuration.config_folder(folder)
    configuration.load(place, env={})
    path: Path = place / configuration.FILE
    click.echo(f"{path} is fine" if path.exists() else f"{path} does not exist, which is fine")
