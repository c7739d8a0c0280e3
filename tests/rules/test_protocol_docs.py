"""The specification says what the code does: tables, numbers, labels, links."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from tests.rules import layouts, source
from vc_core import errors, events, invite, messages, roster, signals, wordlist
from vc_core.wire import Family, Record

PROTOCOL = layouts.FOLDER / "protocol"
LABEL = re.compile(r"vchat-\d+( [a-z]+)*")
HEAD = "| name | value | unit | constant |"
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
Row = tuple[str, str, str]


def constants(text: str) -> Iterator[Row]:
    """(name, value, dotted constant) of each row of the tables of numbers of a page."""
    rows = iter(text.splitlines())
    for row in rows:
        if row != HEAD:
            continue
        next(rows)
        for line in rows:
            if not line.startswith("|"):
                break
            name, value, _, constant = (cell.strip() for cell in line.strip("|").split("|"))
            yield name, value, constant.strip("`")


def number(value: str) -> int | float | str:
    """What a cell says: 600, 0.25, 2^48 or `text`."""
    if value.startswith("`"):
        return value.strip("`")
    base, _, power = value.partition("^")
    return int(base) ** int(power) if power else float(value)


def all_constants() -> list[Row]:
    """Those of every page."""
    return [row for path in layouts.pages() for row in constants(path.read_text("utf-8"))]


def labels_in_code() -> set[str]:
    """Every string or bytes of the shipped code that is a label and nothing else."""
    found = set()
    for path in source.shipped():
        for node in ast.walk(source.tree(path)):
            value: Any = node.value if isinstance(node, ast.Constant) else None
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if isinstance(text, str) and LABEL.fullmatch(text):
                found.add(text)
    return found


def labels_in_docs(text: str) -> list[str]:
    """The first cells of the table of labels."""
    return [
        found[1]
        for found in re.finditer(r"^\| `([^`]+)` \|", text, re.MULTILINE)
        if LABEL.fullmatch(found[1])
    ]


def shelf(path: Path) -> Iterator[tuple[str, int]]:
    """Names and lines of the numbers on the shelf *Specification* of a file."""
    lines = path.read_text("utf-8").splitlines()
    starts = [at for at, line in enumerate(lines, 1) if line.startswith("# Specification")]
    ends = [at for at, line in enumerate(lines, 1) if line.startswith("# Implementation")]
    if not starts:
        return
    for node in source.tree(path).body:
        names: list[str] = []
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                names = [name]
            case ast.Assign(targets=[ast.Tuple(elts=many)]):
                names = [one.id for one in many if isinstance(one, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
        inside = node.lineno > starts[0] and not any(starts[0] < end < node.lineno for end in ends)
        yield from ((name, node.lineno) for name in names if inside and name[0] != "_")


# ---- Tables -----------------------------------------------------------------------


@pytest.mark.parametrize("path", layouts.pages(), ids=source.name_of)
def test_no_table_has_drifted_from_the_code(path: Path) -> None:
    text = path.read_text("utf-8")
    assert layouts.fill(text) == text, "`python -m tests.rules.layouts` writes it again"


@pytest.mark.parametrize("name", layouts.FAMILIES)
def test_every_message_has_its_layout_in_the_specification(name: str) -> None:
    said = asked("record")
    missing = [
        record.__name__
        for record in layouts.FAMILIES[name].kinds.values()
        if f"{record.__module__}.{record.__name__}" not in said
    ]
    assert not missing, f"no page shows {missing}"


def asked(writer: str) -> set[str]:
    """The names of which the pages of the protocol ask a table of this writer."""
    texts = (path.read_text("utf-8") for path in PROTOCOL.glob("*.md"))
    return {name for text in texts for kind, name in layouts.blocks(text) if kind == writer}


def test_every_record_inside_a_message_has_its_layout_too() -> None:
    said = asked("record")
    inner = [
        f"{one.__module__}.{one.__name__}"
        for module in (messages, signals, roster, invite)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Record) and one.LAYOUT
    ]
    assert not set(inner) - said


def test_every_number_of_a_reason_or_action_is_said() -> None:
    numbered = {
        f"{one.__module__}.{one.__name__}"
        for module in (messages, signals, roster, errors, events)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Enum) and issubclass(one, int)
        if one.__module__ == module.__name__
    }
    assert not numbered - asked("enum")


def test_every_family_is_listed() -> None:
    families = {
        f"{module.__name__}.{name}"
        for module in (messages, signals)
        for name, one in vars(module).items()
        if isinstance(one, Family)
    }
    assert families == asked("kinds")


# ---- Numbers ----------------------------------------------------------------------


def test_there_are_tables_of_numbers() -> None:
    assert len(all_constants()) > 100


@pytest.mark.parametrize("row", all_constants(), ids=lambda row: row[2])
def test_a_number_is_that_of_the_code(row: Row) -> None:
    name, value, constant = row
    assert layouts.find(constant) == number(value), f"{name}: {constant}"


@pytest.mark.parametrize(
    "path", [p for p in source.shipped() if p.parent.name == "vc_core"], ids=source.name_of
)
def test_every_number_on_a_shelf_of_the_specification_stands_in_the_specification(
    path: Path,
) -> None:
    module = source.module_of(path)
    said = {constant for _, _, constant in all_constants()}
    missing = [
        f"{module}.{name} (line {line})"
        for name, line in shelf(path)
        if isinstance(layouts.find(f"{module}.{name}"), int | float)
        and f"{module}.{name}" not in said
    ]
    assert not missing, f"a row in docs/protocol is missing: {missing}"


def test_a_wrong_number_would_be_noticed() -> None:
    table = (
        "|---|---|---|---|\n| a | 2^48 | | `vc_core.packet.CTR_LIMIT` |\n| b | 7 | s | `x.Y` |\n"
    )
    text = f"{HEAD}\n{table}"
    rows = list(constants(text))
    assert rows == [("a", "2^48", "vc_core.packet.CTR_LIMIT"), ("b", "7", "x.Y")]
    assert layouts.find(rows[0][2]) == number(rows[0][1]) != number("2^47")
    with pytest.raises(LookupError):
        layouts.find(rows[1][2])


# ---- Labels -----------------------------------------------------------------------


def test_the_table_of_labels_is_the_code_s() -> None:
    said = labels_in_docs((PROTOCOL / "01-words-and-functions.md").read_text("utf-8"))
    assert len(said) == len(set(said)), "a label stands twice"
    assert set(said) == labels_in_code()


# ---- Words ------------------------------------------------------------------------


def test_the_words_are_those_of_the_code() -> None:
    assert (PROTOCOL / "words.txt").read_text("ascii").split() == list(wordlist.WORDS)


# ---- Links ------------------------------------------------------------------------


@pytest.mark.parametrize("path", layouts.pages(), ids=source.name_of)
def test_every_link_between_pages_leads_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text("utf-8"))
    targets = {found[1] for found in LINK.finditer(text) if "://" not in found[1]}
    lost = [target for target in sorted(targets) if not (path.parent / target).exists()]
    assert not lost, f"{source.name_of(path)}: {lost}"


@pytest.mark.parametrize("path", layouts.pages(), ids=source.name_of)
def test_code_that_a_page_names_is_there(path: Path) -> None:
    text = path.read_text("utf-8")
    files = re.findall(r"`((?:vc_core|client|audio|signaling|relay|tests|docs)/[\w/.*]+)`", text)
    lost = [name for name in files if not list(source.ROOT.glob(name))]
    assert not lost, f"{source.name_of(path)}: {lost}"
