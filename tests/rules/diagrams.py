"""Diagrams of the machines, written from their tables.

Every shipped file with a table named ``MOVES`` (or ``…_MOVES``) gets a page in
``docs/machines``. ``make docs`` writes the pages; a test fails when one drifts.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

from tests.rules import source
from vc_core.machine import mermaid

FOLDER = source.ROOT / "docs" / "machines"

PAGE = """# {title}

{purpose}

Written from the tables in `{file}` by `make docs`; a change belongs there.
{diagrams}"""


def tables(path: Path) -> list[str]:
    """The names of the tables of moves in a file, in order."""
    found = []
    for node in source.tree(path).body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                found.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.append(name)
    return [name for name in found if name == "MOVES" or name.endswith("_MOVES")]


def page(path: Path) -> str:
    """The page of one file: its first lines and a diagram for each table."""
    module = importlib.import_module(source.module_of(path))
    opening = (ast.get_docstring(source.tree(path)) or "").partition("\n\n")[0]
    return PAGE.format(
        title=path.stem,
        purpose=opening,
        file=source.name_of(path),
        diagrams="".join(_diagram(name, getattr(module, name)) for name in tables(path)),
    )


def _diagram(name: str, table: Any) -> str:
    title = "" if name == "MOVES" else f"\n## {name.removesuffix('_MOVES').lower()}\n"
    return f"{title}\n```mermaid\n{mermaid(table).rstrip()}\n```\n"


def pages() -> dict[Path, str]:
    """Every page that belongs in the folder, with its text."""
    with_tables = [path for path in source.shipped() if tables(path)]
    stems = [path.stem for path in with_tables]
    if len(set(stems)) != len(stems):
        raise ValueError(f"two machines share a name: {sorted(stems)}")
    return {FOLDER / f"{path.stem}.md": page(path) for path in with_tables}


def main() -> None:
    """Write all pages and take away those whose table is gone."""
    wanted = pages()
    for path in set(FOLDER.glob("*.md")) - wanted.keys() - {FOLDER / "README.md"}:
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
