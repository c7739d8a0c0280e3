"""The source as the rules see it: which files there are and what they import."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("vc_core", "client", "audio", "video", "signaling", "relay")
"""The import names that a user's Python sees."""


@cache
def project() -> dict[str, Any]:
    """``pyproject.toml``, read."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def name_of(path: Path) -> str:
    """A file as it is called in messages: its path from the root."""
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """The dotted name of a file: ``audio/jitter.py`` → ``audio.jitter``."""
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def shipped() -> tuple[Path, ...]:
    """Every Python file that is installed, sorted."""
    return tuple(sorted(path for top in SHIPPED for path in (ROOT / top).rglob("*.py")))


@cache
def written() -> tuple[Path, ...]:
    """Every Python file of the project: shipped, tests, examples."""
    more = [path for top in ("tests", "docs") for path in (ROOT / top).rglob("*.py")]
    return (*shipped(), *sorted(more))


@cache
def texts() -> tuple[Path, ...]:
    """Every text file that git knows or would add (without .gitignore'd ones)."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return written()
    paths = (ROOT / name for name in sorted(set(listed.decode().split("\0"))) if name)
    return tuple(path for path in paths if path.is_file() and _is_text(path))


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" not in file.read(8192)


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Each imported module as (dotted name, line); lazy imports and literal names too."""
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module, node.lineno
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module, node.lineno


def foreign(path: Path) -> Iterator[tuple[str, int]]:
    """The imports that are neither Python's nor ours, by their top name."""
    for module, line in imports(path):
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in SHIPPED:
            yield top, line
