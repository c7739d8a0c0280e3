"""Tables of the specification, written from the code: ``python -m tests.rules.layouts``.

A page in ``docs`` says where a table belongs and what it is of; what stands
between the two comments is written here, and a test fails when it drifts:

    <!-- record: vc_core.messages.Road -->      fields of one record
    <!-- kinds: vc_core.messages.PEER -->       all records of a family
    <!-- enum: vc_core.messages.Denial -->      names and numbers
    <!-- settings: signaling.limits.Limits -->  defaults of a dataclass
    <!-- endings: vc_core.errors.Ending -->     words, exit codes, sentences
    <!-- end -->                                closes each of them
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from client.words import ENDINGS
from tests.rules import source
from vc_core import messages, signals
from vc_core.bucket import Rate
from vc_core.errors import Ending
from vc_core.wire import Family, Record

FOLDER = source.ROOT / "docs"
BLOCK = re.compile(r"(<!-- (\w+): ([\w.]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
FAMILIES: dict[str, Family] = {
    "JOIN": messages.JOIN,
    "MEET": messages.MEET,
    "PEER": messages.PEER,
    "TO_SERVER": signals.TO_SERVER,
    "TO_CLIENT": signals.TO_CLIENT,
}


def find(name: str) -> Any:
    """The object behind a dotted name; ``LookupError`` if there is none."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        try:
            for part in parts[cut:]:
                found = getattr(found, part)
        except AttributeError:
            break
        return found
    raise LookupError(f"there is no {name}")


def meanings(kind: type[Any]) -> dict[str, str]:
    """The sentence under each attribute of a class, in one line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    name = ""
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = _line(text)
                name = ""
            case _:
                name = ""
    return found


def _line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def purpose(kind: type[Any]) -> str:
    """The docstring of a class, in one line of Markdown."""
    return _line(inspect.getdoc(kind) or "")


def places(record: type[Record]) -> str:
    """In which families a record stands, and under which number."""
    found = [
        f"`{name}` {number}"
        for name, family in FAMILIES.items()
        for number, one in family.kinds.items()
        if one is record
    ]
    return f"{', '.join(found)}. " if found else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in lines
    )


def _record(record: type[Record]) -> str:
    said = meanings(record)
    rows = [(f"`{name}`", codec.describe(), said.get(name, "")) for name, codec in record.LAYOUT]
    fields = _table(("field", "layout", "meaning"), rows) if rows else "No fields.\n"
    return f"{places(record)}{purpose(record)}\n\n{fields}"


def _kinds(family: Family) -> str:
    rows = [
        (str(number), f"`{record.__name__}`", purpose(record))
        for number, record in sorted(family.kinds.items())
    ]
    return _table(("kind", "name", "what it says"), rows)


def _enum(kind: type[Enum]) -> str:
    said = meanings(kind)
    rows = [(str(one.value), f"`{one.name}`", said.get(one.name, "")) for one in kind]
    return _table(("value", "name", "meaning"), rows)


def _settings(kind: type[Any]) -> str:
    said, defaults = meanings(kind), kind()
    rows = []
    for one in dataclasses.fields(kind):
        value = getattr(defaults, one.name)
        shown = (
            f"{value.per_second:.4g} per s, burst {value.burst:g}"
            if isinstance(value, Rate)
            else f"{value:g}"
        )
        if isinstance(value, int):
            shown = str(value)
        rows.append((f"`{one.name}`", shown, said.get(one.name, "")))
    return _table(("name", "default", "meaning"), rows)


def _endings(kind: type[Ending]) -> str:
    rows = [(f"`{one.word}`", str(one.exit_code), ENDINGS[one].message) for one in kind]
    return _table(("word", "exit code", "what a person reads"), rows)


WRITERS: dict[str, Callable[[Any], str]] = {
    "record": _record,
    "kinds": _kinds,
    "enum": _enum,
    "settings": _settings,
    "endings": _endings,
}


def blocks(text: str) -> list[tuple[str, str]]:
    """(writer, name) of every table that a page asks for."""
    return [(found[2], found[3]) for found in BLOCK.finditer(text)]


def fill(text: str) -> str:
    """A page with its tables written anew."""

    def _write(found: re.Match[str]) -> str:
        return f"{found[1]}{WRITERS[found[2]](find(found[3]))}{found[5]}"

    return BLOCK.sub(_write, text)


def pages() -> list[Path]:
    """Every page that people write."""
    return sorted(path for path in FOLDER.rglob("*.md") if path.parent.name != "machines")


def main() -> None:
    """Write all tables."""
    for path in pages():
        text = path.read_text("utf-8")
        path.write_text(fill(text), "utf-8")


if __name__ == "__main__":
    main()
