"""Laws 2 and 5 beyond imports: what a pure file cannot reach through a builtin.

The imports themselves are checked by import-linter (``pyproject.toml``); here
are the doors that need no import, and the chance that libsodium and numpy bring.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.rules import reach, source

DOORS = {"open", "print", "input", "breakpoint", "exec", "eval", "__import__"}
CHANCE = re.compile(r"^randombytes|(?<!_seed)_keypair$|_keygen$|_scalar_random$")
BRINGS_ITS_OWN_CHANCE = (
    *("nacl.utils", "nacl.public", "nacl.signing", "nacl.secret", "nacl.pwhash"),
    "numpy.random",
)


def law_five() -> frozenset[str]:
    """The modules that the contract of law 5 calls pure."""
    contracts = source.project()["tool"]["importlinter"]["contracts"]
    law = next(one for one in contracts if one["name"].startswith("Law 5"))
    return frozenset(law["sources"])


PURE = law_five() | {"vc_core"}
PURE_FILES = [p for p in source.shipped() if reach.within(source.module_of(p), PURE)]


def draws(node: ast.Attribute) -> bool:
    """Whether an attribute is a source of chance: libsodium's or ``numpy.random``."""
    of_numpy = isinstance(node.value, ast.Name) and node.value.id in {"np", "numpy"}
    return bool(CHANCE.search(node.attr)) or (of_numpy and node.attr == "random")


@pytest.mark.parametrize("path", PURE_FILES, ids=source.name_of)
def test_a_pure_file_opens_no_door_without_an_import(path: Path) -> None:
    found = [
        f"{source.name_of(path)}:{node.lineno} calls {node.func.id}()"
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in DOORS
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", PURE_FILES, ids=source.name_of)
def test_a_pure_file_takes_its_chance_as_an_argument(path: Path) -> None:
    found = [
        f"{source.name_of(path)}:{node.lineno} uses {node.attr}"
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.Attribute) and draws(node)
    ]
    found += [
        f"{source.name_of(path)}:{line} imports {module}"
        for module, line in source.imports(path)
        if reach.within(module, BRINGS_ITS_OWN_CHANCE)
    ]
    assert not found, "\n".join(found)
