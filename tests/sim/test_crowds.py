"""Stories of rooms that outgrow a mesh, and shrink again; the limit is four here."""

from __future__ import annotations

import pytest

from tests.sim.bottle import Bottle
from tests.sim.people import Person
from tests.sim.test_voice import Ears
from tests.sim.words import room_code, texts, warnings
from vc_core.courier import Courier
from vc_core.events import CodeReady, RoomCodeShown
from vc_core.ids import Rung, Way
from vc_core.keyring import RESTED
from vc_core.messages import SenderKey
from vc_core.path import Path, State
from vc_core.peer import Peer
from vc_core.wire import Record

RELAY = ("192.0.2.7:3478",)
NAMES = ("host", "ann", "bob", "cyd", "dan", "eve")


@pytest.fixture(autouse=True)
def small_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vc_core.room.MESH_LIMIT", 4)


def crowd(bottle: Bottle, *names: str, relay: bool = True, hosted: bool = False) -> list[Person]:
    """A party with a relay, a host first; ``hosted``: that has a forwarder of its own."""
    host = bottle.host(names[0], guests=20)
    assert bottle.run(5, lambda: bool(host.of(CodeReady)))
    assert host.session.forwarding is not None
    if hosted:
        host.session.forwarding.serve(("192.0.2.1:5000",), bytes(32), bottle.now)
    if relay:
        host.session.forwarding.use_relays((RELAY,), bottle.now, signs=False)
        bottle.pump(host)
    people = [host]
    for name in names[1:]:
        people.append(bottle.join(name, bottle.code(host)))
        assert bottle.run(15, lambda: bottle._together(people)), name
    bottle.run(4)
    return people


def peer_of(person: Person, other: Person) -> Peer:
    return person.session.room.peers[other.number]


def rungs(people: list[Person]) -> dict[str, str]:
    """How each pair sends, by the initials of both."""
    return {
        one.name[0] + other.name[0]: peer_of(one, other).ladder.rung
        for one in people
        for other in people
        if one is not other
    }


def test_in_a_small_room_every_pair_is_direct_and_voice_goes_one_by_one() -> None:
    bottle = Bottle(41)
    people = crowd(bottle, *NAMES[:4])
    assert set(rungs(people).values()) == {"direct"}
    ears = Ears(bottle)
    ears.say(people[1], b"hello")
    assert dict(ears.heard) == {name: [b"hello"] for name in ("host", "bob", "cyd")}
    assert bottle.network.spreads == {} and bottle.network.singles == {"ann": 3}


def test_who_comes_when_the_room_is_full_has_a_direct_pair_with_the_host_alone() -> None:
    bottle = Bottle(42)
    people = crowd(bottle, *NAMES)
    found = rungs(people)
    early = {"h", "a", "b", "c"}
    for pair, rung in found.items():
        direct = "h" in pair or set(pair) <= early
        assert rung == ("direct" if direct else "relayed"), pair
    assert peer_of(people[4], people[1]).ladder.reason_of(Rung.DIRECT) == "crowded"


def test_in_a_crowd_voice_goes_once_to_the_forwarder_and_everybody_hears_it_once() -> None:
    bottle = Bottle(43)
    people = crowd(bottle, *NAMES)
    for speaker in people:
        ears = Ears(bottle)
        bottle.network.spreads.clear()
        bottle.network.singles.clear()
        ears.say(speaker, b"hello")
        others = {person.name for person in people if person is not speaker}
        assert dict(ears.heard) == {name: [b"hello"] for name in others}
        assert bottle.network.spreads == {speaker.name: 1}
        assert bottle.network.singles == {}


def test_a_member_whom_the_forwarder_does_not_reach_hears_by_its_own_way() -> None:
    bottle = Bottle(44)
    people = crowd(bottle, *NAMES)
    ann, cyd = people[1], people[3]
    (number,) = ann.slots
    bottle.network.far_from.add((cyd.name, number))
    bottle.run(8)
    ears = Ears(bottle)
    ears.say(ann, b"hello")
    assert ears.heard["cyd"] == [b"hello"]
    assert bottle.network.singles == {"ann": 1}


def test_pairs_that_stood_before_the_room_was_a_crowd_stay() -> None:
    bottle = Bottle(45)
    people = crowd(bottle, *NAMES[:4])
    before = peer_of(people[1], people[2]).link
    people.append(bottle.join("dan", bottle.code(people[0])))
    assert bottle.run(15, lambda: bottle._together(people))
    bottle.run(30)
    assert peer_of(people[1], people[2]).link is before
    assert rungs(people)["ab"] == "direct"


def test_a_pair_that_dies_in_a_crowd_is_given_up_and_the_forwarder_carries() -> None:
    bottle = Bottle(46)
    people = crowd(bottle, *NAMES[:5])
    ann, bob = people[1], people[2]
    bottle.cut("ann", "bob")
    bottle.run(20)
    link = peer_of(ann, bob).link
    assert link is not None and link.pairs == []
    assert rungs(people)["ab"] == rungs(people)["ba"] == "relayed"
    bottle.mend("ann", "bob")
    bottle.run(90)
    assert rungs(people)["ab"] == "relayed"


