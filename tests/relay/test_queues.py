"""What waits for a slow client: bounded, fresh, media first to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.queues import LARGEST, OLDEST, Queue, is_media
from vc_core.envelope import Pong, write_pass, write_pong

VOICE = write_pass(1, b"\x80" + bytes(1000))
TEXT = write_pass(1, b"\x40" + bytes(1000))
FIT = LARGEST // len(VOICE)


def everything(queue: Queue, now: float = 0.0) -> list[bytes]:
    """Empty it."""
    found = []
    while (data := queue.pop(now)) is not None:
        found.append(data)
    return found


def test_what_waits_comes_in_order() -> None:
    queue = Queue()
    sent = [TEXT, VOICE, VOICE, TEXT + b"2", VOICE + b"3"]
    for data in sent:
        queue.push(data, 0)
    assert everything(queue) == sent


def test_media_goes_first_when_there_is_too_much() -> None:
    queue = Queue()
    queue.push(VOICE, 0)
    for _ in range(FIT):
        queue.push(TEXT, 0)
    assert everything(queue) == [TEXT] * FIT
    assert queue.dropped == 1


def test_the_oldest_goes_when_there_is_no_media() -> None:
    queue = Queue()
    queue.push(TEXT + b"first", 0)
    for _ in range(FIT):
        queue.push(TEXT, 0)
    assert everything(queue) == [TEXT] * FIT


def test_nothing_waits_longer_than_a_fifth_of_a_second() -> None:
    queue = Queue()
    queue.push(TEXT, 0)
    queue.push(VOICE, 0.1)
    assert everything(queue, OLDEST + 0.05) == [VOICE]
    assert (queue.size, queue.dropped) == (0, 1)


def test_what_the_forwarder_says_itself_is_no_media() -> None:
    assert not is_media(write_pong(Pong(1, 1, 0)))
    assert [is_media(write_pass(9, bytes([first]))) for first in (127, 128, 191, 192)] == [
        False,
        True,
        True,
        False,
    ]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1200), st.floats(0, 0.3)), max_size=300))
def test_it_never_holds_too_much_or_too_old(pushes: list[tuple[bool, int, float]]) -> None:
    queue, now, waiting = Queue(), 0.0, 0
    for media, size, passed in pushes:
        now += passed
        queue.push(write_pass(1, bytes([0x80 if media else 0x40]) + bytes(size)), now)
        waiting += 1
        assert queue.size <= LARGEST
        assert len(queue) == waiting - queue.dropped
    assert len(everything(queue, now)) == waiting - queue.dropped
    assert queue.size == 0
