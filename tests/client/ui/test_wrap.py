"""Rows of a given width, in which nothing is lost or torn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from client.ui.wrap import MAX_PIECE, cells, cut, fit, part, width_of, wrap
from vc_core.clean import clean_text

FAMILY = "👨‍👩‍👧"
TEXTS = st.text(max_size=80).map(clean_text) | st.text("ab 日é\u0301👍\u200d", max_size=60)


def test_words_stay_whole() -> None:
    assert wrap("hello brave new world", 12, 9) == ["hello brave", "new world"]


def test_a_word_that_is_too_long_is_broken() -> None:
    assert wrap("see abcdefghij", 6, 4) == ["see", "abcd", "efgh", "ij"]


def test_wide_letters_take_two_cells() -> None:
    assert wrap("日本語日本語", 5, 4) == ["日本", "語日", "本語"]


def test_a_letter_keeps_its_marks() -> None:
    assert cells("e\u0301x") == ["e\u0301", "x"]
    assert wrap("e\u0301" * 4, 2, 2) == ["e\u0301" * 2] * 2


def test_pictures_that_terminals_draw_in_widths_of_their_own_come_in_parts() -> None:
    assert part(f"{FAMILY} 👍🏽 🇩🇪 ❤️ 1️⃣") == "👨👩👧 👍 DE ❤ 1\u20e3"
    assert wrap(FAMILY * 2, 6, 6) == ["👨👩👧"] * 2 and cut(FAMILY, 6) == fit(FAMILY, 6) == "👨👩👧"
    assert part("क्\u200dष می\u200cخواهم") == "क्\u200dष می\u200cخواهم", "letters are left alone"


def test_a_heap_of_marks_is_cut_down() -> None:
    (piece,) = cells("e" + "\u0301" * 5000)
    assert len(piece) == MAX_PIECE
    assert len(wrap("e" + "\u0301" * 5000, 10, 10)[0]) == MAX_PIECE


def test_marks_on_nothing_are_left_out() -> None:
    assert cells("\u0301a \u0301b") == ["a", " ", "b"]


def test_an_empty_text_is_one_empty_row() -> None:
    assert wrap("", 10, 10) == [""]
    assert wrap("   ", 2, 2) == [""]


def test_cutting_says_that_something_is_missing() -> None:
    assert cut("abcdef", 4) == "abc…" and cut("abcd", 4) == "abcd"
    assert cut("日本語", 4) == "日…" and cut("abc", 0) == ""
    assert fit("日本語", 4) == "日… " and fit("a", 3) == "a  "


@given(TEXTS, st.integers(2, 30), st.integers(2, 30))
def test_no_row_is_too_wide_and_no_letter_is_lost(text: str, first: int, later: int) -> None:
    rows = wrap(text, first, later)
    limits = [first] + [later] * (len(rows) - 1)
    for row, limit in zip(rows, limits, strict=True):
        assert width_of(row) <= limit or len(cells(row)) == 1
    kept = "".join(cells(part(text))).replace(" ", "")
    assert "".join(rows).replace(" ", "") == kept


@given(TEXTS, st.integers(0, 30))
def test_fitting_gives_exactly_the_width(text: str, width: int) -> None:
    assert width_of(fit(text, width)) == width
