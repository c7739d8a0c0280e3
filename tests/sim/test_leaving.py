"""Stories of leaving: politely, by force, without a word, and coming back."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tests.sim.bottle import Bottle
from tests.sim.people import Person
from tests.sim.words import ending, joined, left, names_here, room_code, texts
from vc_core.courier import Courier
from vc_core.entry import SIGNERS, Action, follow, sign_entry
from vc_core.events import CodeEnded, CodeReady, MemberJoined
from vc_core.keys import Identity, hkdf
from vc_core.mailboxes import LABEL_MAILBOX_KEY, mailbox_of
from vc_core.meet import seal_removal
from vc_core.messages import MEET, Carry, Parcel
from vc_core.peer import Peer
from vc_core.seal import seal_box
from vc_core.signals import Dropped


@pytest.fixture
def bottle() -> Bottle:
    return Bottle(12)


def act(bottle: Bottle, person: Person, what: str, *arguments: object) -> None:
    """A verb of a session, and what follows from it."""
    getattr(person.session, what)(*arguments)
    bottle.pump(person)


def test_a_guest_that_leaves_is_gone_at_once_for_everybody(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    act(bottle, ann, "leave", bottle.now)
    bottle.run(0.5)
    assert left(host) == left(bob) == [("ann", "left")]
    assert ending(ann) == "left"


def test_the_host_that_leaves_its_only_guest_ends_the_room(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    act(bottle, host, "leave", bottle.now)
    bottle.run(0.5)
    assert [ending(p) for p in (host, ann)] == ["left", "host-left"]


def test_who_is_kicked_is_told_and_cannot_come_back_with_its_keys(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    code = bottle.code(host)
    act(bottle, host, "kick", ann.number, bottle.now)
    bottle.run(1)
    assert ending(ann) == "kicked"
    assert left(bob) == [("ann", "kicked")]
    assert [event.reason for event in host.of(CodeEnded)] == ["withdrawn"]
    with_old_code = bottle.join("ann", code, key="old code")
    act(bottle, host, "invite", bottle.now)
    bottle.run(1)
    banned = bottle.join("ann", bottle.code(host), identity=ann.identity, key="banned")
    bottle.run(5)
    assert ending(with_old_code) == "code-withdrawn"
    assert ending(banned) == "banned"
    assert names_here(host) == {"host", "bob"}


def test_a_code_that_a_kick_has_burned_admits_nobody_who_was_proving_it(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    late = bottle.join("late", bottle.code(host))
    bottle.run(0.12)
    act(bottle, host, "kick", ann.number, bottle.now)
    act(bottle, host, "invite", bottle.now)
    bottle.run(10)
    assert len(host.of(CodeReady)) == 2
    assert ending(late) == "code-used"
    assert names_here(host) == {"host"}


@pytest.mark.parametrize("seed", range(6))
def test_who_is_killed_is_gone_after_ten_to_twelve_seconds(seed: int) -> None:
    bottle = Bottle(seed)
    host, ann, bob = bottle.party("host", "ann", "bob")
    bottle.run(3)
    bottle.kill(ann)
    death = bottle.now
    for person in (host, bob):
        assert bottle.run(15, lambda person=person: bool(left(person)))  # type: ignore[misc]
        assert 9.7 <= bottle.now - death <= 12
        assert left(person) == [("ann", "vanished")]


def test_without_deputies_a_killed_host_takes_the_room_with_it_after_a_minute(
    bottle: Bottle,
) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    act(bottle, host, "deputies", (), bottle.now)
    bottle.run(3)
    bottle.kill(host)
    death = bottle.now
    assert bottle.run(15, lambda: bool(left(ann)) and bool(left(bob)))
    assert 9.5 <= bottle.now - death <= 12
    assert left(ann) == [("host", "vanished")]
    assert bottle.run(70, lambda: ann.ended and bob.ended)
    assert 57 <= bottle.now - death <= 63
    assert ending(ann) == ending(bob) == "host-lost"


def ordered(bottle: Bottle, *, host_smaller: bool) -> tuple[Identity, Identity]:
    """(host's, guest's) keys in the wanted order."""
    one, other = sorted((bottle.identity(), bottle.identity()), key=lambda i: i.public.sign)
    return (one, other) if host_smaller else (other, one)


def away_and_back(bottle: Bottle, *, host_smaller: bool, removal: bool) -> list[Person]:
    """Ann loses everything for 20 s; meanwhile cyd may be kicked."""
    hosts, anns = ordered(bottle, host_smaller=host_smaller)
    host = bottle.host(identity=hosts)
    bottle.run(1)
    ann = bottle.join("ann", bottle.code(host), identity=anns)
    bottle.run(2)
    bob = bottle.join("bob", bottle.code(host))
    bottle.run(2)
    cyd = bottle.join("cyd", bottle.code(host))
    bottle.run(5)
    bottle.meddle = lambda person, signal: [] if person is ann else [signal]
    for name in ("host", "bob", "cyd"):
        bottle.cut("ann", name)
    bottle.run(15)
    assert ("ann", "vanished") in left(host)
    assert ("ann", "vanished") in left(bob)
    if removal:
        act(bottle, host, "kick", cyd.number, bottle.now)
    bottle.run(5)
    bottle.meddle = None
    for name in ("host", "bob", "cyd"):
        bottle.mend("ann", name)
    return [host, ann, bob]


@pytest.mark.parametrize("away", [1, 12])
@pytest.mark.parametrize("host_smaller", [True, False])
def test_who_is_kicked_while_it_hears_nobody_is_told_when_it_is_back(
    host_smaller: bool, away: float
) -> None:
    bottle = Bottle(22)
    hosts, anns = ordered(bottle, host_smaller=host_smaller)
    host = bottle.host(identity=hosts)
    bottle.run(1)
    cyd = bottle.join("cyd", bottle.code(host))
    bottle.run(2)
    ann = bottle.join("ann", bottle.code(host), identity=anns)
    bottle.run(5)
    bottle.meddle = lambda person, signal: [] if person is ann else [signal]
    for name in ("host", "cyd"):
        bottle.cut("ann", name)
    bottle.run(away)
    act(bottle, host, "lock", True, bottle.now)  # an entry that she never sees
    act(bottle, host, "kick", ann.number, bottle.now)
    bottle.run(8)  # nothing that was said then is still under way
    assert not ann.ended
    bottle.meddle = None
    for name in ("host", "cyd"):
        bottle.mend("ann", name)
    bottle.run(6)
    assert ann.ended and ending(ann) == "kicked"
    assert names_here(host) == names_here(cyd) == {"host", "cyd"}


def test_who_is_kicked_as_soon_as_it_has_come_is_told_where_it_listens(bottle: Bottle) -> None:
    """The room secret of its welcome is younger than what it would surely have learned."""
    host, ann = bottle.party("host", "ann")
    act(bottle, host, "kick", ann.number, bottle.now)
    act(bottle, host, "invite", bottle.now)
    bottle.run(0.5)
    cyd = bottle.join("cyd", bottle.code(host))
    assert bottle.run(2, lambda: bool(joined(cyd)))
    bottle.meddle = lambda person, signal: [] if person is cyd else [signal]
    bottle.cut("host", "cyd")
    bottle.run(0.2)
    act(bottle, host, "kick", cyd.number, bottle.now)
    bottle.run(3)  # nothing that was said then is still under way
    assert not cyd.ended
    bottle.meddle = None
    bottle.run(5)
    assert cyd.ended and ending(cyd) == "kicked"


@pytest.mark.parametrize("away", [1, 15])
@pytest.mark.parametrize("later", [0.5, 11])
def test_who_is_kicked_by_a_host_of_whom_it_has_not_heard_is_told_when_it_is_back(
    away: float, later: float
) -> None:
    """Cyd is cut off; then the host dies, ann takes over, and may have missed her or not."""
    bottle = Bottle(23)
    host, ann, bob, cyd = bottle.party("host", "ann", "bob", "cyd")
    bottle.meddle = lambda person, signal: [] if person is cyd else [signal]
    for name in ("host", "ann", "bob"):
        bottle.cut("cyd", name)
    bottle.run(away)
    bottle.kill(host)
    assert bottle.run(15, lambda: ann.session.room.hosting)
    bottle.run(later)
    act(bottle, ann, "kick", cyd.number, bottle.now)
    bottle.run(8)  # nothing that was said then is still under way
    assert not cyd.ended
    bottle.meddle = None
    for name in ("ann", "bob"):
        bottle.mend("cyd", name)
    bottle.run(6)
    assert cyd.ended and ending(cyd) == "kicked"
    assert names_here(ann) == names_here(bob)


def dark(bottle: Bottle, one: Person, *others: Person) -> None:
    """Nothing of theirs reaches it, nor anything of the server."""
    bottle.meddle = lambda person, signal: [] if person is one else [signal]
    for other in others:
        bottle.cut(one.name, other.name)


def light(bottle: Bottle, one: Person, *others: Person) -> None:
    """It is heard again."""
    bottle.meddle = None
    for other in others:
        bottle.mend(one.name, other.name)


@pytest.mark.parametrize("later", [0.2, 5, 30])
def test_who_was_kicked_in_the_dark_by_a_host_that_is_gone_is_told_by_the_next_one(
    later: float,
) -> None:
    bottle = Bottle(24)
    host, ann, bob, cyd = bottle.party("host", "ann", "bob", "cyd")
    dark(bottle, cyd, host, ann, bob)
    bottle.run(1)
    act(bottle, host, "kick", cyd.number, bottle.now)
    bottle.run(1)
    bottle.kill(host)
    assert bottle.run(15, lambda: ann.session.room.hosting)
    bottle.run(later)
    light(bottle, cyd, ann, bob)
    bottle.run(6)
    assert cyd.ended and ending(cyd) == "kicked"
    assert names_here(ann) == names_here(bob) == {"ann", "bob"}


def test_who_was_kicked_is_told_by_a_host_that_it_does_not_know(bottle: Bottle) -> None:
    """Ann came when cyd was in the dark, and bob, who knows both, has left."""
    host, bob, cyd = bottle.party("host", "bob", "cyd")
    dark(bottle, cyd, host, bob)
    ann = bottle.join("ann", bottle.code(host))
    bottle.cut("cyd", "ann")
    assert bottle.run(3, lambda: bool(joined(ann)))
    act(bottle, host, "kick", cyd.number, bottle.now)
    act(bottle, bob, "leave", bottle.now)
    bottle.run(1)
    bottle.kill(host)
    assert bottle.run(15, lambda: ann.session.room.hosting)
    assert ann.number not in cyd.session.room.peers
    bottle.meddle = None
    bottle.run(6)
    assert cyd.ended and ending(cyd) == "kicked"


def without_link(bottle: Bottle, monkeypatch: pytest.MonkeyPatch) -> list[Person]:
    """A room in which nothing has ever passed between ann and cyd."""
    forward = Courier.forward

    def passed_on(self: Courier, sender: Peer, carry: Carry, now: float) -> None:
        receiver = self._room.peers[carry.member]  # type: ignore[index]
        if {sender.name, receiver.name} != {"ann", "cyd"}:
            forward(self, sender, carry, now)

    monkeypatch.setattr(Courier, "forward", passed_on)
    people = bottle.party("host", "ann", "bob")
    bottle.cut("ann", "cyd")
    people.append(bottle.join("cyd", bottle.code(people[0])))
    bottle.run(6)
    return people


def test_who_has_no_link_with_its_new_host_hears_of_its_removal_by_another_member(
    bottle: Bottle, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, ann, bob, cyd = without_link(bottle, monkeypatch)
    bottle.stop_server()
    bottle.kill(host)
    assert bottle.run(15, lambda: ann.session.room.hosting)
    bottle.run(1)
    act(bottle, ann, "kick", cyd.number, bottle.now)
    bottle.run(0.5)
    assert ann.session.room.peers.keys() == {host.number, bob.number}
    assert cyd.ended and ending(cyd) == "kicked"


def test_a_removal_that_another_room_or_a_guest_has_signed_removes_nobody(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    other = Bottle(25).party("elsewhere", "x", "y")[0]
    room = bob.session.room
    entry = host.session.room.roster.entry
    kick = follow(entry, Action.KICK, bob.number)
    by_guest = replace(kick, term=entry.term + SIGNERS, signer=ann.number)
    for identity, claim in (
        (other.identity, kick),
        (ann.identity, kick),
        (ann.identity, by_guest),  # she is a deputy, and bob hears his host
        (host.identity, replace(kick, room=other.session.room.id)),
        (host.identity, follow(entry, Action.KICK, ann.number)),
        (host.identity, follow(entry, Action.ABSENT, bob.number)),
    ):
        signed = sign_entry(identity, claim).write_fields()
        removal = seal_removal(signed, bob.identity.dh.public, room.id, bottle.rng)
        parcel = Parcel(host.number, bob.number, MEET.write(removal)).write_fields()
        mailbox = mailbox_of(room.secrets[0])
        box = seal_box(hkdf(room.secrets[0], LABEL_MAILBOX_KEY), parcel, mailbox, bottle.rng)
        bottle.deliver(bob, Dropped(mailbox, box))
    bottle.run(5)
    assert bob.living and names_here(bob) == {"host", "ann", "bob"}


@pytest.mark.parametrize("host_smaller", [True, False])
@pytest.mark.parametrize("removal", [True, False])
def test_who_was_absent_returns_without_a_code(host_smaller: bool, removal: bool) -> None:
    bottle = Bottle(21)
    host, ann, bob = away_and_back(bottle, host_smaller=host_smaller, removal=removal)
    assert bottle.run(20, lambda: ann.number in {p.number for p in host.session.room.present()})
    bottle.run(15)
    for person in (host, bob):
        assert joined(person).count("ann") == 2
    assert len({p.session.room.roster.hash for p in (host, ann, bob)}) == 1
    assert len({room_code(p) for p in (host, ann, bob)}) == 1
    act(bottle, ann, "say", "back again")
    bottle.run(3)
    assert texts(host)[-1:] == texts(bob)[-1:] == ["back again"]


@pytest.mark.parametrize("host_smaller", [True, False])
def test_who_was_absent_returns_on_a_new_road_by_the_mailbox(host_smaller: bool) -> None:
    """Its old road never comes back; only the signaling server does."""
    bottle = Bottle(22)
    host, ann, _ = away_and_back(bottle, host_smaller=host_smaller, removal=True)
    bottle.cut("ann", "host")
    assert bottle.run(30, lambda: joined(host).count("ann") == 2)
    bottle.run(3)
    assert host.session.room.roster.hash == ann.session.room.roster.hash


def test_a_host_that_was_dark_for_a_while_is_shown_as_back(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    bottle.stop_server()
    bottle.cut("host", "ann")
    bottle.run(20)
    assert left(ann) == [("host", "vanished")]
    bottle.mend("host", "ann")
    bottle.run(20)
    assert joined(ann) == ["host", "host"]
    assert joined(host) == ["ann", "ann"]
    assert host.session.room.roster.hash == ann.session.room.roster.hash


def knocks(bottle: Bottle, *, host_smaller: bool, loss: float) -> tuple[Person, Person]:
    """A host, and ann who is on her way in through bad weather."""
    hosts, anns = ordered(bottle, host_smaller=host_smaller)
    host = bottle.host(identity=hosts)
    bottle.run(1)
    bottle.weather.loss = bottle.weather.stream_loss = loss
    bottle.weather.delay = (0.001, 0.05)
    return host, bottle.join("ann", bottle.code(host), identity=anns)


def seconds_from_the_welcome() -> list[float]:
    """Moments from the entry that adds a guest until long after QUIC stands."""
    return [step * 0.02 for step in range(40)] + [1.0, 3.0, 9.0]


@pytest.mark.parametrize("loss", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("host_smaller", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_kick_reaches_its_guest_at_whatever_moment_of_the_making_of_a_road(
    host_smaller: bool, loss: float, seed: int
) -> None:
    for moment in seconds_from_the_welcome():
        bottle = Bottle(seed)
        host, ann = knocks(bottle, host_smaller=host_smaller, loss=loss)
        assert bottle.run(5, lambda host=host: bool(joined(host)))  # type: ignore[misc]
        bottle.run(moment)
        act(bottle, host, "kick", host.of(MemberJoined)[0].member, bottle.now)
        bottle.run(3)
        assert ann.ended and ending(ann) == "kicked", f"{moment} s after the welcome"


@pytest.mark.parametrize("loss", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("leaver", ["host", "ann"])
def test_a_good_bye_arrives_at_whatever_moment_of_the_making_of_a_road(
    leaver: str, loss: float
) -> None:
    for moment in seconds_from_the_welcome():
        bottle = Bottle(5)
        host, ann = knocks(bottle, host_smaller=loss > 0.5, loss=loss)
        assert bottle.run(5, lambda ann=ann: bool(joined(ann)))  # type: ignore[misc]
        bottle.run(moment)
        act(bottle, bottle.people[leaver], "leave", bottle.now)
        bottle.run(3)
        if leaver == "host":
            assert ann.ended and ending(ann) == "host-left", f"{moment} s after the welcome"
        else:
            assert left(host) == [("ann", "left")], f"{moment} s after the welcome"


def test_a_link_that_lives_again_is_kept_when_the_greeting_of_its_darkness_is_answered(
    bottle: Bottle,
) -> None:
    people = bottle.party("host", "ann")

    def peer(one: Person) -> Peer:
        return one.session.room.peers[people[one is people[0]].number]

    before = [peer(one).link for one in people]
    (greeter,) = (one for one in people if peer(one).greets)
    assert greeter.session._inside is not None
    greeter.session._inside.matchmaker._greet(peer(greeter), bottle.now)
    assert peer(greeter).greeting is not None
    bottle.pump(greeter)
    assert bottle.run(5.0, lambda: peer(greeter).greeting is None)
    bottle.run(1.0)
    assert [peer(one).link for one in people] == before


def test_greetings_that_nobody_answers_are_given_up_after_five_seconds_and_then_later(
    bottle: Bottle,
) -> None:
    hosts, anns = ordered(bottle, host_smaller=True)
    host = bottle.host(identity=hosts)
    bottle.run(1)
    ann = bottle.join("ann", bottle.code(host), identity=anns)
    assert bottle.run(10, lambda: names_here(host) == {"host", "ann"} and ann.living)
    bottle.run(3)
    bottle.kill(ann)
    peer = host.session.room.peers[ann.number]
    begun = []
    for _ in range(4):
        before = peer.greetings
        assert bottle.run(20, lambda before=before: peer.greetings > before)  # type: ignore[misc]
        begun.append(bottle.now)
    pauses = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert pauses == pytest.approx([5.0, 7.5, 11.25], abs=0.6)
