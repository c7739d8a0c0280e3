"""``vchat id``: who we are, whom we know, and how to be sure of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from client.config import config_folder
from client.contacts import Contacts, Person
from client.identity import (
    PASSPHRASE_VARIABLE,
    is_sealed,
    kept_identity,
    passphrase_given,
    set_passphrase,
)
from client.refused import Refused
from vc_core.errors import Ending
from vc_core.keys import safety_number

_FOLDER = click.option("--config", "folder", metavar="DIR", help="Folder of identity and settings.")
NEW_VARIABLE = "VCHAT_NEW_PASSPHRASE"


@click.group(invoke_without_command=True)
@_FOLDER
@click.pass_context
def identity(context: click.Context, folder: str | None) -> None:
    """Show your fingerprint, and a safety number for each contact.

    A safety number is the same on both sides: compare it by voice once, and you
    know that nobody is in between.
    """
    context.obj = config_folder(folder)
    if context.invoked_subcommand is not None:
        return
    own = kept_identity(context.obj, _passphrase(context.obj)).public
    click.echo(f"fingerprint  {_grouped(own.fingerprint)}")
    click.echo(f"kept in      {context.obj}")
    for person in Contacts(context.obj).saved:
        click.echo(f"{person.name}\n  fingerprint    {_grouped(person.identity.fingerprint)}")
        click.echo(f"  safety number  {safety_number(own, person.identity)}")


@identity.command("safety")
@click.argument("fingerprint")
@click.pass_obj
def safety(folder: Path, fingerprint: str) -> None:
    """Print the safety number with somebody met (fingerprint or its beginning, or name)."""
    person = _one(folder, fingerprint)
    own = kept_identity(folder, _passphrase(folder)).public
    click.echo(safety_number(own, person.identity))


@identity.command("contacts")
@click.pass_obj
def contacts(folder: Path) -> None:
    """List everybody met; * marks saved contacts, whose key may not change unseen."""
    for one in Contacts(folder).people:
        mark = "*" if one.saved else " "
        click.echo(f"{mark} {_grouped(one.identity.fingerprint)}  {one.name}")


@identity.command("save")
@click.argument("fingerprint")
@click.argument("name", required=False)
@click.pass_obj
def save(folder: Path, fingerprint: str, name: str | None) -> None:
    """Make a contact of somebody met (fingerprint or its beginning, or name)."""
    person = _one(folder, fingerprint)
    Contacts(folder).save(name or person.name, person.identity)
    click.echo(f"saved {name or person.name}")


@identity.command("forget")
@click.argument("fingerprint")
@click.pass_obj
def forget(folder: Path, fingerprint: str) -> None:
    """Save somebody no longer."""
    person = _one(folder, fingerprint)
    Contacts(folder).forget(person.identity)
    click.echo(f"forgot {person.name}")


@identity.command("passphrase")
@click.option("--remove", is_flag=True, help="Keep the identity without a passphrase.")
@click.pass_obj
def passphrase(folder: Path, *, remove: bool) -> None:
    """Seal the identity with a passphrase, change it, or remove it.

    Asked for at the terminal, or taken from VCHAT_PASSPHRASE (the present one) and
    VCHAT_NEW_PASSPHRASE.
    """
    before = _passphrase(folder)
    kept_identity(folder, before)
    after = None if remove else _new_passphrase()
    set_passphrase(folder, before, after)
    click.echo("the identity is sealed" if after else "the identity has no passphrase")


def _passphrase(folder: Path) -> str | None:
    """What opens the identity, asked for where somebody can answer."""
    if not is_sealed(folder):
        return None
    if given := passphrase_given():
        return given
    if not sys.stdin.isatty():
        return None
    asked: str = click.prompt("passphrase of your identity", hide_input=True, err=True)
    return asked


def _new_passphrase() -> str:
    if given := os.environ.get(NEW_VARIABLE):
        return given
    if not sys.stdin.isatty():
        message = "there is nobody to ask for the new passphrase"
        raise Refused(
            "usage", message, f"give {NEW_VARIABLE} and {PASSPHRASE_VARIABLE}", Ending.USAGE
        )
    asked: str = click.prompt(
        "new passphrase", hide_input=True, confirmation_prompt="once more", err=True
    )
    return asked


def _one(folder: Path, what: str) -> Person:
    found = Contacts(folder).find(what)
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused("many-people", f"'{what}' fits {len(found)} people", "vchat id contacts")
    raise Refused("nobody", f"nobody with '{what}' was ever met here", "see: vchat id contacts")


def _grouped(fingerprint: str) -> str:
    return " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))
