"""Texts of one pair: in order, once, acknowledged, bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc_core.chat import MAX_WAITING, Conversation, TooMuchWaiting, flaw
from vc_core.errors import RemoteProtocolError
from vc_core.messages import Chat, ChatTaken


def chat(sequence: int) -> Chat:
    return Chat(sequence, bytes(8), False, f"{sequence}")


@given(st.lists(st.integers(0, 5), max_size=30))
def test_whatever_is_sent_again_is_taken_once_and_in_order(replays: list[int]) -> None:
    sender, receiver = Conversation(), Conversation()
    taken: list[int] = []
    for back in replays:
        sender.say(bytes(8), "x", private=False)
        for one in sender.unacknowledged()[-1 - back :] if back else sender.unacknowledged():
            if one.sequence <= len(taken) + 1:
                new, _ = receiver.receive(one)
                taken += [one.sequence] if new else []
    assert taken == list(range(1, len(taken) + 1))


def test_an_acknowledgement_covers_all_before_it() -> None:
    sender = Conversation()
    ids = [bytes([n]) * 8 for n in range(4)]
    for id in ids:
        sender.say(id, "x", private=False)
    assert sender.acknowledged(ChatTaken(3)) == ids[:3]
    assert [one.id for one in sender.unacknowledged()] == ids[3:]
    assert sender.acknowledged(ChatTaken(3)) == []


def test_an_acknowledgement_of_what_was_never_said_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        Conversation().acknowledged(ChatTaken(1))


def test_a_gap_is_refused() -> None:
    receiver = Conversation()
    receiver.receive(chat(1))
    with pytest.raises(RemoteProtocolError):
        receiver.receive(chat(3))


def test_what_waits_is_bounded_in_number_and_in_bytes() -> None:
    many, large = Conversation(), Conversation()
    for _ in range(MAX_WAITING):
        many.say(bytes(8), "x", private=False)
    for _ in range(128):
        large.say(bytes(8), "x" * 16384, private=False)
    for full in (many, large):
        with pytest.raises(TooMuchWaiting):
            full.say(bytes(8), "x", private=False)
    large.acknowledged(ChatTaken(1))
    large.say(bytes(8), "x", private=False)


@pytest.mark.parametrize("text", ["x", "x" * 16384, " ", "\u200d", "\x1b[31mred"])
def test_what_can_be_shown_may_be_sent(text: str) -> None:
    assert flaw(text) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "16 KiB"),
        ("é" * 8193, "16 KiB"),
        ("half \ud83d", "surrogate"),
        ("\x1b[31m\x00", "nothing"),
    ],
)
def test_what_would_not_arrive_as_a_text_is_refused(text: str, why: str) -> None:
    assert why in flaw(text)
