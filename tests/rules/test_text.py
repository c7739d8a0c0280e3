"""How files read: names, first lines, last bytes, nothing left to be done."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.rules import source

NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
LONGEST = 400
"""Lines of one file; 150 feels right, 300 seldom."""
CATALOGUES = {"vc_core/messages.py"}
"""Long files that are lists: each entry is read by itself."""


@pytest.mark.parametrize("path", source.written(), ids=source.name_of)
def test_a_module_says_first_what_it_is(path: Path) -> None:
    said = ast.get_docstring(source.tree(path))
    assert said, f"{source.name_of(path)} has no docstring"
    assert said.splitlines()[0].rstrip('"`)').endswith((".", ":", "?", "!")), (
        "the first line is a sentence"
    )


@pytest.mark.parametrize("path", source.shipped(), ids=source.name_of)
def test_a_file_stays_small_enough_to_be_read_at_once(path: Path) -> None:
    name, lines = source.name_of(path), len(path.read_text("utf-8").splitlines())
    assert lines <= LONGEST or name in CATALOGUES, f"{name}: {lines} lines: which room is in it?"


def test_every_name_says_something() -> None:
    dull = [p for p in source.written() if NAMES_THAT_SAY_NOTHING & {p.stem, *p.parent.parts[-2:]}]
    assert not dull, ", ".join(map(source.name_of, dull))


@pytest.mark.parametrize("path", source.written(), ids=source.name_of)
def test_no_error_is_swallowed_whole(path: Path) -> None:
    swallowed = [
        f"{source.name_of(path)}:{node.lineno}"
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.ExceptHandler) and catches_all(node) and does_nothing(node)
    ]
    assert not swallowed, ", ".join(swallowed)


def catches_all(handler: ast.ExceptHandler) -> bool:
    """Whether the handler is bare or names ``Exception`` or ``BaseException``."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {one.id for one in caught if isinstance(one, ast.Name)}
    return handler.type is None or bool(names & {"Exception", "BaseException"})


def does_nothing(handler: ast.ExceptHandler) -> bool:
    """Whether the body is only ``pass``, ``...`` or ``continue``."""
    return all(
        isinstance(step, ast.Pass | ast.Continue)
        or (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))
        for step in handler.body
    )


def test_nothing_is_left_to_be_done() -> None:
    found = [
        f"{source.name_of(path)}:{number}: {line.strip()}"
        for path in source.texts()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found, "\n".join(found)


def test_text_files_end_with_one_newline_and_have_no_carriage_returns() -> None:
    bad = []
    for path in source.texts():
        data = path.read_bytes()
        if data and (not data.endswith(b"\n") or data.endswith(b"\n\n") or b"\r" in data):
            bad.append(source.name_of(path))
    assert not bad, ", ".join(bad)


def test_the_rule_against_swallowing_sees_what_it_should() -> None:
    code = "try:\n    x()\nexcept {}:\n    {}"
    verdicts = []
    for caught, body in [("Exception", "pass"), ("OSError", "pass"), ("Exception", "log()")]:
        (handler,) = (
            n
            for n in ast.walk(ast.parse(code.format(caught, body)))
            if isinstance(n, ast.ExceptHandler)
        )
        verdicts.append(catches_all(handler) and does_nothing(handler))
    assert verdicts == [True, False, False]
