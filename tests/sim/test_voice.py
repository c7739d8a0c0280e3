"""Stories of voice: who opens what, keys that change, and silence when it must be."""

from __future__ import annotations

from collections import defaultdict

import pytest

from client.net.kem import MlKem
from tests.sim.bottle import Bottle
from tests.sim.people import Person
from vc_core.attest import INTERVAL, LONGEST_LOOK, PATIENCE
from vc_core.events import PathChanged, Warned
from vc_core.ids import Rung, Way
from vc_core.link import Link
from vc_core.messages import SenderKey
from vc_core.peer import Peer
from vc_core.senderkeys import Opened
from vc_core.wire import Record

WAY = Way(Rung.DIRECT, 1)


class Ears:
    """Who opened whose frames."""

    def __init__(self, bottle: Bottle) -> None:
        self.bottle = bottle
        self.heard: dict[str, list[bytes]] = defaultdict(list)
        bottle.network.on_voice = self._take

    def _take(self, person: Person, opened: Opened) -> None:
        self.heard[person.name].append(opened.media.payload)

    def say(self, person: Person, payload: bytes) -> bytes | None:
        """One frame to everybody who listens."""
        bottle, session = self.bottle, person.session
        datagram = session.speak(0, 0, payload, bottle.now)
        if datagram is not None:
            bottle.network.speak(person, datagram)
        bottle.run(0.3)
        return datagram


@pytest.fixture
def bottle() -> Bottle:
    return Bottle(31)


def test_everybody_present_opens_a_frame(bottle: Bottle) -> None:
    people = bottle.party("host", "ann", "bob", "cyd")
    ears = Ears(bottle)
    ears.say(people[1], b"hello")
    assert dict(ears.heard) == {name: [b"hello"] for name in ("host", "bob", "cyd")}


def test_the_same_with_mlkem_itself() -> None:
    bottle = Bottle(32, MlKem())
    people = bottle.party("host", "ann", "bob")
    ears = Ears(bottle)
    ears.say(people[2], b"hello")
    assert dict(ears.heard) == {name: [b"hello"] for name in ("host", "ann")}


