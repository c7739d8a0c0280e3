"""Sender keys: when a generation is used, how long it lives, and what opens when."""

from __future__ import annotations

import pytest

from tests.vectors.seeded import seeded
from vc_core.errors import RemoteProtocolError
from vc_core.ids import Member
from vc_core.messages import Position, SenderKey
from vc_core.senderkeys import (
    MAX_GENERATIONS,
    MAX_WAITING,
    OLD_LIFE,
    PATIENCE,
    REMOVAL_LIFE,
    UNKNOWN_LIFE,
    OthersKeys,
    OwnKeys,
)

ROOM = bytes(32)
ANN, BOB = Member(1), Member(2)


def place(n: int) -> Position:
    return Position(1, n, bytes([n]) * 32)


class Pair:
    """Ann speaks, somebody else listens."""

    def __init__(self) -> None:
        self.own = OwnKeys(ANN, ROOM, seeded("senderkeys"))
        self.others = OthersKeys(ROOM)

    def rotate(self, n: int, now: float, holders: set[Member] | None = None) -> SenderKey:
        return self.own.rotate(place(n), holders or set(), now)

    def say(self) -> bytes:
        assert self.own.current is not None
        return self.own.current.sealer.seal(0, 0, b"frame")

    def opens(self, datagram: bytes, now: float) -> bool:
        return self.others.open(ANN, datagram, now) is not None


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    pair.others.learn(ANN, pair.rotate(1, 0.0), 0.0)
    return pair


def test_a_generation_is_used_when_all_holders_of_the_last_one_have_it(pair: Pair) -> None:
    key = pair.rotate(2, 10.0, {BOB})
    assert pair.own.current is not None and pair.own.current.announcement != key
    pair.own.taken(BOB, key.generation, 10.1)
    assert pair.own.current.announcement == key


def test_a_generation_is_used_after_a_second_whoever_is_missing(pair: Pair) -> None:
    key = pair.rotate(2, 10.0, {BOB})
    assert pair.own.next_timer() == 10.0 + PATIENCE
    pair.own.handle_timer(10.0 + PATIENCE)
    assert pair.own.current is not None and pair.own.current.announcement == key


def test_rotations_in_quick_succession_postpone_nothing(pair: Pair) -> None:
    for turn in range(10):
        pair.rotate(2 + turn, 10.0 + turn * 0.3, {BOB})
        pair.own.handle_timer(10.0 + turn * 0.3)
    assert pair.own.current is not None
    assert pair.own.current.announcement.position.n >= 8


def test_who_is_gone_is_not_waited_for(pair: Pair) -> None:
    key = pair.rotate(2, 10.0, {BOB})
    pair.own.gone(BOB, 10.0)
    assert pair.own.current is not None and pair.own.current.announcement == key


def test_no_two_generations_share_a_key_or_a_route(pair: Pair) -> None:
    keys = [pair.rotate(n, float(n)).key for n in range(2, 20)]
    assert len(set(keys)) == len(keys)


def test_a_packet_that_is_ahead_of_its_key_opens_when_the_key_comes() -> None:
    pair = Pair()
    key = pair.rotate(1, 0.0)
    assert not pair.opens(pair.say(), 0.0)
    assert len(pair.others.learn(ANN, key, UNKNOWN_LIFE)) == 1


def test_a_packet_waits_half_a_second_for_its_key_and_no_longer() -> None:
    pair = Pair()
    key = pair.rotate(1, 0.0)
    pair.opens(pair.say(), 0.0)
    assert pair.others.learn(ANN, key, UNKNOWN_LIFE + 0.01) == []


def test_packets_that_wait_are_bounded() -> None:
    pair = Pair()
    key = pair.rotate(1, 0.0)
    for _ in range(MAX_WAITING * 3):
        pair.opens(pair.say(), 0.0)
    assert len(pair.others.learn(ANN, key, 0.1)) == MAX_WAITING


def test_an_old_generation_lives_ten_seconds(pair: Pair) -> None:
    early, late = pair.say(), pair.say()
    pair.others.learn(ANN, pair.rotate(2, 5.0), 5.0)
    assert pair.opens(early, 5.0 + OLD_LIFE - 0.1)
    with pytest.raises(RemoteProtocolError):
        pair.opens(late, 5.0 + OLD_LIFE)


def test_after_a_removal_older_keys_of_others_live_two_seconds(pair: Pair) -> None:
    early, late = pair.say(), pair.say()
    pair.others.hurry(place(2), 5.0)
    assert pair.opens(early, 5.0 + REMOVAL_LIFE - 0.1)
    with pytest.raises(RemoteProtocolError):
        pair.opens(late, 5.0 + REMOVAL_LIFE)


def test_after_removals_a_key_from_before_them_seals_for_two_seconds(pair: Pair) -> None:
    pair.own.hold(on=True, now=5.0)
    for n, now in ((2, 5.0), (3, 6.0)):
        pair.own.hurry(place(n), now)
        key = pair.rotate(n, now)
    assert pair.own.in_use(5.0 + REMOVAL_LIFE - 0.1) is pair.own.current is not None
    assert pair.own.in_use(5.0 + REMOVAL_LIFE) is None
    pair.own.hold(on=False, now=9.0)
    pair.own.handle_timer(9.0 + PATIENCE)
    used = pair.own.in_use(9.0 + PATIENCE)
    assert used is not None and used.announcement == key


def test_a_key_from_before_a_removal_that_comes_late_lives_two_seconds_too() -> None:
    pair = Pair()
    key = pair.rotate(1, 0.0)
    datagram = pair.say()
    pair.others.hurry(place(2), 5.0)
    pair.others.learn(ANN, key, 6.0)
    with pytest.raises(RemoteProtocolError):
        pair.opens(datagram, 6.0 + REMOVAL_LIFE)


def test_the_keys_of_who_is_removed_die_at_once(pair: Pair) -> None:
    pair.others.forget(ANN)
    assert not pair.opens(pair.say(), 0.1)


def test_a_generation_that_is_over_is_not_taken_again(pair: Pair) -> None:
    key = pair.others.announcement(ANN, 1)
    assert key is not None
    frame = pair.say()
    assert pair.opens(frame, 0.1)
    pair.others.forget(ANN)
    pair.others.learn(ANN, key, 0.2)
    assert not pair.opens(frame, 0.3)


def test_a_packet_under_another_members_key_is_refused(pair: Pair) -> None:
    with pytest.raises(RemoteProtocolError):
        pair.others.open(BOB, pair.say(), 0.1)


def test_a_packet_opens_once(pair: Pair) -> None:
    frame = pair.say()
    assert pair.opens(frame, 0.1)
    with pytest.raises(RemoteProtocolError):
        pair.opens(frame, 0.1)


def test_two_keys_for_one_generation_are_refused(pair: Pair) -> None:
    with pytest.raises(RemoteProtocolError):
        pair.others.learn(ANN, SenderKey(1, bytes(32), place(1)), 0.1)


def test_a_member_has_a_bounded_number_of_keys(pair: Pair) -> None:
    for n in range(2, 30):
        pair.others.learn(ANN, pair.rotate(n, float(n)), float(n))
    known = [n for n in range(40) if pair.others.announcement(ANN, n) is not None]
    assert len(known) == MAX_GENERATIONS


def test_an_old_age_asks_for_a_new_generation(pair: Pair) -> None:
    assert not pair.own.due(299.0)
    assert pair.own.due(300.0)
