"""Every message round-trips, every limit holds, and bytes raise a remote error only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc_core.entry import Action, Entry, Seat, Signed
from vc_core.errors import RemoteProtocolError
from vc_core.ids import LinkId, Member
from vc_core.keys import PublicIdentity
from vc_core.link import Link
from vc_core.messages import (
    JOIN,
    MAX_CARRY,
    MAX_MEMBERS,
    MAX_TEXT,
    MEET,
    PEER,
    Bundle,
    Carry,
    Chat,
    Introduction,
    NewEntry,
    Parcel,
)
from vc_core.signals import MAX_BODY, TO_CLIENT, TO_SERVER
from vc_core.wire import Bytes, Codec, Family, Fixed, Flag, Many, Nested, Record, Text, UInt

FAMILIES = {
    "JOIN": JOIN,
    "MEET": MEET,
    "PEER": PEER,
    "TO_SERVER": TO_SERVER,
    "TO_CLIENT": TO_CLIENT,
}
RECORDS = sorted({r for f in FAMILIES.values() for r in f.kinds.values()}, key=lambda r: r.__name__)


def values(codec: Codec) -> st.SearchStrategy[Any]:
    """What a field may hold."""
    match codec:
        case UInt(size):
            return st.integers(0, (1 << 8 * size) - 1)
        case Flag():
            return st.booleans()
        case Fixed(size):
            return st.binary(min_size=size, max_size=size)
        case Bytes(limit):
            return st.binary(max_size=min(limit, 300))
        case Text(limit):
            texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=min(limit, 60) // 4)
            return texts
        case Many(of, limit):
            return st.lists(values(of), max_size=min(limit, 5)).map(tuple)
        case Nested(record):
            return records(record)
        case _:
            raise TypeError(codec)


def records(record: type[Record]) -> st.SearchStrategy[Any]:
    """Any instance of a record."""
    return st.fixed_dictionaries({n: values(c) for n, c in record.LAYOUT}).map(
        lambda chosen: record(**chosen)
    )


def family_of(record: type[Record]) -> Family:
    return next(f for f in FAMILIES.values() if record in f.kinds.values())


@pytest.mark.parametrize("record", RECORDS)
@given(data=st.data())
def test_what_is_written_is_read(record: type[Record], data: st.DataObject) -> None:
    family = family_of(record)
    message = data.draw(records(record))
    assert family.read(family.write(message)) == message


@pytest.mark.parametrize("record", RECORDS)
@given(data=st.data())
def test_a_message_cut_short_or_with_more_behind_it_is_refused(
    record: type[Record], data: st.DataObject
) -> None:
    family = family_of(record)
    written = family.write(data.draw(records(record)))
    cut = data.draw(st.integers(0, len(written) - 1))
    for broken in (written[:cut], written + b"\0"):
        with pytest.raises(RemoteProtocolError):
            family.read(broken)


@pytest.mark.parametrize("name", FAMILIES)
@given(data=st.binary(max_size=400))
def test_arbitrary_bytes_raise_a_remote_error_or_are_exactly_one_message(
    name: str, data: bytes
) -> None:
    family = FAMILIES[name]
    try:
        message = family.read(data)
    except RemoteProtocolError:
        return
    assert family.write(message) == data


def test_a_text_over_its_limit_is_refused_by_who_reads_it() -> None:
    fields = bytes([13]) + bytes(8) + bytes(8) + b"\0" + (MAX_TEXT + 1).to_bytes(2, "big")
    with pytest.raises(RemoteProtocolError):
        PEER.read(fields + b"x" * (MAX_TEXT + 1))


def test_a_text_that_is_not_utf8_is_refused() -> None:
    written = PEER.write(Chat(1, bytes(8), False, "ab"))
    with pytest.raises(RemoteProtocolError):
        PEER.read(written[:-2] + b"\xff\xfe")


def full_entry() -> NewEntry:
    """The largest entry that there can be."""
    who = PublicIdentity(bytes(32), bytes(32), bytes(64))
    seats = tuple(Seat.of(Member(n), who, "n" * 64) for n in range(MAX_MEMBERS))
    entry = Entry(
        bytes(32), 1, 1, bytes(32), Action.ADD, Member(1), Member(0), 99, seats, (1, 2), True, True
    )
    return NewEntry(Signed(entry.write_fields(), bytes(64)).write_fields())


def link() -> Link:
    return Link(Member(1), LinkId(1), bytes(8), (bytes(32), bytes([1]) * 32), leading=True, now=0.0)


def test_the_largest_roster_fits_in_a_letter_that_is_carried() -> None:
    body = MEET.write(link().seal_letter(full_entry()))
    assert len(PEER.write(Carry(1, body))) <= MAX_CARRY + 16


def test_the_largest_carry_fits_on_every_way() -> None:
    """A record, a letter of an exchange, a letter in a mailbox: nobody can make a host stumble."""
    carry = Carry(1, bytes(MAX_CARRY))
    link().seal_record(carry)
    letter = link().seal_letter(carry)
    assert len(JOIN.write(letter)) <= MAX_BODY
    parcel = Parcel(1, 2, MEET.write(letter)).write_fields()
    assert len(parcel) + 64 <= MAX_BODY


@pytest.mark.parametrize("record", [Bundle, Introduction, Parcel, Signed, Entry, Seat])
@given(data=st.data())
def test_inner_records_round_trip(record: type[Record], data: st.DataObject) -> None:
    from vc_core.wire import Reader

    message = data.draw(records(record))
    reader = Reader(message.write_fields())
    assert record.read_fields(reader) == message
    reader.finish()
