"""The words of codes, and the four words of a room."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.read import own
from vc_core.wordlist import NUMBERS, WORDS, completions, nearest, room_code_words


def one_error_away(word: str) -> set[str]:
    """All that comes of ``word`` by one letter less, other, or two neighbours swapped."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    halves = [(word[:at], word[at:]) for at in range(len(word))]
    less = {left + right[1:] for left, right in halves}
    other = {left + letter + right[1:] for left, right in halves for letter in letters}
    swapped = {left + right[1] + right[0] + right[2:] for left, right in halves if right[1:]}
    return (less | other | swapped) - {word}


def test_there_are_2048_different_words_in_order() -> None:
    assert len(WORDS) == len(NUMBERS) == 2048
    assert all(left < right for left, right in pairwise(WORDS))
    assert all(re.fullmatch("[a-z]{4,7}", word) for word in WORDS)


def test_the_list_never_changes() -> None:
    digest = hashlib.sha256(" ".join(WORDS).encode()).hexdigest()
    assert digest == "8a7716e18c5baf48a80d563e03ef00e6975df561fcf176ab58209c284089f138"


def test_four_letters_tell_every_word() -> None:
    assert len({word[:4] for word in WORDS}) == len(WORDS)


def test_no_two_words_are_one_typing_error_apart() -> None:
    assert not [(word, near) for word in WORDS for near in one_error_away(word) & NUMBERS.keys()]


@pytest.mark.parametrize("case", own("room_code"))
def test_room_codes_are_the_first_44_bits(case: dict[str, Any]) -> None:
    digest = bytes.fromhex(case["digest"])
    words = room_code_words(digest)
    assert list(words) == case["words"]
    number = 0
    for word in words:
        number = number << 11 | NUMBERS[word]
    assert number == int.from_bytes(digest, "big") >> 8 * len(digest) - 44


@given(st.sampled_from(WORDS), st.data())
def test_one_typing_error_leads_back_to_the_word_or_an_equally_near_one(
    word: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    typed = word[:at] + word[at + 1 :]
    meant = nearest(typed)
    assert meant == word or typed in one_error_away(meant) or meant in one_error_away(typed)


def test_completes_beginnings() -> None:
    assert completions("zeb") == ("zebra",)
    assert completions("ZEBR") == ("zebra",)
    assert completions("q")[0] == "quack"
    assert completions("xyz") == ()
    assert len(completions("")) == 2048
