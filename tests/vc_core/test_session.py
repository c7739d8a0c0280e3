"""A session from outside: verbs at the wrong time, limits of cost, nothing raises."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.bottle import Bottle
from tests.sim.people import Person
from vc_core.errors import LocalProtocolError
from vc_core.events import Ended
from vc_core.ids import LinkId, Member, Rung, Way
from vc_core.messages import Road
from vc_core.signals import Closed, Dropped, Opened, Posted

WAY = Way(Rung.DIRECT, 1)


@pytest.fixture(scope="module")
def party() -> tuple[Bottle, list[Person]]:
    bottle = Bottle(61)
    people = bottle.party("host", *(f"guest{n}" for n in range(7)))
    bottle.run(5)
    return bottle, people


def test_nobody_can_speak_or_write_before_the_welcome() -> None:
    bottle = Bottle(62)
    host = bottle.host()
    bottle.run(1)
    session = bottle.join("ann", bottle.code(host)).session
    assert session.speak(0, 0, b"x", bottle.now) is None
    assert session.listeners() == []
    with pytest.raises(LocalProtocolError):
        session.say("x")


def test_only_the_host_kicks_locks_and_invites(party: tuple[Bottle, list[Person]]) -> None:
    bottle, people = party
    guest = people[1].session
    with pytest.raises(LocalProtocolError):
        guest.kick(Member(2), bottle.now)
    with pytest.raises(LocalProtocolError):
        guest.lock(True, bottle.now)
    with pytest.raises(LocalProtocolError):
        guest.invite(bottle.now)


def test_who_is_not_here_cannot_be_kicked_accepted_or_written_to(
    party: tuple[Bottle, list[Person]],
) -> None:
    bottle, people = party
    host = people[0].session
    with pytest.raises(LocalProtocolError):
        host.kick(Member(99), bottle.now)
    with pytest.raises(LocalProtocolError):
        host.accept(Member(99), bottle.now)
    with pytest.raises(LocalProtocolError):
        host.say("x", Member(99))


def test_after_the_end_nothing_is_asked_said_or_timed() -> None:
    bottle = Bottle(63)
    host, ann = bottle.party("host", "ann")
    session = ann.session
    session.leave(bottle.now)
    while session.next_command():
        pass
    session.handle_timer(bottle.now + 100)
    session.signaling_lost(bottle.now)
    session.signaling_back(bottle.now)
    session.receive_signal(Closed(1), bottle.now)
    session.mute(True)
    session.leave(bottle.now)
    events = []
    while (event := session.next_event()) is not None:
        events.append(event)
    assert [type(event) for event in events] == [Ended]
    assert session.next_command() is None
    assert session.next_timer() is None
    with pytest.raises(LocalProtocolError):
        session.say("x")
    assert host.living


def test_what_older_or_unknown_roads_say_is_dropped(party: tuple[Bottle, list[Person]]) -> None:
    bottle, people = party
    session, now = people[0].session, bottle.now
    for member, link in ((Member(1), LinkId(9999)), (Member(99), LinkId(1))):
        session.way_opened(member, link, WAY, now)
        session.way_failed(member, link, WAY, "lost", now)
        session.road_described(member, link, Road(1, "u", "p", (), True, False))
        session.stream_opened(member, link, now)
        session.stream_closed(member, link, now)
        session.receive_stream(member, link, b"garbage", now)
        session.receive_probe(member, link, WAY, b"garbage", now)
        assert session.hear(member, link, WAY, bytes(100), now) is None
    assert session.next_command() is None


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), first=st.sampled_from([16, 128, 129]))
def test_arbitrary_datagrams_are_dropped(data: bytes, first: int) -> None:
    bottle, people = _small()
    session = people[0].session
    ((member, link),) = session.listeners()
    datagram = bytes([first]) + data
    session.receive_probe(member, link, WAY, datagram, bottle.now)
    assert session.hear(member, link, WAY, datagram, bottle.now) is None
    assert people[0].living


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=300), kind=st.integers(0, 3))
def test_arbitrary_bodies_of_the_server_are_dropped(body: bytes, kind: int) -> None:
    bottle, people = _small()
    for person in people:
        session = person.session
        mailbox = next(iter(session._mailboxes._attached))
        signal = (
            Posted(1, body),
            Dropped(mailbox, body),
            Dropped(bytes(32), body),
            Opened(3, bytes(32), "1234"),
        )[kind]
        session.receive_signal(signal, bottle.now)
        assert person.living


@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=1, max_size=300))
def test_arbitrary_bytes_of_a_stream_cost_that_link_at_most(data: bytes) -> None:
    bottle = Bottle(65)
    host, ann = bottle.party("host", "ann")
    ((member, link),) = host.session.listeners()
    host.session.receive_stream(member, link, data, bottle.now)
    assert host.living and ann.number in host.session.room.peers


_KEPT: list[tuple[Bottle, list[Person]]] = []


def _small() -> tuple[Bottle, list[Person]]:
    if not _KEPT:
        bottle = Bottle(64)
        _KEPT.append((bottle, bottle.party("host", "ann")))
    return _KEPT[0]


def calls_of(action: Callable[[], object], count: int = 100) -> float:
    """Functions called for one call of ``action``, on average: work, whatever the machine."""
    called = 0

    def look(_frame: FrameType, what: str, _argument: object) -> None:
        nonlocal called
        called += what in ("call", "c_call")

    sys.setprofile(look)
    try:
        for _ in range(count):
            action()
    finally:
        sys.setprofile(None)
    return called / count


def test_the_next_timer_of_a_full_room_is_little_work(party: tuple[Bottle, list[Person]]) -> None:
    for person in party[1][:2]:
        assert calls_of(person.session.next_timer) < 150


def test_a_voice_frame_is_little_work_at_both_ends(party: tuple[Bottle, list[Person]]) -> None:
    bottle, people = party
    speaker, listener = people[1].session, people[0].session
    road = next(link for member, link in listener.listeners() if member == people[1].number)
    payload = bytes(80)

    def frame() -> None:
        datagram = speaker.speak(0, 0, payload, bottle.now)
        assert datagram is not None
        assert listener.hear(people[1].number, road, WAY, datagram, bottle.now) is not None

    assert calls_of(frame) < 250


def test_all_timers_of_a_quiet_room_share_few_beats() -> None:
    bottle = Bottle(66)
    people = bottle.party("host", "ann", "bob", "cyd")
    bottle.run(10)
    for person in people:
        due = person.session.next_timer()
        assert due is not None
        assert due % 0.25 == pytest.approx(0, abs=1e-6) or due > bottle.now + 1
