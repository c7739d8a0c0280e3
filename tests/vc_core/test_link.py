"""A link: letters once, however late, records in order, each key for one use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vc_core.errors import RemoteProtocolError
from vc_core.ids import LinkId, Member
from vc_core.link import LETTER_WINDOW, Link
from vc_core.messages import Bye, KeyTaken

KEYS = bytes([1]) * 32, bytes([2]) * 32
TAG = b"linktag8"


def pair() -> tuple[Link, Link]:
    """Both ends."""
    one = Link(Member(1), LinkId(1), TAG, KEYS, leading=True, now=0.0)
    other = Link(Member(0), LinkId(1), TAG, KEYS[::-1], leading=False, now=0.0)
    return one, other


def test_letters_arrive_and_may_be_lost() -> None:
    one, other = pair()
    letters = [one.seal_letter(KeyTaken(n)) for n in range(3)]
    assert other.open_letter(letters[0]) == KeyTaken(0)
    assert other.open_letter(letters[2]) == KeyTaken(2)


def test_a_letter_counts_once() -> None:
    one, other = pair()
    letter = one.seal_letter(Bye())
    other.open_letter(letter)
    with pytest.raises(RemoteProtocolError):
        other.open_letter(letter)


def test_a_letter_may_be_overtaken() -> None:
    one, other = pair()
    first, second = one.seal_letter(KeyTaken(1)), one.seal_letter(KeyTaken(2))
    assert other.open_letter(second) == KeyTaken(2)
    assert other.open_letter(first) == KeyTaken(1)
    for letter in (first, second):
        with pytest.raises(RemoteProtocolError):
            other.open_letter(letter)


def test_a_letter_that_hundreds_have_overtaken_is_dropped() -> None:
    one, other = pair()
    letters = [one.seal_letter(KeyTaken(n)) for n in range(LETTER_WINDOW + 1)]
    other.open_letter(letters[-1])
    assert other.open_letter(letters[1]) == KeyTaken(1)
    with pytest.raises(RemoteProtocolError):
        other.open_letter(letters[0])


def test_a_letter_may_follow_any_number_of_lost_ones() -> None:
    one, other = pair()
    other.open_letter(one.seal_letter(KeyTaken(0)))
    for _ in range(5000):
        one.seal_letter(Bye())
    assert other.open_letter(one.seal_letter(KeyTaken(1))) == KeyTaken(1)


def test_a_letter_that_does_not_open_uses_up_no_counter() -> None:
    one, other = pair()
    letter = one.seal_letter(Bye())
    with pytest.raises(RemoteProtocolError):
        other.open_letter(replace(letter, sealed=bytes(len(letter.sealed))))
    with pytest.raises(RemoteProtocolError):
        other.open_letter(replace(letter, counter=5))
    assert other.open_letter(letter) == Bye()


def test_a_letter_does_not_come_back_to_its_writer() -> None:
    one, _ = pair()
    with pytest.raises(RemoteProtocolError):
        one.open_letter(one.seal_letter(Bye()))


def test_records_arrive_however_they_are_cut() -> None:
    one, other = pair()
    data = one.seal_record(KeyTaken(1)) + one.seal_record(KeyTaken(2))
    found = [message for byte in data for message in other.open_records(bytes([byte]))]
    assert found == [KeyTaken(1), KeyTaken(2)]


def test_a_record_left_out_ends_the_stream() -> None:
    one, other = pair()
    one.seal_record(KeyTaken(1))
    with pytest.raises(RemoteProtocolError):
        other.open_records(one.seal_record(KeyTaken(2)))


def test_a_letter_is_no_record() -> None:
    one, other = pair()
    sealed = one.seal_letter(Bye()).sealed
    with pytest.raises(RemoteProtocolError):
        other.open_records((len(sealed)).to_bytes(2, "big") + sealed)
