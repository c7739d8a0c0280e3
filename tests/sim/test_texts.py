"""Stories of text and of roads that fail under it."""

from __future__ import annotations

import pytest

from tests.sim.bottle import Bottle
from tests.sim.people import Person
from tests.sim.words import delivered, joined, left, names_here, texts
from vc_core.errors import LocalProtocolError
from vc_core.events import Chatted, MemberMuted, PathChanged


@pytest.fixture
def bottle() -> Bottle:
    return Bottle(41)


def say(bottle: Bottle, person: Person, text: str, to: Person | None = None) -> bytes:
    """A text, and what follows."""
    id = person.session.say(text, to.number if to else None)
    bottle.pump(person)
    return id


def test_a_text_reaches_everybody_once_and_is_acknowledged(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    id = say(bottle, ann, "hello 👩\u200d🚀")
    bottle.run(1)
    assert texts(host) == texts(bob) == ["hello 👩\u200d🚀"]
    assert delivered(ann, id) == {host.number, bob.number}


def test_a_private_text_reaches_one(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    say(bottle, ann, "for you", to=bob)
    bottle.run(1)
    assert texts(host) == []
    assert [(e.text, e.private) for e in bob.of(Chatted)] == [("for you", True)]


def test_escapes_in_a_text_are_harmless(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    say(bottle, ann, "\x1b]0;title\x07a\x1b[31mb\u202ec\x00d")
    bottle.run(1)
    assert texts(host) == ["abcd"]


def test_text_waits_while_the_road_is_down_and_comes_in_order(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    bottle.cut("ann", "bob")
    ids = [say(bottle, ann, str(number)) for number in range(5)]
    bottle.run(20)
    assert texts(host) == ["0", "1", "2", "3", "4"]
    assert texts(bob) == []
    bottle.mend("ann", "bob")
    bottle.run(20)
    assert texts(bob) == ["0", "1", "2", "3", "4"]
    assert all(delivered(ann, id) == {host.number, bob.number} for id in ids)


@pytest.mark.parametrize("seconds", [0.5, 2, 5, 9, 40, 100])
def test_no_text_is_lost_or_doubled_however_long_a_pair_is_cut(seconds: float) -> None:
    bottle = Bottle(42)
    host, ann, bob = bottle.party("host", "ann", "bob")
    expected = []
    for number in range(12):
        if number == 3:
            bottle.cut("ann", "bob")
        if number == 8:
            bottle.mend("ann", "bob")
        say(bottle, ann, str(number))
        expected.append(str(number))
        bottle.run(seconds / 5 if 3 <= number < 8 else 0.01)
    bottle.run(40)
    assert texts(bob) == texts(host) == expected


def test_a_dead_path_is_shown_within_a_second_and_a_new_one_is_sought(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    bottle.run(2)
    bottle.cut("host", "ann")
    assert bottle.run(1.3, lambda: ann.of(PathChanged)[-1].rung == "none")
    bottle.run(4)
    bottle.mend("host", "ann")
    assert bottle.run(15, lambda: ann.of(PathChanged)[-1].rung == "direct")
    assert left(ann) == left(host) == []


def test_calls_do_not_notice_that_the_server_dies(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    bottle.stop_server()
    bottle.run(60)
    say(bottle, ann, "still here")
    bottle.run(1)
    assert texts(host) == texts(bob) == ["still here"]
    assert left(host) == []


def test_the_same_code_admits_again_when_the_server_is_back(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    code = bottle.code(host)
    bottle.stop_server()
    bottle.run(30)
    bottle.start_server()
    bottle.run(1)
    bottle.join("bob", code)
    assert bottle.run(5, lambda: names_here(ann) == {"host", "ann", "bob"})


def test_a_pair_whose_road_is_cut_for_good_still_stands_in_the_room(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    bottle.cut("ann", "bob")
    bottle.run(120)
    assert left(host) == left(ann) == left(bob) == []


def test_mute_marks_survive_a_new_link(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    ann.session.mute(True)
    bottle.pump(ann)
    bottle.run(1)
    bottle.cut("host", "ann")
    bottle.run(5)
    ann.session.mute(False)
    bottle.pump(ann)
    bottle.mend("host", "ann")
    bottle.run(15)
    assert [event.on for event in host.of(MemberMuted)] == [True, False]


def test_too_long_and_empty_texts_are_refused_at_once(bottle: Bottle) -> None:
    host, _ = bottle.party("host", "ann")
    for text in ("", "x" * (16 * 1024 + 1)):
        with pytest.raises(LocalProtocolError):
            host.session.say(text)


def test_a_changed_identity_is_blocked_until_the_person_accepts_it() -> None:
    bottle = Bottle(43)
    host = bottle.host()
    bottle.run(1)
    ann = bottle.join("ann", bottle.code(host))
    bottle.run(3)
    bob = bottle.join("bob", bottle.code(host), judge=lambda name, who: name == "ann")
    bottle.run(30)
    say(bottle, ann, "are you there?")
    say(bottle, bob, "no answer yet")
    bottle.run(5)
    assert "ann" in joined(bob) and texts(bob) == []
    assert texts(ann) == []
    ann_inside, bob_inside = ann.session._inside, bob.session._inside
    assert ann_inside is not None and bob_inside is not None
    assert ann.number not in bob_inside.keyring._others._by_member
    assert bob.number not in ann_inside.keyring._others._by_member
    bob.session.accept(ann.number, bottle.now)
    bottle.pump(bob)
    bottle.run(30)
    assert texts(bob) == ["are you there?"]
    assert texts(ann) == ["no answer yet"]
    assert ann.number in bob_inside.keyring._others._by_member


def test_a_host_whose_key_has_changed_is_waited_for_until_it_is_accepted() -> None:
    bottle = Bottle(44)
    host = bottle.host()
    bottle.run(1)
    ann = bottle.join("ann", bottle.code(host), judge=lambda name, who: name == "host")
    bottle.run(100)
    assert ann.living and not ann.ends
    inside, hosts = ann.session._inside, host.session._inside
    assert inside is not None and host.number not in inside.keyring._others._by_member
    assert hosts is not None and ann.number not in hosts.keyring._others._by_member, "given a key"
    ann.session.accept(host.number, bottle.now)
    bottle.pump(ann)
    bottle.run(30)
    assert ann.number in hosts.keyring._others._by_member
    say(bottle, ann, "now")
    bottle.run(1)
    assert texts(host) == ["now"]
