"""docs/interface.md and the program say the same."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import click
import pytest

from client import words
from client.commands import call, tools
from client.commands import id as id_command
from client.commands.root import COMMANDS
from client.interface.orders import NEEDED, OPTIONAL
from client.interface.report import SCHEMA
from client.options import OPTIONS
from tests.rules import source
from vc_core.errors import Ending

PAGE = (source.ROOT / "docs" / "interface.md").read_text("utf-8")


def tables() -> Iterator[tuple[str, dict[str, str]]]:
    """Each table of the page: the head of its first column, and its rows by first cell."""
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in line[2:-2].split(" | ")] for line in block.splitlines()
        )
        yield head[0], {row[0].strip("`"): row[1] if len(row) > 1 else "" for row in rows}


def table(head: str, turn: int = 0) -> dict[str, str]:
    """The table whose first column is called so."""
    return [rows for title, rows in tables() if title == head][turn]


def long_options(command: click.Command) -> set[str]:
    """The options that ``--help`` shows."""
    return {
        max(option.opts, key=len)
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
    }


def test_the_commands_are_those_of_the_program() -> None:
    assert list(table("command")) == [f"vchat {name}" for name in COMMANDS]


def test_the_commands_below_them_are_those_of_the_program() -> None:
    groups = {"id": id_command.identity, "config": tools.config}
    real = {f"vchat {name} {one}" for name, group in groups.items() for one in group.commands}
    assert set(table("command", 1)) == real


def test_the_options_are_those_of_the_program() -> None:
    shared = set(table("option"))
    assert long_options(call.join) == shared
    assert long_options(call.host) == shared | set(table("option of host"))


def test_the_keys_of_the_settings_are_those_of_the_program() -> None:
    (listed,) = re.findall(r"with `_` for `-`:\n\n((?:`.*\n)+)", PAGE)
    assert re.findall(r"`(\w+)`", listed) == list(OPTIONS)


def test_each_setting_is_an_option_too() -> None:
    flags = set(table("option")) | set(table("option of host"))
    assert {option.flag for option in OPTIONS.values()} <= flags


@pytest.mark.parametrize("key", ["guests", "life"])
def test_a_default_that_the_page_names_is_the_programs(key: str) -> None:
    said = table("option of host")[f"--{key}"]
    default = OPTIONS[key].default / (60 if key == "life" else 1)
    assert said.endswith(f"; {default:g}")


def test_the_exit_codes_are_those_of_the_endings() -> None:
    assert {int(code) for code in table("exit")} == {ending.exit_code for ending in Ending}


def test_each_ending_stands_there_with_its_exit_code() -> None:
    real = {ending.word: str(ending.exit_code) for ending in Ending}
    assert table("reason of `ended`") == real


def test_the_commands_on_stdin_are_those_that_are_understood() -> None:
    rows = table("do")
    assert set(rows) == set(NEEDED)
    for do, fields in rows.items():
        named = {*NEEDED[do], *OPTIONAL.get(do, {})}
        assert named <= set(re.findall(r"`(\w+)`", fields)), do


def written() -> dict[str, set[str]]:
    """The events that the engine writes, and their fields, from its source."""
    found: dict[str, set[str]] = defaultdict(set)
    for name in ("interface/report", "engine"):
        for node in ast.walk(source.tree(source.ROOT / "client" / f"{name}.py")):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="stamp" | "problem" | "_problem" | "_stream"),
                    args=[ast.Constant(value=str(event)), *_],
                    keywords=fields,
                ):
                    found[event] |= {field.arg for field in fields if field.arg is not None}
    return found


def test_the_events_and_their_fields_are_those_that_are_written() -> None:
    rows = table("event")
    assert {"ready", "ended", "chat", "warning"} <= set(rows) == set(written())
    for event, fields in written().items():
        assert fields <= set(re.findall(r"`(\w+)`", rows[event])), event


def codes(head: str) -> set[str]:
    """All codes in the first column of a table; a cell may hold several."""
    return {code.strip(" `") for cell in table(head) for code in cell.split(",")}


def test_the_codes_of_warnings_are_those_with_a_sentence() -> None:
    assert codes("code of a warning") == set(words.WARNINGS)


def refusals() -> set[str]:
    """The codes that our own errors carry, from the source."""
    found = set()
    for path in source.shipped():
        for node in ast.walk(source.tree(path)):
            match node:
                case ast.Call(
                    func=ast.Name(
                        id="Refused"
                        | "IdentityError"
                        | "AudioUnavailable"
                        | "PictureUnavailable"
                        | "UnusableError"
                        | "PicturesFailed"
                    ),
                    args=[ast.Constant(value=str(code)), *_],
                ):
                    found.add(code)
    return found


SMALL = {"no-call", "no-answer", "nobody", "many-people", "failed"}
"""Codes of the small commands, which have no JSON interface."""


def test_each_code_of_an_error_stands_there() -> None:
    endings = {ending.word for ending in Ending}
    assert refusals() <= codes("code of an error") | endings | SMALL


def test_the_schema_is_that_of_the_program() -> None:
    assert f"`schema` is {SCHEMA}." in PAGE
