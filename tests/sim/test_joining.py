"""Stories of codes: who comes in, who does not, and what the host sees of it."""

from __future__ import annotations

import pytest

from tests.sim.bottle import Bottle
from tests.sim.network import Network
from tests.sim.people import End
from tests.sim.words import ending, joined, left, names_here, room_code
from vc_core.events import CodeEnded, CodeFailed, CodeReady, RoomOpened
from vc_core.heartbeat import ROAD_PATIENCE
from vc_core.invite import parse_invitation
from vc_core.wordlist import WORDS


def wrong(code: str, number: int) -> str:
    """The same nameplate with other words."""
    nameplate = code.split("-", maxsplit=1)[0]
    return "-".join([nameplate, *WORDS[3 * number : 3 * number + 3]])


@pytest.fixture
def bottle() -> Bottle:
    return Bottle(11)


def test_who_types_the_code_is_in_within_half_a_second(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    ann = bottle.join("ann", bottle.code(host))
    begun = bottle.now
    assert bottle.run(5, lambda: "ann" in joined(host) and bool(ann.of(RoomOpened)))
    assert bottle.now - begun < 0.5


def test_the_link_opens_the_same_room(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    bottle.join("ann", bottle.link(host))
    assert bottle.run(5, lambda: "ann" in joined(host))


def test_everybody_is_shown_to_everybody_with_one_room_code(bottle: Bottle) -> None:
    people = bottle.party("host", "ann", "bob", "cyd")
    bottle.run(3)
    for person in people:
        assert sorted([*joined(person), person.name]) == ["ann", "bob", "cyd", "host"]
    assert len({room_code(person) for person in people}) == 1
    assert room_code(people[0]) is not None


def test_a_wrong_code_is_answered_with_growing_delay_and_shown_to_the_host(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    delays = []
    for number in range(6):
        guest = bottle.join(f"guest{number}", wrong(bottle.code(host), number))
        begun = bottle.now
        assert bottle.run(60, lambda guest=guest: guest.ended)  # type: ignore[misc]
        assert ending(guest) == "code-wrong"
        delays.append(bottle.now - begun)
    assert [event.left for event in host.of(CodeFailed)] == [9, 8, 7, 6, 5, 4]
    for seconds, delay in zip((1, 2, 4, 8, 16, 30), delays, strict=True):
        assert seconds <= delay < seconds + 1


def test_ten_wrong_codes_burn_the_code_even_for_who_knows_it(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    code = bottle.code(host)
    for number in range(10):
        bottle.join(f"guest{number}", wrong(code, number))
    bottle.run(120)
    assert [event.left for event in host.of(CodeFailed)] == list(range(9, -1, -1))
    assert [event.reason for event in host.of(CodeEnded)] == ["burned"]
    late = bottle.join("late", code)
    bottle.run(5)
    assert ending(late) == "too-many-tries"


def test_never_more_than_ten_guesses_are_under_way(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    code = bottle.code(host)
    for number in range(30):
        bottle.join(f"guest{number}", wrong(code, number))
    bottle.run(120)
    assert len(host.of(CodeFailed)) == 10


def test_nine_wrong_codes_leave_the_door_open_for_the_right_one(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    for number in range(9):
        bottle.join(f"guest{number}", wrong(bottle.code(host), number))
    bottle.run(0.5)
    bottle.join("ann", bottle.code(host))
    assert bottle.run(5, lambda: "ann" in joined(host))


def test_a_code_that_was_never_given_is_wrong(bottle: Bottle) -> None:
    guest = bottle.join("ann", "9999-villa-flute-movie")
    bottle.run(5)
    assert ending(guest) == "code-wrong"


def test_a_code_expires_after_ten_minutes(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    bottle.run(601)
    assert [event.reason for event in host.of(CodeEnded)] == ["expired"]
    guest = bottle.join("ann", bottle.code(host))
    bottle.run(5)
    assert ending(guest) == "code-expired"


def test_a_code_for_one_guest_is_used_up_by_one(bottle: Bottle) -> None:
    host = bottle.host(guests=1)
    bottle.run(1)
    code = bottle.code(host)
    bottle.join("ann", code)
    bottle.run(3)
    late = bottle.join("bob", code)
    bottle.run(5)
    assert ending(late) == "code-used"
    assert names_here(host) == {"host", "ann"}


def test_two_who_prove_the_last_place_at_once_do_not_both_get_it(bottle: Bottle) -> None:
    host = bottle.host(guests=1)
    bottle.run(1)
    guests = [bottle.join(name, bottle.code(host)) for name in ("ann", "bob")]
    bottle.run(10)
    assert sorted(str(ending(guest)) for guest in guests) == ["None", "code-used"]


def test_a_new_invitation_ends_the_older_one(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    old = bottle.code(host)
    host.session.invite(bottle.now)
    bottle.pump(host)
    bottle.run(1)
    late = bottle.join("late", old)
    bottle.join("ann", bottle.code(host))
    bottle.run(5)
    assert ending(late) == "code-withdrawn"
    assert names_here(host) == {"host", "ann"}


def test_a_locked_room_takes_nobody_until_it_is_unlocked(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    host.session.lock(True, bottle.now)
    bottle.pump(host)
    guest = bottle.join("ann", bottle.code(host))
    bottle.run(5)
    assert ending(guest) == "room-locked"
    host.session.lock(False, bottle.now)
    bottle.pump(host)
    bottle.join("bob", bottle.code(host))
    assert bottle.run(5, lambda: names_here(host) == {"host", "bob"})


def test_a_name_that_is_taken_gets_a_number(bottle: Bottle) -> None:
    host, first = bottle.party("host", "ann")
    second = bottle.join("ann", bottle.code(host), key="ann again")
    bottle.run(3)
    assert joined(first) == ["host", "ann-2"]
    assert [event.name for event in second.of(RoomOpened)] == ["ann-2"]


def test_a_name_with_escapes_is_harmless_in_the_roster(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    bottle.join("\x1b[31man\u202en" + "x" * 200, bottle.code(host))
    bottle.run(3)
    assert joined(host) == ["ann" + "x" * 61]


def test_a_joiner_with_the_hosts_own_keys_is_turned_away(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    twin = bottle.join("twin", bottle.code(host), identity=host.identity)
    bottle.run(5)
    assert ending(twin) == "banned"
    assert names_here(host) == {"host"}


def test_a_restarted_process_takes_the_place_of_its_older_self(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    bottle.kill(ann)
    again = bottle.join("ann", bottle.code(host), identity=ann.identity, key="ann again")
    bottle.run(5)
    assert ("ann", "left") in left(bob)
    assert names_here(bob) == {"host", "ann", "bob"}
    assert [event.name for event in again.of(RoomOpened)] == ["ann"]


def test_a_link_to_another_host_is_noticed_before_anything_is_said(bottle: Bottle) -> None:
    host = bottle.host()
    other = bottle.host("other")
    bottle.run(1)
    link = parse_invitation(bottle.link(host))
    lie = parse_invitation(bottle.link(other))
    mixed = type(link)(**{**link.__dict__, "fingerprint": lie.fingerprint})
    session = type(host.session).join(
        mixed, bottle.identity(), "ann", bottle._kem, bottle.rng, bottle.now
    )
    ann = bottle._add("ann", session, bottle.identity())
    bottle.run(15)
    assert ending(ann) == "not-the-host"
    assert names_here(host) == {"host"}


def test_a_server_that_goes_away_ends_a_join(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    guest = bottle.join("ann", bottle.code(host))
    bottle.run(0.02)
    bottle.stop_server()
    assert ending(guest) == "no-signaling"


def test_no_code_is_shown_that_was_not_asked_for(bottle: Bottle) -> None:
    from vc_core.signals import Allocated

    host = bottle.host()
    bottle.run(1)
    bottle.deliver(host, Allocated("7777", 600))
    bottle.run(1)
    assert len(host.of(CodeReady)) == 1


def test_a_joiner_that_nothing_reaches_gives_up_after_twenty_seconds(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    bottle.cut("host", "ann")
    begun = bottle.now
    ann = bottle.join("ann", bottle.code(host))
    assert bottle.run(60, lambda: ann.ended)
    assert ending(ann) == "no-road"
    assert ROAD_PATIENCE <= bottle.now - begun < ROAD_PATIENCE + 2


@pytest.mark.parametrize("seconds", [30.0, 50.0])
def test_a_joiner_whose_stream_is_only_slow_comes_in(
    bottle: Bottle, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Packets come, so there is a road; a machine that computes slowly takes its time."""
    host = bottle.host()
    bottle.run(1)
    ready, opens = bottle.now + seconds, Network._try_stream

    def slowly(network: Network, end: End) -> None:
        bottle.clock.at(max(ready, bottle.now), lambda: opens(network, end))

    monkeypatch.setattr(Network, "_try_stream", slowly)
    ann = bottle.join("ann", bottle.code(host))
    assert bottle.run(seconds + 5, lambda: bottle._together([host, ann])), ann.events
    bottle.run(20)
    assert ann.living and host.session.room.roster.seat(ann.number) is not None
