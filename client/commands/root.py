"""The table of commands; each is loaded when it is called for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple

import click

from client import __version__


class Place(NamedTuple):
    """Where a command is written, and what the list of commands says of it."""

    module: str
    attribute: str
    about: str


COMMANDS: Mapping[str, Place] = {
    "host": Place(
        "client.commands.call", "host", "Open a room, show its code, and join it as host."
    ),
    "join": Place("client.commands.call", "join", "Join a room by its code."),
    "attach": Place("client.commands.call", "attach", "Show a call that runs without a face."),
    "mute": Place("client.commands.tools", "mute", "Mute or unmute the running call."),
    "ptt": Place("client.commands.tools", "ptt", "Push to talk in the running call."),
    "devices": Place(
        "client.commands.tools", "devices", "List microphones, speakers, screens, cameras."
    ),
    "doctor": Place("client.commands.tools", "doctor", "See what works here."),
    "demo": Place(
        "client.commands.tools", "demo", "A whole call on this machine, without devices."
    ),
    "id": Place("client.commands.id", "identity", "Your identity, safety numbers, contacts."),
    "config": Place("client.commands.tools", "config", "Where settings are, what they are."),
    "completion": Place("client.commands.completion", "completion", "Shell completion."),
    "signal": Place("signaling.cli", "command", "Run the signaling server."),
    "relay": Place("relay.cli", "command", "Run the relay daemon."),
}


class LazyGroup(click.Group):
    """Knows the names of its commands without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        command: click.Command = getattr(importlib.import_module(place.module), place.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``vchat --help``."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.about) for name, place in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(
    __version__, "-V", "--version", prog_name="vchat", message="%(prog)s %(version)s"
)
@click.pass_context
def vchat(context: click.Context) -> None:
    """Voice and text for small private groups, end-to-end encrypted, peer to peer.

    One types "vchat host" and reads the code aloud; the others type "vchat join CODE".
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
