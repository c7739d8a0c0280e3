"""The host's desk: who may try, how often, and what a code is worth."""

from __future__ import annotations

import pytest

from client.net.kem import MlKem
from tests.vectors.seeded import seeded
from vc_core.admission import EXCHANGE_LIFE, MAX_EXCHANGES, MAX_TRIES, PROMPT, Desk, Proven
from vc_core.events import CodeEnded, CodeFailed, CodeReady
from vc_core.ids import ExchangeId
from vc_core.invite import parse_invitation
from vc_core.join import JoinerExchange, Password
from vc_core.keys import Identity
from vc_core.messages import JOIN, Denial, Denied, Form
from vc_core.signals import (
    Allocate,
    Allocated,
    Close,
    Ended,
    Free,
    Opened,
    Post,
    Posted,
    Refusal,
    Refused,
    Release,
)

RNG = seeded("admission")
KEM = MlKem()
HOST, GUEST = Identity.generate(RNG), Identity.generate(RNG)
MAILBOX = bytes(32)


def new_desk(guests: int = 8) -> Desk:
    desk = Desk(HOST, KEM, RNG, "ws://server:1", guests=guests)
    desk.invite(0.0)
    desk.receive(Allocated("1234", 600), 0.0)
    return desk


@pytest.fixture
def desk() -> Desk:
    return new_desk()


def password(desk: Desk) -> Password:
    ready = [event for event in desk.events if isinstance(event, CodeReady)][-1]
    return Password(Form.SPOKEN, parse_invitation(ready.code).password, "1234")


def posts(desk: Desk) -> list[object]:
    """What was posted since the last look."""
    found = [JOIN.read(s.body) for s in desk.signals if isinstance(s, Post)]
    desk.signals.clear()
    return list(found)


def knock(
    desk: Desk, exchange: int, now: float = 0.0, *, secret: Password | None = None
) -> Proven | None:
    """One joiner goes as far as it can."""
    desk.receive(Opened(exchange, MAILBOX, "1234"), now)
    joiner = JoinerExchange(secret or password(desk), MAILBOX, GUEST, KEM, RNG)
    posts(desk)
    desk.receive(Posted(exchange, JOIN.write(joiner.ask)), now)
    for answer in posts(desk):
        if isinstance(answer, Denied):
            return None
        confirm = joiner.receive_answer(answer)  # type: ignore[arg-type]
        desk.receive(Posted(exchange, JOIN.write(confirm)), now)
    for accept in posts(desk):
        finish, _ = joiner.receive_accept(accept)  # type: ignore[arg-type]
        proven = desk.receive(Posted(exchange, JOIN.write(finish)), now)
        assert isinstance(proven, Proven)
        return proven
    return None


WRONG = Password(Form.SPOKEN, b"wrong-wrong-wrong", "1234")


def test_a_nameplate_becomes_a_code_and_a_link(desk: Desk) -> None:
    (ready,) = desk.events
    assert isinstance(ready, CodeReady)
    assert ready.code.startswith("1234-") and ready.link.startswith("vchat:")
    assert ready.guests_left == 8


def test_who_holds_the_code_proves_it_and_who_it_is(desk: Desk) -> None:
    proven = knock(desk, 1)
    assert proven is not None
    assert proven.met.identity == GUEST.public
    assert desk.verdict(ExchangeId(1), GUEST.public.sign) is None


def test_a_wrong_code_is_shown_and_answered_later(desk: Desk) -> None:
    assert knock(desk, 1, secret=WRONG) is None
    assert [e.left for e in desk.events if isinstance(e, CodeFailed)] == [9]
    assert posts(desk) == []
    assert desk.next_timer() == 1.0
    desk.handle_timer(1.0)
    assert posts(desk) == [Denied(Denial.WRONG_CODE)]


