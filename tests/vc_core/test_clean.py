"""Text of others is harmless and keeps what people wrote."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc_core.clean import NAMELESS, OVERRIDES, clean_name, clean_text, unique_name
from vc_core.messages import MAX_NAME

CASES = [
    ("plain", "plain"),
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x1b]0;title\x07after", "after"),
    ("\x1b]52;c;aGk=\x1b\\after", "after"),
    ("\x1bPdcs\x1b\\after", "after"),
    ("a\x00b\x7fc\x9bd", "abcd"),
    ("two\nlines\tand a tab", "two lines and a tab"),
    ("abc\u202edef\u2066g", "abcdefg"),
    ("👩\u200d🚀 e\u0301 שלום", "👩\u200d🚀 e\u0301 שלום"),
    ("\x1b", ""),
]


@pytest.mark.parametrize(("raw", "clean"), CASES)
def test_a_text_keeps_its_letters_and_loses_its_claws(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@given(st.text())
def test_no_text_controls_a_terminal(raw: str) -> None:
    clean = clean_text(raw)
    assert not OVERRIDES & set(clean)
    assert all(unicodedata.category(c) not in ("Cc", "Cs") for c in clean)


@given(st.text())
def test_cleaning_twice_changes_nothing(raw: str) -> None:
    assert clean_text(clean_text(raw)) == clean_text(raw)
    assert clean_name(clean_name(raw)) == clean_name(raw)


def test_letters_that_meet_when_a_claw_is_gone_are_one_letter() -> None:
    assert clean_name("e\u202e\u0301") == "é"


@given(st.text())
def test_a_name_is_one_short_visible_line(raw: str) -> None:
    name = clean_name(raw)
    assert 0 < len(name.encode()) <= MAX_NAME
    assert name == name.strip() and "\n" not in name


@pytest.mark.parametrize("raw", ["", "   ", "\u200d", "\x1b[31m"])
def test_who_has_no_visible_name_is_someone(raw: str) -> None:
    assert clean_name(raw) == NAMELESS


def test_equal_names_get_numbers() -> None:
    taken: set[str] = set()
    for _ in range(3):
        taken.add(unique_name("ann", taken))
    assert taken == {"ann", "ann-2", "ann-3"}


@given(st.lists(st.text(max_size=80), max_size=12))
def test_names_stay_different_and_short(raw: list[str]) -> None:
    taken: set[str] = set()
    for name in raw:
        given_name = unique_name(name, taken)
        assert given_name not in taken
        assert len(given_name.encode()) <= MAX_NAME
        taken.add(given_name)
