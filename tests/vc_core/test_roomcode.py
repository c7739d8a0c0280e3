"""The room code: equal words for equal rosters, and nobody can choose them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.vectors.seeded import seeded
from vc_core.errors import RemoteProtocolError
from vc_core.ids import Member
from vc_core.messages import Commit, Reveal
from vc_core.roomcode import RoomCode

ROSTER = bytes([9]) * 32
KEYS = {Member(n): bytes([n + 1]) * 32 for n in range(3)}
RNG = seeded("room code")


def everybody(roster: bytes = ROSTER) -> dict[Member, RoomCode]:
    return {member: RoomCode(roster, member, KEYS, RNG, 0.0) for member in KEYS}


def commit_all(codes: dict[Member, RoomCode]) -> None:
    for member, code in codes.items():
        for other in codes.values():
            other.committed(member, code.commit)


def test_all_get_the_same_four_words() -> None:
    codes = everybody()
    commit_all(codes)
    for member, code in codes.items():
        assert code.reveal is not None
        for other in codes.values():
            other.revealed(member, code.reveal)
    words = {code.words for code in codes.values()}
    assert len(words) == 1
    (only,) = words
    assert only is not None and len(only) == 4


def test_nobody_reveals_before_all_have_committed() -> None:
    codes = everybody()
    codes[Member(0)].committed(Member(1), codes[Member(1)].commit)
    assert codes[Member(0)].reveal is None


def test_the_last_commitment_is_told_apart() -> None:
    codes = everybody()
    first = codes[Member(0)]
    assert not first.committed(Member(1), codes[Member(1)].commit)
    assert first.committed(Member(2), codes[Member(2)].commit)


def test_a_nonce_that_was_not_committed_to_is_refused() -> None:
    codes = everybody()
    commit_all(codes)
    with pytest.raises(RemoteProtocolError):
        codes[Member(0)].revealed(Member(1), Reveal(ROSTER, bytes(32)))


def test_a_second_commitment_is_refused() -> None:
    codes = everybody()
    commit_all(codes)
    with pytest.raises(RemoteProtocolError):
        codes[Member(0)].committed(Member(1), Commit(ROSTER, bytes(32)))


def test_what_belongs_to_another_roster_changes_nothing() -> None:
    codes = everybody()
    first = codes[Member(0)]
    foreign = replace(codes[Member(1)].commit, roster=bytes(32))
    assert not first.committed(Member(1), foreign)
    assert Member(1) in first.missing()


def test_who_does_not_commit_is_missing_and_those_who_wait_for_it_are_not() -> None:
    codes = everybody()
    first = codes[Member(0)]
    first.committed(Member(1), codes[Member(1)].commit)
    assert first.missing() == [Member(2)]


def test_who_does_not_reveal_is_missing_and_there_is_no_code() -> None:
    codes = everybody()
    commit_all(codes)
    reveal = codes[Member(1)].reveal
    assert reveal is not None
    codes[Member(0)].revealed(Member(1), reveal)
    assert codes[Member(0)].missing() == [Member(2)]
    assert codes[Member(0)].words is None
