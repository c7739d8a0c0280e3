"""The entrance: one try, and each way in which it ends."""

from __future__ import annotations

import pytest

from client.net.kem import MlKem
from tests.vectors.seeded import seeded
from vc_core.admission import EXCHANGE_LIFE, LONGEST_DELAY
from vc_core.entrance import (
    ANSWER,
    DENIALS,
    PASSING,
    PATIENCE,
    PAUSE,
    REFUSALS,
    WAITING,
    Entrance,
    State,
)
from vc_core.errors import Ending, LocalProtocolError
from vc_core.ids import ExchangeId
from vc_core.invite import parse_invitation
from vc_core.join import HostExchange, Password
from vc_core.keys import Identity
from vc_core.messages import JOIN, Ask, Denial, Denied, Form, Letter
from vc_core.signals import Closed, Knock, Opened, Post, Posted, Refusal, Refused

RNG = seeded("entrance")
CODE = parse_invitation("1234-villa-flute-movie")


@pytest.fixture
def entrance() -> Entrance:
    entrance = Entrance(CODE, Identity.generate(RNG), MlKem(), RNG, 0.0)
    entrance.knock()
    return entrance


def opened(entrance: Entrance) -> Entrance:
    entrance.receive(Opened(5, bytes(32), "1234"), 1.0)
    return entrance


def test_it_knocks_once(entrance: Entrance) -> None:
    assert list(entrance.signals) == [Knock("1234")]
    with pytest.raises(LocalProtocolError):
        entrance.knock()


def test_it_asks_as_soon_as_the_exchange_is_open(entrance: Entrance) -> None:
    opened(entrance)
    post = entrance.signals[-1]
    assert isinstance(post, Post) and post.exchange == 5
    assert JOIN.read(post.body).__class__.__name__ == "Ask"
    assert entrance.exchange == ExchangeId(5)


@pytest.mark.parametrize("refusal", list(REFUSALS))
def test_each_refusal_of_the_server_has_its_ending(entrance: Entrance, refusal: Refusal) -> None:
    entrance.receive(Refused(refusal, "1234"), WAITING)
    assert entrance.ending is REFUSALS[refusal]


@pytest.mark.parametrize("refusal", PASSING)
def test_who_comes_with_too_many_others_knocks_again_for_a_while(
    entrance: Entrance, refusal: Refusal
) -> None:
    now, knocks = 0.0, 1
    while entrance.ending is None:
        entrance.receive(Refused(refusal, "1234"), now)
        due = entrance.next_timer()
        assert due is not None
        if entrance.state is State.WAITING:
            assert now + PAUSE <= due <= now + 2 * PAUSE
            entrance.handle_timer(due)
            now, knocks = due, knocks + 1
    assert WAITING <= now <= WAITING + 2 * PAUSE
    assert list(entrance.signals) == [Knock("1234")] * knocks
    assert entrance.ending is REFUSALS[refusal]


def test_the_second_knock_may_be_the_one_that_is_heard(entrance: Entrance) -> None:
    entrance.receive(Refused(Refusal.FULL, "1234"), 0.0)
    entrance.handle_timer(2 * PAUSE)
    assert opened(entrance).state is State.PROVING
    assert entrance.ending is None


@pytest.mark.parametrize("denial", list(DENIALS))
def test_each_denial_of_the_host_has_its_ending(entrance: Entrance, denial: Denial) -> None:
    opened(entrance).receive(Posted(5, JOIN.write(Denied(denial))), WAITING)
    assert entrance.ending is DENIALS[denial]


def test_whom_the_host_has_no_time_for_knocks_again(entrance: Entrance) -> None:
    busy = Posted(5, JOIN.write(Denied(Denial.TOO_MANY_TRIES)))
    opened(entrance).receive(busy, 1.0)
    assert (entrance.state, entrance.exchange, entrance.ending) == (State.WAITING, None, None)
    entrance.receive(Closed(5), 1.0)
    entrance.handle_timer(1.0 + 2 * PAUSE)
    assert entrance.signals[-1] == Knock("1234")
    assert opened(entrance).state is State.PROVING


