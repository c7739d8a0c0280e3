"""The diagrams in ``docs/machines`` say what the tables say."""

from __future__ import annotations

from tests.rules import diagrams, source


def test_every_machine_has_its_page_and_no_page_has_lost_its_machine() -> None:
    there = set(diagrams.FOLDER.glob("*.md")) - {diagrams.FOLDER / "README.md"}
    wanted = diagrams.pages().keys()
    assert {p.stem for p in there} == {p.stem for p in wanted}, "`make docs` writes them"


def test_no_page_has_drifted_from_its_table() -> None:
    drifted = [
        source.name_of(path)
        for path, text in diagrams.pages().items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]
    assert not drifted, f"`make docs` writes them again: {drifted}"


def test_a_table_is_found_by_its_name() -> None:
    names = [name for path in source.shipped() for name in diagrams.tables(path)]
    assert all(name.endswith("MOVES") for name in names)