def test_who_was_kicked_opens_nothing_of_what_is_said_afterwards(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    ears = Ears(bottle)
    link = next(iter(ann.ends.values())).link
    host.session.kick(ann.number, bottle.now)
    bottle.pump(host)
    bottle.run(2.1)
    frame = ears.say(bob, b"secret")
    assert frame is not None
    inside = ann.session._inside
    assert inside is not None
    assert all(inside.keyring._others.open(m, frame, bottle.now) is None for m in (0, 2))  # type: ignore[arg-type]
    assert ann.session.hear(bob.number, link, WAY, frame, bottle.now) is None
    assert dict(ears.heard) == {"host": [b"secret"]}


def test_a_frame_of_somebody_kicked_opens_nowhere(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    frame = ann.session.speak(0, 0, b"late", bottle.now)
    assert frame is not None
    to_ann = {end.owner.name: end.partner for end in ann.ends.values() if end.partner}
    roads = [end for end in to_ann.values() if end is not None]
    host.session.kick(ann.number, bottle.now)
    bottle.pump(host)
    bottle.run(0.2)
    for person in (host, bob):
        links = [end.link for end in roads if end.owner is person]
        assert all(
            person.session.hear(ann.number, n, WAY, frame, bottle.now) is None for n in links
        )


def test_a_newcomer_opens_nothing_that_was_said_before(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    early = ann.session.speak(0, 0, b"early", bottle.now)
    bob = bottle.join("bob", bottle.code(host))
    bottle.run(5)
    assert early is not None
    link = next(end.link for end in bob.ends.values() if end.member == ann.number)
    assert bob.session.hear(ann.number, link, WAY, early, bottle.now) is None


def seconds_until_new_key(bottle: Bottle, speaker: Person) -> float:
    """From the next entry until ``speaker`` seals for it."""
    inside = speaker.session._inside
    assert inside is not None
    own, entry = inside.keyring.own, speaker.session.room.roster.position
    assert bottle.run(10, lambda: speaker.session.room.roster.position != entry)
    begun = bottle.now
    newest = speaker.session.room.roster.position
    assert bottle.run(
        5, lambda: own.current is not None and own.current.announcement.position == newest
    )
    return bottle.now - begun


@pytest.mark.parametrize("silence", [0.9, 3.0, 8.0])
def test_a_newcomer_does_not_wait_for_whoever_is_gone_without_a_word(
    bottle: Bottle, silence: float
) -> None:
    host, _ann, bob = bottle.party("host", "ann", "bob")
    bottle.run(2)
    bottle.kill(bob)
    bottle.run(silence)
    bottle.join("cyd", bottle.code(host))
    assert seconds_until_new_key(bottle, host) < 0.2
    assert len(host.session.room.roster.present()) == 4, "bob is not missed yet"


def test_a_member_that_dies_while_a_key_waits_for_it_is_waited_for_no_longer_than_its_silence(
    bottle: Bottle,
) -> None:
    host, _ann, bob = bottle.party("host", "ann", "bob")
    bottle.run(2)
    bottle.join("cyd", bottle.code(host))
    bottle.kill(bob)
    assert seconds_until_new_key(bottle, host) < 0.85


def test_a_new_key_still_waits_for_those_who_hear_us(bottle: Bottle) -> None:
    host, *_ = bottle.party("host", "ann", "bob")
    bottle.run(2)
    bottle.weather.delay = (0.15, 0.2)
    bottle.join("cyd", bottle.code(host))
    assert 0.3 <= seconds_until_new_key(bottle, host) < 0.9


def test_a_frame_counts_once_and_only_from_its_senders_own_road(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    frame = ann.session.speak(0, 0, b"once", bottle.now)
    assert frame is not None
    links = {end.member: end.link for end in host.ends.values()}
    wrong = host.session.hear(bob.number, links[bob.number], WAY, frame, bottle.now)
    first = host.session.hear(ann.number, links[ann.number], WAY, frame, bottle.now)
    second = host.session.hear(ann.number, links[ann.number], WAY, frame, bottle.now)
    assert (wrong, first is not None, second) == (None, True, None)


def test_without_deputies_a_guest_falls_silent_after_ten_seconds(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    host.session.deputies((), bottle.now)
    bottle.pump(host)
    ears = Ears(bottle)
    bottle.run(3)
    bottle.stop_server()
    bottle.kill(host)
    bottle.run(7)
    assert ears.say(ann, b"still here") is not None
    bottle.run(4)
    assert ears.say(ann, b"frozen") is None
    assert ears.heard["bob"] == [b"still here"]
    assert bob.living


def test_heartbeats_of_a_roster_that_we_do_not_have_prove_nothing(bottle: Bottle) -> None:
    """Otherwise whoever keeps an entry from us could hide a kick."""
    host, ann, bob = bottle.party("host", "ann", "bob")
    inside = ann.session._inside
    assert inside is not None
    inside.registrar.receive = lambda peer, message, now: None  # type: ignore[method-assign]
    host.session.kick(bob.number, bottle.now)
    bottle.pump(host)
    bottle.run(8)
    assert ann.session.speak(0, 0, b"not yet known", bottle.now) is not None
    bottle.run(4)
    assert ann.session.speak(0, 0, b"frozen", bottle.now) is None


def test_the_key_changes_with_each_entry_and_each_five_minutes(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    inside = ann.session._inside
    assert inside is not None

    def generation() -> int:
        assert inside is not None and inside.keyring.own.current is not None
        return inside.keyring.own.current.announcement.generation

    before = generation()
    host.session.lock(True, bottle.now)
    bottle.pump(host)
    bottle.run(1.5)
    assert generation() == before + 1
    bottle.run(302)
    assert generation() == before + 2


def test_a_key_that_is_over_is_not_taken_again(bottle: Bottle) -> None:
    """Its replay window would begin anew."""
    host, ann = bottle.party("host", "ann")
    inside = ann.session._inside
    assert inside is not None and inside.keyring.own.current is not None
    old: SenderKey = inside.keyring.own.current.announcement
    frame = ann.session.speak(0, 0, b"old", bottle.now)
    link = next(end.link for end in host.ends.values())
    assert frame is not None
    assert host.session.hear(ann.number, link, WAY, frame, bottle.now) is not None
    host.session.lock(True, bottle.now)
    bottle.pump(host)
    bottle.run(15)
    assert host.session.hear(ann.number, link, WAY, frame, bottle.now) is None
    ann.session._courier.send(next(iter(ann.session.room.peers.values())), old)
    bottle.pump(ann)
    bottle.run(1)
    assert host.session.hear(ann.number, link, WAY, frame, bottle.now) is None


def test_entries_in_quick_succession_do_not_keep_an_old_key_in_use(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    bottle.cut("ann", "bob")  # bob acknowledges nothing
    before = host.session.room.roster.position.n
    position = host.session.room.roster.position
    for turn in range(10):
        host.session.lock(turn % 2 == 0, bottle.now)
        bottle.pump(host)
        bottle.run(0.4)
        inside = ann.session._inside
        assert inside is not None and inside.keyring.own.current is not None
        position = inside.keyring.own.current.announcement.position
    assert position.n > before + 5
    assert bob.living


def test_a_key_whose_letter_was_lost_is_said_again_on_the_stream(bottle: Bottle) -> None:
    host = bottle.host()
    bottle.run(1)
    courier = host.session._courier
    original = courier.send_letter

    def lossy(peer: Peer, link: Link, message: Record) -> bool:
        return isinstance(message, SenderKey) or original(peer, link, message)

    courier.send_letter = lossy  # type: ignore[method-assign]
    bottle.join("ann", bottle.code(host))
    bottle.run(5)
    ears = Ears(bottle)
    ears.say(host, b"hello")
    assert dict(ears.heard) == {"ann": [b"hello"]}


def test_a_new_link_brings_a_new_key(bottle: Bottle) -> None:
    """Who was long in the dark could not follow the counters of the old one."""
    host, ann = bottle.party("host", "ann")
    ears = Ears(bottle)
    ears.say(host, b"before")
    bottle.cut("host", "ann")
    for _ in range(6000):
        host.session.speak(0, 0, b"into the dark", bottle.now)
    bottle.run(8)
    bottle.mend("host", "ann")
    bottle.run(15)
    ears.say(host, b"and back")
    assert dict(ears.heard) == {"ann": [b"before", b"and back"]}
    assert ann.living


def talk(bottle: Bottle, speaker: Person, seconds: float) -> None:
    """A frame each 20 ms, however the others fare."""
    for number in range(round(seconds / 0.02)):
        datagram = speaker.session.speak(0, number * 960, b"words", bottle.now)
        bottle.pump(speaker)
        if datagram is not None:
            bottle.network.speak(speaker, datagram)
        bottle.run(0.02)


@pytest.mark.parametrize("sleep", [1.2, 2.2, 3.0, 6.0])
def test_a_listener_that_did_not_run_takes_nothing_for_forged(sleep: float) -> None:
    """What signs the frames that it heard before waits unread in its own socket."""
    for seed in range(8):
        bottle = Bottle(seed)
        host, ann = bottle.party("host", "ann")
        talk(bottle, host, 4.0 + seed * 0.07)
        bottle.sleep(ann, sleep)
        talk(bottle, host, sleep + 8.0)
        assert [event.word for event in ann.of(Warned)] == []
        assert ann.living


def test_who_did_not_run_for_a_while_does_not_take_it_for_the_silence_of_others() -> None:
    """All that the others sent meanwhile waits unread in its own socket."""
    for seed in range(12):
        bottle = Bottle(seed)
        people = bottle.party("host", "ann", "bob", "cyd")
        ann = people[1]
        bottle.run(8 + seed * 0.07)
        links = {peer.number: peer.link for peer in ann.session.room.peers.values()}
        told = len(ann.of(PathChanged))
        bottle.sleep(ann, 2.8)
        bottle.run(12)
        assert {event.rung for event in ann.of(PathChanged)[told:]} <= {"direct"}
        assert {peer.number: peer.link for peer in ann.session.room.peers.values()} == links


def test_voice_that_its_sender_never_signs_is_told_within_its_bound(bottle: Bottle) -> None:
    """Two seconds, and the look that finds them over."""
    host, ann = bottle.party("host", "ann")
    talk(bottle, host, 4.0)
    assert ann.of(Warned) == []
    inside = host.session._inside
    assert inside is not None
    inside.keyring._attest = lambda attests, to=None: None  # type: ignore[method-assign]
    talk(bottle, host, PATIENCE - INTERVAL - 0.1)
    assert ann.of(Warned) == []
    talk(bottle, host, INTERVAL + LONGEST_LOOK + 0.1)
    assert [(event.word, event.member) for event in ann.of(Warned)] == [
        ("voice-forged", host.number)
    ]