def test_when_the_crowd_is_over_every_pair_looks_for_a_direct_way_again() -> None:
    bottle = Bottle(47)
    people = crowd(bottle, *NAMES)
    for gone in (people[1], people[2]):
        gone.session.leave(bottle.now)
        bottle.pump(gone)
    left = [people[0], *people[3:]]
    done = bottle.run(15, lambda: set(rungs(left).values()) == {"direct"})
    assert done, rungs(left)
    ears = Ears(bottle)
    bottle.network.spreads.clear()
    ears.say(people[5], b"hello")
    assert bottle.network.spreads == {}
    assert dict(ears.heard) == {name: [b"hello"] for name in ("host", "cyd", "dan")}


def test_no_voice_is_lost_while_the_room_grows_into_a_crowd_and_shrinks_again() -> None:
    bottle = Bottle(48)
    people = crowd(bottle, *NAMES[:4])
    ears = Ears(bottle)
    said: list[bytes] = []

    def speak(seconds: float) -> None:
        for _ in range(round(seconds / 0.3)):
            said.append(b"%d" % len(said))
            ears.say(people[1], said[-1])

    speak(1.5)
    dan = bottle.join("dan", bottle.code(people[0]))
    speak(6.0)
    assert bottle.network.spreads["ann"] > 0
    dan.session.leave(bottle.now)
    bottle.pump(dan)
    speak(3.0)
    for name in ("host", "bob", "cyd"):
        assert ears.heard[name] == said, name


def test_a_crowd_without_a_forwarder_is_a_mesh() -> None:
    bottle = Bottle(49)
    people = crowd(bottle, *NAMES, relay=False)
    assert set(rungs(people).values()) == {"direct"}
    ears = Ears(bottle)
    ears.say(people[5], b"hello")
    assert len(ears.heard) == 5 and bottle.network.spreads == {}


def test_who_does_not_reach_the_forwarder_finds_direct_pairs_in_a_crowd() -> None:
    bottle = Bottle(50)
    people = crowd(bottle, *NAMES[:5])
    (number,) = people[0].slots
    bottle.network.far_from.add(("eve", number))
    eve = bottle.join("eve", bottle.code(people[0]))
    people.append(eve)
    together = bottle.run(40, lambda: bottle._together(people))
    assert together, rungs(people)
    bottle.run(3)
    ears = Ears(bottle)
    ears.say(eve, b"hello")
    assert dict(ears.heard) == {p.name: [b"hello"] for p in people if p is not eve}
    people[1].session.say("hello eve")
    bottle.pump(people[1])
    bottle.run(2)
    assert texts(eve) == ["hello eve"]


def test_who_comes_with_many_others_costs_one_room_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vc_core.comparison.SMALL", 2)
    monkeypatch.setattr("vc_core.comparison.REST", 0.5)
    bottle = Bottle(52)
    people = crowd(bottle, "host", "ann")
    shown = len(people[1].of(RoomCodeShown))
    for name in ("bob", "cyd", "dan", "eve"):
        people.append(bottle.join(name, bottle.code(people[0])))
        bottle.run(0.4)
    assert bottle.run(15, lambda: bottle._together(people))
    bottle.run(5)
    assert len({room_code(person) for person in people}) == 1
    assert room_code(people[0]) is not None
    assert len(people[1].of(RoomCodeShown)) - shown == 1
    assert all(warnings(person) == [] for person in people)


def test_many_who_type_the_code_at_the_same_moment_all_come_in() -> None:
    bottle = Bottle(53)
    host = crowd(bottle, "host")[0]
    code = bottle.code(host)
    people = [host, *(bottle.join(f"guest{n}", code) for n in range(14))]
    assert bottle.run(10, lambda: all(person.living for person in people))
    assert bottle.run(10, lambda: bottle._together(people))
    bottle.run(4)
    assert len({room_code(person) for person in people}) == 1
    assert all(warnings(person) == [] for person in people)


def test_in_a_crowd_with_a_relay_the_host_carries_nothing_but_seldom_probes() -> None:
    bottle = Bottle(57)
    people = crowd(bottle, *NAMES, hosted=True)
    ann, late = people[1], people[4:]
    assert {peer_of(ann, other).ladder.rung for other in late} == {"relayed"}
    bottle.run(20)

    def hosted() -> list[Path]:
        links = [peer_of(ann, other).link for other in late]
        assert all(link is not None for link in links)
        paths = [(way, path) for link in links if link for way, path in link.paths.items()]
        return [path for way, path in paths if way.rung is Rung.HOSTED]

    before = [path._counter for path in hosted()]
    bottle.run(32)
    assert len(before) == len(late)
    for path, count in zip(hosted(), before, strict=True):
        assert path.state is State.ALIVE and 3 <= path._counter - count <= 5
    assert peer_of(ann, late[0]).link is not None
    (relay,) = [n for n, order in ann.opened.items() if order.rung is Rung.RELAYED]
    fell = bottle.now
    bottle.network.dead_forwarders.add(relay)
    ears = Ears(bottle)
    assert bottle.run(6, lambda: {peer_of(ann, o).ladder.rung for o in late} == {"hosted"})
    assert bottle.now - fell < 4.5, "as soon as three of its slow beats are missed"
    ears.say(ann, b"hello")
    assert dict(ears.heard) == {p.name: [b"hello"] for p in people if p is not ann}


