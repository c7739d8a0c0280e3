"""Whom we have met: names are no identity, keys are, and only contacts can change theirs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import contacts as module
from client.contacts import FILE, Contacts
from client.refused import Refused
from tests.vectors.seeded import seeded
from vc_core.keys import Identity, PublicIdentity

ANNA, BERT, EVE = (Identity.generate(seeded(name)).public for name in ("anna", "bert", "eve"))


@pytest.fixture
def contacts(tmp_path: Path) -> Contacts:
    """An empty list with a clock that counts."""
    return Contacts(tmp_path, ticking())


def ticking() -> Callable[[], float]:
    """A clock that is one second later each time."""
    count = itertools.count(1000)
    return lambda: float(next(count))


def test_a_stranger_is_new_and_then_known(contacts: Contacts) -> None:
    assert contacts.known("anna", ANNA) == "new"
    contacts.remember("anna", ANNA)
    assert contacts.known("anna", ANNA) == "known"
    assert contacts.known("somebody else", ANNA) == "known"


def test_a_name_alone_is_no_identity(contacts: Contacts) -> None:
    contacts.remember("anna", ANNA)
    assert contacts.known("anna", EVE) == "new"
    assert not contacts.judge("anna", EVE)


@pytest.mark.parametrize("name", ["anna", "Anna", " ANNA "])
def test_another_key_under_the_name_of_a_contact_is_changed(contacts: Contacts, name: str) -> None:
    contacts.save("anna", ANNA)
    assert contacts.known(name, EVE) == "changed"
    assert contacts.judge(name, EVE)
    assert not contacts.judge(name, ANNA)


def test_somebody_met_before_who_takes_the_name_of_a_contact_is_changed(contacts: Contacts) -> None:
    contacts.remember("eve", EVE)
    contacts.save("anna", ANNA)
    assert contacts.known("anna", EVE) == "changed"
    assert contacts.known("eve", EVE) == "known"


def test_an_accepted_key_is_the_contacts_from_then_on(contacts: Contacts) -> None:
    contacts.save("anna", ANNA)
    contacts.accept("anna", EVE)
    assert contacts.known("anna", EVE) == "known"
    assert contacts.known("anna", ANNA) == "changed"
    assert [one.identity for one in contacts.saved] == [EVE]


def test_a_contact_keeps_its_name_whatever_it_calls_itself(contacts: Contacts) -> None:
    contacts.save("anna", ANNA)
    contacts.remember("queen of bert's heart", ANNA)
    assert [one.name for one in contacts.saved] == ["anna"]


def test_everything_is_there_after_a_restart(contacts: Contacts, tmp_path: Path) -> None:
    contacts.remember("bert", BERT)
    contacts.save("anna", ANNA)
    assert Contacts(tmp_path).people == contacts.people
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_two_calls_on_one_machine_do_not_forget_each_others_people(tmp_path: Path) -> None:
    one, other = Contacts(tmp_path), Contacts(tmp_path)
    one.remember("anna", ANNA)
    other.remember("bert", BERT)
    assert {who.name for who in Contacts(tmp_path).people} == {"anna", "bert"}


def test_the_list_is_bounded_and_contacts_stay(
    contacts: Contacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PEOPLE", 3)
    contacts.save("anna", ANNA)
    people = [Identity.generate(seeded(f"guest {number}")).public for number in range(4)]
    for who in people:
        contacts.remember("guest", who)
    kept = [one.identity for one in contacts.people]
    assert kept == [people[3], people[2], ANNA]


DAMAGED = [
    b"",
    b"\xff\xfe",
    b"[]",
    b'"people"',
    b'{"vchat-contacts": 1}',
    b'{"vchat-contacts": 9, "people": []}',
    b'{"vchat-contacts": 1, "people": [{}]}',
    b'{"vchat-contacts": 1, "people": [{"sign": "00", "dh": "00", "cross": "00"}]}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_put_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    contacts = Contacts(tmp_path)
    assert contacts.damaged
    assert contacts.people == ()
    contacts.remember("anna", ANNA)
    assert (tmp_path / f"{FILE}.damaged").read_bytes() == content
    assert not Contacts(tmp_path).damaged


def test_a_key_that_somebody_swapped_in_the_file_is_damage(
    contacts: Contacts, tmp_path: Path
) -> None:
    contacts.save("anna", ANNA)
    content = json.loads((tmp_path / FILE).read_text())
    content["people"][0]["dh"] = EVE.dh.hex()
    (tmp_path / FILE).write_text(json.dumps(content))
    assert Contacts(tmp_path).damaged


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_name_can_be_saved_and_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, name: str, other: str
) -> None:
    contacts = Contacts(tmp_path_factory.mktemp("names"))
    contacts.save(name, ANNA)
    contacts.remember(other, BERT)
    assert contacts.judge(name, EVE)
    assert not contacts.judge(other, ANNA)


def test_a_disk_that_takes_nothing_ends_no_call(
    contacts: Contacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "replace_whole", _full)
    contacts.remember("anna", ANNA)
    assert contacts.known("anna", ANNA) == "known"
    with pytest.raises(Refused, match="no space left"):
        contacts.save("anna", ANNA)


@pytest.mark.parametrize("size", [4, 9, 32])
def test_people_are_found_by_the_beginning_of_their_fingerprint(
    contacts: Contacts, size: int
) -> None:
    for name, who in (("anna", ANNA), ("bert", BERT)):
        contacts.remember(name, who)
    mark = BERT.fingerprint[:size]
    assert [one.name for one in contacts.find(f"{mark[:3].upper()} {mark[3:]}")] == ["bert"]
    assert [one.name for one in contacts.find("Anna")] == ["anna"]
    assert contacts.find("nobody") == []


def test_a_forgotten_contact_may_change_its_key(contacts: Contacts) -> None:
    contacts.save("anna", ANNA)
    contacts.forget(ANNA)
    assert contacts.known("anna", EVE) == "new"
    assert contacts.known("anna", ANNA) == "known"


def test_the_keys_of_the_fixture_are_three_people() -> None:
    people: set[PublicIdentity] = {ANNA, BERT, EVE}
    assert len(people) == 3
