"""Attestations: who really sealed the frames that carry a member's name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.vectors.seeded import seeded
from vc_core.attest import (
    INTERVAL,
    LONGEST_LOOK,
    MAX_UNSIGNED,
    PATIENCE,
    Signer,
    Witness,
    picture_digest,
)
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.ids import Member
from vc_core.keys import Identity
from vc_core.messages import MAX_ATTESTED, Attest, Attested, Position, SenderKey
from vc_core.packet import Media
from vc_core.senderkeys import VOICE, Opened
from vc_core.wire import Reader, Record

RNG = seeded("attest")
ANN, BOB = Identity.generate(RNG), Identity.generate(RNG)
ROOM = bytes(32)
MEMBER = Member(3)
KEY = SenderKey(1, bytes([5]) * 32, Position(1, 4, bytes(32)))


def frame(ctr: int, datagram: bytes = b"sealed") -> Opened:
    return Opened(MEMBER, KEY.generation, ctr, Media(0, 0, b""), datagram)


def signed(identity: Identity = ANN, count: int = 3, key: SenderKey = KEY) -> Attest:
    signer = Signer(ROOM, MEMBER, identity)
    for ctr in range(count):
        signer.sealed(key, ctr, b"sealed", 0.0)
    (attest,) = signer.handle_timer(INTERVAL)
    return attest


Overdue = set[tuple[int, int]]


def look(witness: Witness, since: float, until: float, pause: float = LONGEST_LOOK) -> Overdue:
    """What is found overdue by looks until ``until``, as often as a running process looks."""
    found: Overdue = set()
    for step in range(1, round((until - since) / pause) + 1):
        found |= witness.overdue(since + step * pause)
    return found | witness.overdue(until)


@pytest.fixture
def witness() -> Witness:
    witness = Witness(ROOM, MEMBER, ANN.public.sign)
    for ctr in range(3):
        witness.heard(frame(ctr), 0.0)
    return witness


def test_frames_that_their_sender_signed_are_nobodys_concern(witness: Witness) -> None:
    assert witness.receive(signed(), KEY)
    assert look(witness, 0.0, PATIENCE + 1) == set()


def test_the_signature_may_come_before_the_frame() -> None:
    witness = Witness(ROOM, MEMBER, ANN.public.sign)
    witness.receive(signed(), KEY)
    witness.heard(frame(1), 0.1)
    assert look(witness, 0.1, 10.0) == set()


def test_frames_that_nobody_signs_are_overdue_once(witness: Witness) -> None:
    assert look(witness, 0.0, PATIENCE - LONGEST_LOOK) == set()
    assert witness.overdue(PATIENCE - 0.01) == set()
    assert witness.overdue(PATIENCE) == {(VOICE, KEY.generation)}
    assert look(witness, PATIENCE, 2 * PATIENCE) == set()


def test_time_in_which_the_witness_did_not_run_does_not_count(witness: Witness) -> None:
    """The signatures wait unread in its own socket."""
    assert witness.overdue(1000.0) == set()
    assert witness.receive(signed(), KEY)
    assert look(witness, 1000.0, 1010.0) == set()


@pytest.mark.parametrize("pause", [0.02, 0.3, 0.5, 3.0, 60.0])
def test_a_forger_is_found_by_a_witness_that_seldom_runs_too(
    witness: Witness, pause: float
) -> None:
    """After as many of its looks as make two seconds, counting each as half of one at most."""
    looks = 0
    while not witness.overdue((looks + 1) * pause):
        looks += 1
    assert looks + 1 == pytest.approx(PATIENCE / min(pause, LONGEST_LOOK), abs=1)


def test_a_flood_of_forged_frames_does_not_hide_itself() -> None:
    """Whoever forges faster than frames fall due would never be shown."""
    witness, found = Witness(ROOM, MEMBER, ANN.public.sign), Overdue()
    for ctr in range(10 * MAX_UNSIGNED):
        now = ctr * PATIENCE / (2 * MAX_UNSIGNED)
        witness.heard(frame(ctr, b"forged"), now)
        found |= witness.overdue(now)
    assert found == {(VOICE, KEY.generation)}


def test_another_frame_under_the_same_counter_is_noticed(witness: Witness) -> None:
    forged = Witness(ROOM, MEMBER, ANN.public.sign)
    forged.heard(frame(1, b"forged"), 0.0)
    assert not forged.receive(signed(), KEY)


def test_a_signature_of_somebody_else_is_refused(witness: Witness) -> None:
    with pytest.raises(RemoteProtocolError):
        witness.receive(signed(BOB), KEY)


@pytest.mark.parametrize("change", [{"stream": 1}, {"signature": bytes(64)}, {"frames": ()}])
def test_a_changed_attestation_is_refused(witness: Witness, change: dict[str, object]) -> None:
    with pytest.raises(RemoteProtocolError):
        witness.receive(replace(signed(), **change), KEY)  # type: ignore[arg-type]


def test_a_signature_counts_for_its_key_and_roster_only(witness: Witness) -> None:
    for other in (
        replace(KEY, key=bytes(32)),
        replace(KEY, position=replace(KEY.position, hash=bytes([1]) * 32)),
    ):
        with pytest.raises(RemoteProtocolError):
            witness.receive(signed(), other)


def test_a_new_key_and_a_full_list_are_signed_at_once() -> None:
    signer = Signer(ROOM, MEMBER, ANN)
    full = [signer.sealed(KEY, ctr, b"x", 0.0) for ctr in range(MAX_ATTESTED)]
    assert [len(one) for one in full] == [0] * (MAX_ATTESTED - 1) + [1]
    signer.sealed(KEY, 99, b"x", 0.0)
    (old,) = signer.sealed(replace(KEY, generation=2), 0, b"x", 0.1)
    assert old.generation == 1


def test_a_silent_sender_signs_nothing() -> None:
    signer = Signer(ROOM, MEMBER, ANN)
    assert signer.next_timer() is None
    assert signer.handle_timer(100.0) == []


def test_what_waits_for_a_signature_is_bounded() -> None:
    witness = Witness(ROOM, MEMBER, ANN.public.sign)
    for ctr in range(MAX_UNSIGNED * 2):
        witness.heard(frame(ctr), 0.0)
    assert len(witness._unsigned) == MAX_UNSIGNED


def test_a_frame_of_pictures_is_known_by_its_number_in_any_generation() -> None:
    signer, witness = Signer(ROOM, MEMBER, ANN, 2), Witness(ROOM, MEMBER, ANN.public.sign)
    digest = picture_digest(7, 100, True, 1, b"frame")
    signer.made(KEY, Attested(7, digest), 0.0)
    (attest,) = signer.handle_timer(INTERVAL)
    witness.seen(2, 7, digest, KEY.generation + 1, 0.0)
    assert witness.receive(attest, KEY)
    assert look(witness, 0.0, PATIENCE + 1) == set()
    witness.seen(2, 8, digest, KEY.generation, 10.0)
    assert look(witness, 10.0, 10.0 + PATIENCE + 1) == {(2, KEY.generation)}


def test_a_signature_for_one_stream_is_none_for_another(witness: Witness) -> None:
    with pytest.raises(RemoteProtocolError):
        witness.receive(replace(signed(), stream=1), KEY)


def test_a_frame_is_written_as_its_layout_says() -> None:
    frame = Attested((1 << 48) - 2, bytes(range(12)))
    written = Record.write_fields(frame)
    assert frame.write_fields() == written and len(written) == 18
    assert Attested.read_fields(Reader(written)) == frame
    for wrong in (Attested(1 << 48, bytes(12)), Attested(-1, bytes(12)), Attested(1, bytes(11))):
        with pytest.raises(LocalProtocolError):
            wrong.write_fields()