def test_the_tenth_wrong_code_burns_it(desk: Desk) -> None:
    secret = password(desk)
    for turn in range(MAX_TRIES):
        knock(desk, turn, now=turn * 40.0, secret=WRONG)
        desk.handle_timer(turn * 40.0 + 30)
    assert desk.code is None
    assert CodeEnded("burned") in desk.events
    assert knock(desk, 99, now=500.0, secret=secret) is None


def test_failures_and_open_exchanges_together_are_at_most_ten(desk: Desk) -> None:
    for turn in range(4):
        knock(desk, turn, secret=WRONG)
    for exchange in range(10, 30):
        desk.receive(Opened(exchange, MAILBOX, "1234"), 0.0)
    assert sum(desk.holds(ExchangeId(n)) for n in range(10, 30)) == MAX_TRIES - 4


def open_tries(desk: Desk) -> int:
    return sum(knocking.proving for knocking in desk._knocking.values())


def test_nobody_keeps_the_door_shut_by_proving_nothing(desk: Desk) -> None:
    """One address may knock once a second; so many are slow when the next one comes."""
    for second in range(30):
        desk.receive(Opened(100 + second, MAILBOX, "1234"), float(second))
        assert open_tries(desk) <= MAX_TRIES
        desk.handle_timer(float(second))
    assert knock(desk, 1, now=30.0) is not None
    assert not [event for event in desk.events if isinstance(event, CodeFailed)]


def test_a_try_gives_way_only_when_all_are_taken_and_it_is_slow(desk: Desk) -> None:
    knock(desk, 99, secret=WRONG)
    for exchange in range(MAX_TRIES - 1):
        desk.receive(Opened(exchange, MAILBOX, "1234"), 0.1 * exchange)
    posts(desk)
    desk.receive(Opened(50, MAILBOX, "1234"), PROMPT - 0.1)
    assert posts(desk) == [Denied(Denial.TOO_MANY_TRIES)]
    desk.receive(Opened(51, MAILBOX, "1234"), PROMPT)
    assert posts(desk) == [Denied(Denial.TOO_SLOW)]
    assert desk.holds(ExchangeId(51)) and not desk.holds(ExchangeId(0))
    assert open_tries(desk) == MAX_TRIES - 1


def test_a_failure_whose_answer_is_delayed_counts_once(desk: Desk) -> None:
    for turn in range(9):
        knock(desk, turn, secret=WRONG)
    assert knock(desk, 50) is not None


def test_an_exchange_that_does_not_go_on_ends_after_ten_seconds(desk: Desk) -> None:
    desk.receive(Opened(1, MAILBOX, "1234"), 0.0)
    desk.handle_timer(EXCHANGE_LIFE)
    assert posts(desk) == [Denied(Denial.TOO_SLOW)]
    assert not desk.holds(ExchangeId(1))


def test_garbage_is_denied_and_counts_as_no_guess(desk: Desk) -> None:
    desk.receive(Opened(1, MAILBOX, "1234"), 0.0)
    desk.receive(Posted(1, b"\xff\xff"), 0.0)
    assert posts(desk) == [Denied(Denial.MALFORMED)]
    assert not [e for e in desk.events if isinstance(e, CodeFailed)]


def test_a_code_that_ended_after_the_proof_admits_nobody(desk: Desk) -> None:
    knock(desk, 1)
    desk.invite(1.0)
    desk.receive(Allocated("5678", 600), 1.0)
    assert desk.verdict(ExchangeId(1), GUEST.public.sign) is Denial.USED


def test_the_last_guest_ends_the_code() -> None:
    desk = new_desk(guests=1)
    knock(desk, 1)
    knock(desk, 2)
    desk.admitted()
    assert CodeEnded("used") in desk.events
    assert desk.verdict(ExchangeId(2), GUEST.public.sign) is Denial.USED


def test_a_ban_ends_the_code_and_outlives_it(desk: Desk) -> None:
    desk.ban(GUEST.public.sign)
    assert Free("1234", Release.WITHDRAWN) in desk.signals
    desk.invite(1.0)
    desk.receive(Allocated("1234", 600), 1.0)
    knock(desk, 1, now=1.0)
    assert desk.verdict(ExchangeId(1), GUEST.public.sign) is Denial.BANNED
    assert CodeEnded("withdrawn") in desk.events


