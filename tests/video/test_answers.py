"""Answers of a terminal, among keys and torn anywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from video.answers import LONGEST, Answers

KITTY = (
    "\x1b_Gi=31;OK\x1b\\\x1b_Gi=32;ENOENT: no file\x1b\\"
    "\x1bP>|kitty(0.26.5)\x1b\\\x1b[6;18;9t\x1b[?62;c"
)
XTERM = "\x1bP>|XTerm(379)\x1b\\\x1b[?64;1;2;4;22c\x1b[?1;0;256S"


def heard(*pieces: str) -> tuple[str, Answers]:
    answers = Answers()
    return "".join(map(answers.feed, pieces)), answers


def test_kitty_says_what_it_can() -> None:
    keys, answers = heard(KITTY)
    terminal = answers.terminal
    assert keys == ""
    assert terminal.graphics == {31}
    assert terminal.version == "kitty(0.26.5)"
    assert terminal.cell == (9, 18)
    assert terminal.abilities == frozenset({62}) and not terminal.sixel


def test_xterm_has_sixels_and_so_many_colours() -> None:
    _, answers = heard(XTERM)
    assert answers.terminal.sixel and answers.terminal.registers == 256


def test_a_question_that_failed_is_an_answer_too() -> None:
    keys, answers = heard("\x1b[?1;3S")
    assert keys == "" and answers.terminal.registers == 0


def test_drawings_that_are_done_are_counted() -> None:
    _, answers = heard("\x1b[0n", "\x1b[0n")
    assert answers.terminal.drawn == 2


@given(st.lists(st.integers(0, len(KITTY + XTERM)), max_size=6))
def test_an_answer_may_be_torn_anywhere(cuts: list[int]) -> None:
    whole = KITTY + XTERM
    ends = sorted({*cuts, len(whole)})
    pieces = [whole[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    if any(piece.endswith("\x1b") for piece in pieces):
        return  # a lone escape at the end of a piece is a key, as it is to prompt_toolkit
    keys, answers = heard(*pieces)
    assert keys == ""
    assert answers.terminal == heard(whole)[1].terminal


@given(
    st.text(st.sampled_from("ab\x7f\r é日/"), max_size=8),
    st.text(st.sampled_from("xyz"), max_size=8),
)
def test_keys_before_and_behind_are_handed_on(before: str, behind: str) -> None:
    assert heard(before + XTERM + behind)[0] == before + behind


KEYS = [
    "\x1b[A",
    "\x1bOP",
    "\x1b[3~",
    "\x1b[6~",
    "\x1b[1;5C",
    "\x1b[12;40R",
    "\x1b[19~",
    "\x1b",
    "a",
]


@given(st.lists(st.sampled_from(KEYS)))
def test_keys_that_look_like_answers_stay_keys(keys: list[str]) -> None:
    assert heard("".join(keys))[0] == "".join(keys)


@given(st.lists(st.text(st.sampled_from("\x1b_GP>|[?0136;=tcnS\\x\x07"), max_size=30), max_size=6))
def test_whatever_comes_nothing_is_kept_for_ever_and_nothing_raises(pieces: list[str]) -> None:
    keys, answers = heard(*pieces)
    rest = answers.rest()
    assert len(rest) <= LONGEST
    assert len(keys) + len(rest) <= len("".join(pieces))
    assert answers.rest() == ""


def test_an_answer_without_an_end_becomes_keys() -> None:
    endless = "\x1b_G" + "x" * LONGEST
    assert heard(endless)[0] == endless


def test_a_cell_of_absurd_size_is_not_believed() -> None:
    assert heard("\x1b[6;9999;0t")[1].terminal.cell is None