def test_whom_it_has_shown_its_proof_it_gives_no_other_guess(entrance: Entrance) -> None:
    host = HostExchange(bytes(32), Identity.generate(RNG), MlKem(), RNG)
    guess = Password(Form.SPOKEN, b"abacus-abbey-abrupt", "1234")
    post = opened(entrance).signals[-1]
    assert isinstance(post, Post)
    ask = JOIN.read(post.body)
    assert isinstance(ask, Ask)
    entrance.receive(Posted(5, JOIN.write(host.receive_ask(ask, guess))), 1.0)
    entrance.receive(Posted(5, JOIN.write(Denied(Denial.TOO_MANY_TRIES))), 1.0)
    assert entrance.ending is Ending.TOO_MANY_TRIES


@pytest.mark.parametrize("signal", [Refused(200, ""), Posted(5, JOIN.write(Denied(200)))])
def test_an_unknown_reason_is_a_failure(entrance: Entrance, signal: Refused | Posted) -> None:
    if isinstance(signal, Posted):
        opened(entrance)
    entrance.receive(signal, 1.0)
    assert entrance.ending is Ending.FAILED


@pytest.mark.parametrize("body", [b"", b"\xff", b"\x02" + bytes(20), JOIN.write(Denied(1)) + b"x"])
def test_garbage_ends_the_try(entrance: Entrance, body: bytes) -> None:
    opened(entrance).receive(Posted(5, body), 1.0)
    assert entrance.ending is Ending.VERIFICATION_FAILED


def test_what_belongs_to_another_exchange_changes_nothing(entrance: Entrance) -> None:
    opened(entrance).receive(Posted(6, b"garbage"), 1.0)
    entrance.receive(Closed(6), 1.0)
    assert entrance.ending is None


def test_a_host_that_goes_away_ends_the_try(entrance: Entrance) -> None:
    opened(entrance).receive(Closed(5), 1.0)
    assert entrance.ending is Ending.HOST_LOST


def test_it_waits_no_longer_than_it_must(entrance: Entrance) -> None:
    assert entrance.next_timer() == PATIENCE
    entrance.handle_timer(PATIENCE - 0.1)
    assert entrance.ending is None
    entrance.handle_timer(PATIENCE)
    assert entrance.ending is Ending.HOST_LOST


def test_a_host_that_says_nothing_at_all_is_not_waited_for_as_long(entrance: Entrance) -> None:
    assert opened(entrance).next_timer() == 1.0 + ANSWER < PATIENCE
    assert ANSWER > EXCHANGE_LIFE
    entrance.handle_timer(0.9 + ANSWER)
    assert entrance.ending is None
    entrance.handle_timer(1.0 + ANSWER)
    assert entrance.ending is Ending.HOST_LOST


def test_a_host_that_has_said_something_may_take_its_time_for_a_wrong_code(
    entrance: Entrance,
) -> None:
    host = HostExchange(bytes(32), Identity.generate(RNG), MlKem(), RNG)
    post = opened(entrance).signals[-1]
    assert isinstance(post, Post)
    ask = JOIN.read(post.body)
    assert isinstance(ask, Ask)
    guess = Password(Form.SPOKEN, b"abacus-abbey-abrupt", "1234")
    entrance.receive(Posted(5, JOIN.write(host.receive_ask(ask, guess))), ANSWER)
    assert entrance.next_timer() == PATIENCE
    entrance.handle_timer(1.0 + LONGEST_DELAY)
    assert entrance.ending is None


def test_inside_nothing_ends_it_any_more(entrance: Entrance) -> None:
    opened(entrance)
    entrance.state = State.INSIDE
    for body in (JOIN.write(Denied(Denial.BANNED)), JOIN.write(Letter(bytes(8), 0, bytes(16)))):
        entrance.receive(Posted(5, body), 1.0)
    entrance.receive(Closed(5), 1.0)
    entrance.handle_timer(1000.0)
    assert entrance.ending is None and entrance.exchange is None
    assert entrance.next_timer() is None