def test_the_same_nameplate_is_asked_for_when_the_server_is_back(desk: Desk) -> None:
    first = next(s for s in desk.signals if isinstance(s, Allocate))
    desk.signals.clear()
    desk.reattach(100.0)
    assert list(desk.signals) == [Allocate("1234", first.token, 500)]
    desk.receive(Allocated("1234", 500), 100.0)
    assert desk.code is not None and desk.code.nameplate == "1234"


@pytest.mark.parametrize("reason", [Refusal.TAKEN, Refusal.EXPIRED, Refusal.BURNED])
def test_a_nameplate_that_is_gone_is_replaced_by_a_new_code(desk: Desk, reason: Refusal) -> None:
    desk.reattach(100.0)
    desk.signals.clear()
    desk.receive(Refused(reason, "1234"), 100.0)
    assert [s.wanted for s in desk.signals if isinstance(s, Allocate)] == [""]
    assert CodeEnded("expired") in desk.events


def test_a_busy_server_is_asked_again_later(desk: Desk) -> None:
    desk.reattach(100.0)
    desk.signals.clear()
    desk.receive(Refused(Refusal.TOO_FAST, "1234"), 100.0)
    assert not desk.signals
    desk.handle_timer(110.0)
    assert [s.wanted for s in desk.signals if isinstance(s, Allocate)] == ["1234"]


def test_what_the_server_says_unasked_changes_nothing(desk: Desk) -> None:
    before = desk.code
    desk.receive(Allocated("9999", 600), 1.0)
    desk.receive(Refused(Refusal.TAKEN, "1234"), 1.0)
    desk.receive(Ended("9999", Refusal.EXPIRED), 1.0)
    desk.receive(Posted(77, b""), 1.0)
    assert desk.code is before


def test_a_second_opening_of_one_exchange_begins_nothing_anew(desk: Desk) -> None:
    knock(desk, 1)
    desk.receive(Opened(1, MAILBOX, "1234"), 0.0)
    assert desk.verdict(ExchangeId(1), GUEST.public.sign) is None


def test_exchanges_are_bounded_and_closed_when_they_are_over() -> None:
    desk = new_desk(guests=100)
    for exchange in range(MAX_EXCHANGES + 5):
        knock(desk, exchange)
    assert sum(desk.holds(ExchangeId(n)) for n in range(100)) == MAX_EXCHANGES
    desk.signals.clear()
    desk.receive(Opened(99, MAILBOX, "1234"), 1.0)
    assert posts(desk) == [Denied(Denial.TOO_MANY_TRIES)], "so it knocks again"
    desk.handle_timer(61.0)
    assert sum(isinstance(s, Close) for s in desk.signals) == MAX_EXCHANGES


def test_an_expired_code_says_so(desk: Desk) -> None:
    desk.handle_timer(600.0)
    assert desk.code is None
    assert CodeEnded("expired") in desk.events


def test_an_open_code_follows_its_server_and_keeps_its_words(desk: Desk) -> None:
    (before,) = (event for event in desk.events if isinstance(event, CodeReady))
    desk.admitted()
    desk.events.clear()
    desk.move(Desk(HOST, KEM, RNG, "ws://10.0.0.7:1"))
    (after,) = desk.events
    assert isinstance(after, CodeReady)
    assert after.code == before.code.replace("server", "10.0.0.7")
    assert parse_invitation(after.link).servers == ("ws://10.0.0.7:1",)
    assert parse_invitation(after.link).password == parse_invitation(before.link).password
    assert after.guests_left == before.guests_left - 1
    desk.move(Desk(HOST, KEM, RNG, "ws://10.0.0.7:1"))
    assert len(desk.events) == 1
    assert knock(desk, 1) is not None
