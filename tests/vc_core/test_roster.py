"""The roster: what may follow what, who may sign it, and what a fork is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.vectors.seeded import seeded
from vc_core.entry import Action, Entry, Seat, Signed, follow, room_name
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.ids import FOUNDER, Member
from vc_core.keys import Identity
from vc_core.messages import Position
from vc_core.roster import Forked, Missing, Place, Roster

RNG = seeded("roster")
HOST, ANN, BOB = (Identity.generate(RNG) for _ in range(3))
NONCE = bytes(range(32))


def seat(number: int, identity: Identity, name: str) -> Seat:
    return Seat.of(Member(number), identity.public, name)


def founded() -> Roster:
    return Roster.found(HOST, "host", NONCE)


def grown() -> Roster:
    """Host, ann and bob."""
    roster = founded()
    roster.extend(HOST, Action.ADD, Member(1), seat(1, ANN, "ann"))
    roster.extend(HOST, Action.ADD, Member(2), seat(2, BOB, "bob"))
    return roster


def guest_of(roster: Roster) -> Roster:
    """The view of somebody who is welcomed now."""
    return Roster.welcome(roster.signed, HOST.public.sign)


def signed_by(identity: Identity, entry: Entry) -> bytes:
    data = entry.write_fields()
    return Signed(data, identity.sign("vchat-1 roster", data)).write_fields()


def test_a_room_begins_with_its_founder_alone() -> None:
    roster = founded()
    assert [s.number for s in roster.present()] == [FOUNDER]
    assert roster.entry.room == room_name(HOST.public.sign, NONCE)
    assert roster.host == FOUNDER


def test_guests_follow_the_host_through_every_action() -> None:
    host = grown()
    guest = guest_of(host)
    steps = [
        (Action.LOCK, FOUNDER),
        (Action.UNLOCK, FOUNDER),
        (Action.ABSENT, Member(1)),
        (Action.RETURN, Member(1)),
        (Action.LEAVE, Member(1)),
        (Action.KICK, Member(2)),
    ]
    for action, subject in steps:
        taken = guest.receive(host.extend(HOST, action, subject).write_fields())
        assert [signed.read() for signed in taken.entries] == [host.entry]
    assert guest.hash == host.hash


def test_an_entry_that_is_known_changes_nothing() -> None:
    host = grown()
    guest = guest_of(host)
    assert guest.receive(host.signed.write_fields()).entries == ()


def test_an_entry_from_before_our_time_changes_nothing() -> None:
    host = grown()
    early = host.signed.write_fields()
    host.extend(HOST, Action.LOCK, FOUNDER)
    guest = guest_of(host)
    assert guest.receive(early).entries == ()


def test_an_entry_whose_predecessor_is_missing_waits() -> None:
    host = grown()
    guest = guest_of(host)
    host.extend(HOST, Action.LOCK, FOUNDER)
    second = host.extend(HOST, Action.UNLOCK, FOUNDER)
    with pytest.raises(Missing):
        guest.receive(second.write_fields())


def test_two_signed_entries_at_one_place_are_a_fork_and_its_proof() -> None:
    host = grown()
    guest = guest_of(host)
    other = follow(host.entry, Action.KICK, Member(1))
    host.extend(HOST, Action.LOCK, FOUNDER)
    guest.receive(host.signed.write_fields())
    theirs = signed_by(HOST, other)
    with pytest.raises(Forked) as fork:
        guest.receive(theirs)
    assert fork.value.ours == host.signed.write_fields()
    assert fork.value.theirs == theirs


def test_a_second_entry_that_the_host_did_not_sign_is_no_fork() -> None:
    host = grown()
    guest = guest_of(host)
    other = follow(host.entry, Action.KICK, Member(1))
    host.extend(HOST, Action.LOCK, FOUNDER)
    guest.receive(host.signed.write_fields())
    with pytest.raises(RemoteProtocolError) as error:
        guest.receive(signed_by(ANN, other))
    assert not isinstance(error.value, Forked)


def test_a_place_that_somebody_names_is_ours_different_or_unknown() -> None:
    roster = grown()
    place = roster.position
    assert roster.place(place) is Place.OURS
    assert roster.place(replace(place, hash=bytes(32))) is Place.DIFFERS
    assert roster.place(Position(1, place.n + 1, bytes(32))) is Place.UNKNOWN


def test_what_came_after_a_place_can_be_told_again() -> None:
    roster = grown()
    place = roster.position
    later = [roster.extend(HOST, a, FOUNDER) for a in (Action.LOCK, Action.UNLOCK)]
    assert roster.since(place) == later
    assert roster.since(replace(place, hash=bytes(32))) == []


BROKEN: dict[str, Callable[[Entry], Entry]] = {
    "another_room": lambda e: replace(e, room=bytes(32)),
    "another_signer": lambda e: replace(e, signer=Member(1)),
    "another_previous_hash": lambda e: replace(e, previous=bytes(32)),
    "an_unknown_action": lambda e: replace(e, action=99),
    "a_second_founding": lambda e: replace(e, action=Action.FOUND),
    "another_subject": lambda e: replace(e, subject=Member(7)),
    "a_changed_name": lambda e: replace(e, seats=(replace(e.seats[0], name="x"), *e.seats[1:])),
    "a_changed_key": lambda e: replace(e, seats=(*e.seats[:2], replace(e.seats[2], dh=bytes(32)))),
    "a_missing_seat": lambda e: replace(e, seats=e.seats[:2]),
    "other_deputies": lambda e: replace(e, deputies=()),
    "a_lock_that_was_not_asked_for": lambda e: replace(e, locked=not e.locked),
    "a_used_number": lambda e: replace(e, next_number=1),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_entry_that_does_not_follow_is_refused_although_signed(how: str) -> None:
    host = grown()
    guest = guest_of(host)
    entry = BROKEN[how](follow(host.entry, Action.ABSENT, Member(1)))
    before = guest.hash
    with pytest.raises(RemoteProtocolError):
        guest.receive(signed_by(HOST, entry))
    assert guest.hash == before


def test_a_newcomer_whose_keys_do_not_belong_together_is_refused() -> None:
    host = founded()
    guest = guest_of(host)
    false = replace(seat(1, ANN, "ann"), dh=BOB.public.dh)
    entry = follow(host.entry, Action.ADD, Member(1), false)
    with pytest.raises(RemoteProtocolError):
        guest.receive(signed_by(HOST, entry))


@pytest.mark.parametrize(
    "newcomer", [seat(3, ANN, "new"), seat(3, Identity.generate(RNG), "ann"), seat(9, BOB, "x")]
)
def test_keys_names_and_numbers_are_never_given_twice(newcomer: Seat) -> None:
    with pytest.raises(RemoteProtocolError):
        follow(grown().entry, Action.ADD, newcomer.number, newcomer)


def test_a_locked_room_adds_nobody() -> None:
    roster = grown()
    roster.extend(HOST, Action.LOCK, FOUNDER)
    new = seat(3, Identity.generate(RNG), "cyd")
    with pytest.raises(RemoteProtocolError):
        follow(roster.entry, Action.ADD, Member(3), new)


def test_nobody_can_be_absent_twice_or_remove_the_host() -> None:
    entry = follow(grown().entry, Action.ABSENT, Member(1))
    for action, subject in ((Action.ABSENT, Member(1)), (Action.KICK, FOUNDER)):
        with pytest.raises(RemoteProtocolError):
            follow(entry, action, subject)


def test_only_the_host_extends() -> None:
    with pytest.raises(LocalProtocolError):
        grown().extend(ANN, Action.LOCK, FOUNDER)


def test_a_welcome_needs_the_signature_of_the_host_that_was_met() -> None:
    with pytest.raises(RemoteProtocolError):
        Roster.welcome(grown().signed, ANN.public.sign)


def test_a_welcome_with_two_seats_of_one_key_is_refused() -> None:
    entry = grown().entry
    twins = replace(entry, seats=(*entry.seats[:2], replace(entry.seats[1], number=Member(2))))
    signed = Signed.parse(signed_by(HOST, twins))
    with pytest.raises(RemoteProtocolError):
        Roster.welcome(signed, HOST.public.sign)


def test_the_longest_present_members_are_deputies() -> None:
    roster = grown()
    assert list(roster.entry.deputies) == [1, 2]
    roster.extend(HOST, Action.ABSENT, Member(1))
    assert list(roster.entry.deputies) == [2]