def told_keys(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(from, to) of every sender key that is told from now on."""
    found: list[tuple[int, int]] = []
    send = Courier.send

    def counting(courier: Courier, peer: Peer, message: Record) -> bool:
        if isinstance(message, SenderKey):
            found.append((courier._room.number, peer.number))
        return send(courier, peer, message)

    monkeypatch.setattr(Courier, "send", counting)
    return found


def test_in_a_crowd_who_is_silent_tells_a_new_key_to_the_newcomer_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bottle = Bottle(54)
    people = crowd(bottle, *NAMES)
    talker, silent = people[1], {p.number for p in people if p is not people[1]}
    ears = Ears(bottle)
    ears.say(talker, b"before")
    bottle.run(2)
    told = told_keys(monkeypatch)
    people.append(bottle.join("fay", bottle.code(people[0])))
    assert bottle.run(15, lambda: bottle._together(people))
    bottle.run(1)
    fay = people[-1].number
    assert {to for sender, to in told if sender in silent} == {fay}
    assert {to for sender, to in told if sender == talker.number} == silent | {fay}
    ears.heard.clear()
    bottle.run(RESTED)
    early = silent | {talker.number}  # fay's own went with the handshakes
    pairs = {(one, other) for one in early for other in early | {fay} if one != other}
    assert {pair for pair in told if pair[0] != fay} == pairs
    told.clear()
    for person in people:
        ears.say(person, person.name.encode())
    assert told == [], "all was told before"
    names = [person.name.encode() for person in people]
    for person in people:
        assert ears.heard[person.name] == [one for one in names if one != person.name.encode()]


def test_first_words_of_who_was_silent_reach_the_newest_newcomer_too() -> None:
    for seed in range(6):
        bottle = Bottle(60 + seed)
        people = crowd(bottle, *NAMES)
        bottle.run(20)
        people.append(bottle.join("fay", bottle.code(people[0])))
        assert bottle.run(15, lambda bottle=bottle, people=people: bottle._together(people))  # type: ignore[misc]
        ears = Ears(bottle)
        for person in people:
            ears.say(person, b"hello")
        assert {name: len(heard) for name, heard in ears.heard.items()} == {
            person.name: len(people) - 1 for person in people
        }


def test_a_newcomer_to_a_crowd_opens_nothing_that_was_said_before() -> None:
    bottle = Bottle(55)
    people = crowd(bottle, *NAMES)
    ann = people[1]
    bottle.run(20)
    early = ann.session.speak(0, 0, b"early", bottle.now)
    bottle.run(20)
    people.append(bottle.join("fay", bottle.code(people[0])))
    assert bottle.run(15, lambda: bottle._together(people))
    late = ann.session.speak(0, 0, b"late", bottle.now)
    bottle.pump(ann)
    bottle.run(0.3)
    inside = people[-1].session._inside
    assert inside is not None and early is not None and late is not None
    assert inside.keyring._others.open(ann.number, early, bottle.now) is None
    found = inside.keyring._others.open(ann.number, late, bottle.now)
    assert found is not None and found.media.payload == b"late"


def test_whoever_is_kicked_from_a_crowd_opens_nothing_of_those_who_were_silent() -> None:
    bottle = Bottle(56)
    people = crowd(bottle, *NAMES)
    host, ann, eve = people[0], people[1], people[5]
    bottle.run(20)
    host.session.kick(eve.number, bottle.now)
    bottle.pump(host)
    bottle.run(2.1)
    ears = Ears(bottle)
    frame = ears.say(ann, b"secret")
    assert frame is not None
    inside = eve.session._inside
    assert inside is not None
    assert inside.keyring._others.open(ann.number, frame, bottle.now) is None
    assert dict(ears.heard) == {p.name: [b"secret"] for p in people if p not in (ann, eve)}


def test_in_a_quiet_crowd_nobody_sends_more_than_two_probes_a_second_for_each_other() -> None:
    bottle = Bottle(51)
    people = crowd(bottle, *NAMES)
    bottle.run(10)
    counters = {}
    for person in people:
        for peer in person.session.room.peers.values():
            assert peer.link is not None
            for way, path in peer.link.paths.items():
                assert path.state is State.ALIVE
                counters[person.name, peer.number, way] = path, path._counter
    bottle.run(20)
    for (name, number, way), (path, before) in counters.items():
        assert isinstance(way, Way)
        assert path._counter - before <= 21, (name, number, way)
