"""What is installed: the package list, the commands, the version."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules import source


def folders() -> list[str]:
    """The packages that really stand in the tree, dotted."""
    markers = (path for path in source.shipped() if path.name == "__init__.py")
    return [source.name_of(path.parent).replace("/", ".") for path in markers]


def test_the_list_of_packages_is_what_stands_in_the_tree() -> None:
    assert sorted(source.project()["tool"]["setuptools"]["packages"]) == sorted(folders())


def test_every_folder_with_python_files_is_a_package() -> None:
    bare = {
        source.name_of(path.parent)
        for path in source.written()
        if not (path.parent / "__init__.py").exists() and path.parent.name != "examples"
    }
    assert not bare, f"without __init__.py: {sorted(bare)}"


def test_tests_are_never_shipped() -> None:
    assert not [one for one in folders() if one.split(".")[0] not in source.SHIPPED]
    assert "tests" not in source.SHIPPED


def test_the_linter_and_the_type_checker_look_at_every_package() -> None:
    tool = source.project()["tool"]
    assert set(tool["importlinter"]["root_packages"]) == set(source.SHIPPED)
    assert set(tool["mypy"]["packages"]) == {*source.SHIPPED, "tests"}


@pytest.mark.parametrize("target", source.project()["project"]["scripts"].values())
def test_a_command_leads_to_a_function(target: str) -> None:
    module, _, function = target.partition(":")
    path = source.ROOT / f"{module.replace('.', '/')}.py"
    assert path.is_file(), f"{target}: there is no {source.name_of(path)}"
    names = {node.name for node in source.tree(path).body if isinstance(node, ast.FunctionDef)}
    names |= {
        alias.asname or alias.name
        for node in source.tree(path).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert function in names, f"{target}: no function {function} in {source.name_of(path)}"


@pytest.mark.parametrize(
    "marker", [p for p in source.written() if p.name == "__init__.py"], ids=source.name_of
)
def test_a_package_marker_imports_nothing(marker: Path) -> None:
    assert not [node for node in source.tree(marker).body if isinstance(node, ast.Import)]
    found = [node for node in source.tree(marker).body if isinstance(node, ast.ImportFrom)]
    assert not [node for node in found if node.module != "__future__"]


def test_the_version_stands_in_one_place_and_in_the_changelog() -> None:
    assert "version" in source.project()["project"]["dynamic"]
    text = (source.ROOT / "client" / "__init__.py").read_text("utf-8")
    (version,) = re.findall(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)
    assert f"\n## {version}" in (source.ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_foreign_library_with_a_room_is_a_dependency() -> None:
    declared = {
        re.split(r"[^a-z0-9_-]", line.lower())[0]
        for line in source.project()["project"]["dependencies"]
    }
    ours = {library for path in source.shipped() for library, _ in source.foreign(path)}
    # Import name → distribution that brings it.
    names = {"nacl": "pynacl", "ifaddr": "aioice", "sdl2": "pysdl2"}
    assert {names.get(library, library) for library in ours} <= declared


LIGHT = {"click", "uvloop", "websockets"}
BLOCKED = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in {allowed!r}:
            return None
        raise ModuleNotFoundError(f"not on a server: {{name}}", name=name)
sys.meta_path.insert(0, Nothing())
import {module}
"""


@pytest.mark.parametrize("module", ["signaling.cli", "relay.cli"])
def test_a_daemon_starts_where_only_its_three_libraries_are_installed(module: str) -> None:
    allowed = {"vc_core", "signaling", "relay", *LIGHT}
    code = BLOCKED.format(allowed=allowed, module=module)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
