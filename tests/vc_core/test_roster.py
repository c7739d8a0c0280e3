"""The roster: what may follow what, who may sign it, and what a fork is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.vectors.seeded import seeded
from vc_core.chain import Step
from vc_core.entry import Action, Entry, Seat, Signed, follow, room_name
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.ids import FOUNDER, Member
from vc_core.keys import Identity
from vc_core.messages import Position
from vc_core.roster import Barred, Forked, Missing, Place, Roster

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


def test_who_may_remove_us_by_an_entry_whose_way_we_do_not_know() -> None:
    """Our host; who is a deputy to us, if we do not hear our host; and nobody else."""
    host = grown()
    ann, bob = guest_of(host), guest_of(host)
    ann.extend(ANN, Action.TAKEOVER, Member(1))
    kick = ann.extend(ANN, Action.KICK, Member(2))
    step = Step.of(kick, kick.read())
    assert bob.removes(Member(2), step, loyal=False)
    assert not bob.removes(Member(1), step, loyal=False)
    assert not bob.removes(Member(2), step, loyal=True)
    forged = Signed.parse(signed_by(BOB, step.entry))
    with pytest.raises(RemoteProtocolError):
        bob.removes(Member(2), replace(step, signed=forged), loyal=False)
    bob.receive(host.extend(HOST, Action.DEPUTIES, FOUNDER, deputies=(2,)).write_fields())
    assert not bob.removes(Member(2), step, loyal=False)


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


def test_a_deputy_takes_over_with_a_term_of_its_own_and_the_old_host_is_absent() -> None:
    host = grown()
    deputy, guest = guest_of(host), guest_of(host)
    signed = deputy.extend(ANN, Action.TAKEOVER, Member(1))
    taken = guest.receive(signed.write_fields())
    assert [one.read() for one in taken.entries] == [deputy.entry] and not taken.dropped
    assert guest.host == 1 and guest.entry.term == 65536 + 65535 - 1
    assert [s.number for s in guest.present()] == [1, 2]
    assert guest.entry.deputies == (2,)


def test_who_is_no_deputy_cannot_take_over() -> None:
    host = grown()
    host.extend(HOST, Action.DEPUTIES, FOUNDER, deputies=(2,))
    with pytest.raises(RemoteProtocolError):
        guest_of(host).extend(ANN, Action.TAKEOVER, Member(1))


def test_a_takeover_signed_by_somebody_else_is_refused() -> None:
    host = grown()
    guest = guest_of(host)
    entry = follow(host.entry, Action.TAKEOVER, Member(1))
    with pytest.raises(RemoteProtocolError):
        guest.receive(signed_by(BOB, entry))
    assert guest.host == FOUNDER


def test_a_host_that_handed_over_has_no_seat_after_the_takeover() -> None:
    host = grown()
    deputy = guest_of(host)
    deputy.receive(host.extend(HOST, Action.HANDOVER, Member(2)).write_fields())
    assert deputy.entry.deputies == (2, 1) and deputy.entry.successor == 2
    deputy.extend(BOB, Action.TAKEOVER, Member(2))
    assert deputy.seat(FOUNDER) is None


def test_the_higher_term_wins_in_whatever_order_both_are_heard() -> None:
    host = grown()
    one, other = guest_of(host), guest_of(host)
    ann = [one.extend(ANN, Action.TAKEOVER, Member(1)), one.extend(ANN, Action.LOCK, Member(1))]
    bob = [other.extend(BOB, Action.TAKEOVER, Member(2)), other.extend(BOB, Action.LOCK, Member(2))]
    assert one.entry.term > other.entry.term
    for order in ([*ann, *bob], [*bob, *ann], [bob[0], ann[1], ann[0], bob[1]]):
        guest = guest_of(host)
        for signed in order:
            with suppress(Missing):
                guest.receive(signed.write_fields())
        assert guest.hash == one.hash


def test_entries_of_the_chain_that_is_left_are_named() -> None:
    host = grown()
    deputy, guest = guest_of(host), guest_of(host)
    takeover = deputy.extend(ANN, Action.TAKEOVER, Member(1))
    guest.receive(host.extend(HOST, Action.KICK, Member(2)).write_fields())
    taken = guest.receive(takeover.write_fields())
    assert [one.action for one in taken.dropped] == [Action.KICK]
    assert guest.seat(Member(2)) is not None
    assert guest.receive(host.signed.write_fields()).behind


def test_a_takeover_waits_while_the_host_is_heard_and_counts_afterwards() -> None:
    host = grown()
    deputy, guest = guest_of(host), guest_of(host)
    takeover = deputy.extend(ANN, Action.TAKEOVER, Member(1))
    assert not guest.receive(takeover.write_fields(), loyal=True).entries
    assert guest.held and guest.host == FOUNDER
    assert guest.reconsider(loyal=False).entries
    assert not guest.held and guest.host == 1


def test_a_named_successor_is_followed_although_the_host_is_heard() -> None:
    host = grown()
    deputy, guest = guest_of(host), guest_of(host)
    handover = host.extend(HOST, Action.HANDOVER, Member(1)).write_fields()
    for view in (deputy, guest):
        view.receive(handover, loyal=True)
    takeover = deputy.extend(ANN, Action.TAKEOVER, Member(1))
    assert guest.receive(takeover.write_fields(), loyal=True).entries


def test_a_deputy_that_our_own_chain_has_removed_is_not_followed() -> None:
    host = grown()
    deputy, guest = guest_of(host), guest_of(host)
    takeover = deputy.extend(ANN, Action.TAKEOVER, Member(1))
    guest.receive(host.extend(HOST, Action.KICK, Member(1)).write_fields())
    with pytest.raises(Barred):
        guest.receive(takeover.write_fields())
    assert guest.host == FOUNDER


def test_nobody_is_blamed_for_a_takeover_that_waited_until_its_signer_was_removed() -> None:
    host = grown()
    deputy, guest = guest_of(host), guest_of(host)
    takeover = deputy.extend(ANN, Action.TAKEOVER, Member(1))
    guest.receive(takeover.write_fields(), loyal=True)
    kick = host.extend(HOST, Action.KICK, Member(1))
    assert guest.receive(kick.write_fields(), loyal=True).entries
    lock = host.extend(HOST, Action.LOCK, FOUNDER)
    assert guest.receive(lock.write_fields(), loyal=True).entries
    assert not guest.reconsider(loyal=False).entries
    assert guest.hash == host.hash


def test_the_entry_that_removed_our_host_shows_that_there_are_two_rooms() -> None:
    host = grown()
    deputy = guest_of(host)
    deputy.extend(ANN, Action.TAKEOVER, Member(1))
    away = host.extend(HOST, Action.ABSENT, Member(2))
    assert not deputy.receive(away.write_fields()).parted
    assert deputy.receive(host.extend(HOST, Action.KICK, Member(1)).write_fields()).parted
    assert deputy.receive(host.extend(HOST, Action.LOCK, FOUNDER).write_fields()).parted
    later = host.extend(HOST, Action.UNLOCK, FOUNDER)
    assert not deputy.receive(signed_by(BOB, replace(later.read(), signer=Member(7)))).parted
    with pytest.raises(RemoteProtocolError):
        deputy.receive(signed_by(BOB, later.read()))


def test_an_entry_from_before_our_host_had_come_says_nothing_against_it() -> None:
    host = founded()
    host.extend(HOST, Action.ADD, Member(1), seat(1, ANN, "ann"))
    before = host.signed
    host.extend(HOST, Action.ADD, Member(2), seat(2, BOB, "bob"))
    deputy = guest_of(host)
    deputy.extend(BOB, Action.TAKEOVER, Member(2))
    assert not deputy.receive(before.write_fields()).parted


def test_a_chain_through_two_takeovers_is_followed_when_all_of_it_is_here() -> None:
    host = grown()
    ann, bob, guest = guest_of(host), guest_of(host), guest_of(host)
    first = ann.extend(ANN, Action.TAKEOVER, Member(1))
    guest.receive(bob.extend(BOB, Action.TAKEOVER, Member(2)).write_fields())
    later = guest_of(host)
    later.receive(first.write_fields())
    second = later.extend(BOB, Action.TAKEOVER, Member(2))
    with pytest.raises(Missing):
        guest.receive(second.write_fields())
    assert guest.asked_from() == guest.position
    assert guest.asked_from() == host.position, "then from before its own newest takeover"
    missing = later.since(host.position)
    for signed in missing:
        guest.receive(signed.write_fields())
    assert guest.hash == later.hash


def test_two_entries_of_a_deputy_at_one_place_are_a_fork_too() -> None:
    host = grown()
    deputy, guest = guest_of(host), guest_of(host)
    guest.receive(deputy.extend(ANN, Action.TAKEOVER, Member(1)).write_fields())
    other = follow(deputy.entry, Action.LOCK, Member(1))
    guest.receive(deputy.extend(ANN, Action.KICK, Member(2)).write_fields())
    with pytest.raises(Forked):
        guest.receive(signed_by(ANN, other))


def test_chosen_deputies_stay_until_their_seats_are_gone() -> None:
    host = grown()
    host.extend(HOST, Action.DEPUTIES, FOUNDER, deputies=(2, 1))
    host.extend(HOST, Action.ABSENT, Member(2))
    assert list(host.entry.deputies) == [2, 1]
    host.extend(HOST, Action.KICK, Member(2))
    assert list(host.entry.deputies) == [1] and host.entry.chosen
    host.extend(HOST, Action.DEPUTIES, FOUNDER, deputies=())
    host.extend(HOST, Action.LOCK, FOUNDER)
    assert list(host.entry.deputies) == []


@pytest.mark.parametrize("deputies", [(0,), (7,), (1, 1), (1, 2, 1)])
def test_deputies_are_different_members_who_are_here(deputies: tuple[int, ...]) -> None:
    with pytest.raises(RemoteProtocolError):
        grown().extend(HOST, Action.DEPUTIES, FOUNDER, deputies=deputies)
