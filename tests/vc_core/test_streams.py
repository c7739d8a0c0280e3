"""Records of the reliable plane: in order, whole, and nothing after the last."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.read import names, own
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.streams import MAX_BODY, MAX_RECORD, StreamOpener, StreamSealer

OWN = own("streams")
KEY, STREAM = bytes.fromhex(OWN["split_key"]), OWN["stream"]


def test_makes_and_opens_the_records_of_our_own_vectors() -> None:
    sealer, opener = StreamSealer(KEY, STREAM), StreamOpener(KEY, STREAM)
    for case in OWN["good"]:
        body = bytes.fromhex(case["body"])
        record = sealer.seal(body, last=case["last"])
        assert record.hex() == case["record"]
        assert opener.receive(record) == [body]
        assert opener.ended is case["last"]
    opener.finish()


@pytest.mark.parametrize("case", OWN["bad"], ids=names(OWN["bad"]))
def test_refuses_what_our_own_vectors_say_is_wrong(case: dict[str, Any]) -> None:
    opener = StreamOpener(KEY, STREAM)
    with pytest.raises(RemoteProtocolError, match=case["error"]):
        opener.receive(bytes.fromhex(case["data"]))
        opener.finish()


@given(st.lists(st.binary(max_size=200), max_size=8), st.data())
def test_bodies_come_out_however_the_stream_was_cut(bodies: list[bytes], data: Any) -> None:
    sealer, opener = StreamSealer(KEY, STREAM), StreamOpener(KEY, STREAM)
    whole = b"".join(sealer.seal(body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    edges = [0, *cuts, len(whole)]
    received: list[bytes] = []
    for begin, end in pairwise(edges):
        received += opener.receive(whole[begin:end])
    assert received == bodies


def test_the_largest_body_is_one_record_and_more_is_our_own_fault() -> None:
    record = StreamSealer(KEY, STREAM).seal(bytes(MAX_BODY))
    assert len(record) == 2 + MAX_RECORD
    assert StreamOpener(KEY, STREAM).receive(record) == [bytes(MAX_BODY)]
    with pytest.raises(LocalProtocolError, match="body of 65001"):
        StreamSealer(KEY, STREAM).seal(bytes(MAX_BODY + 1))


def test_nothing_is_sealed_after_the_last_record() -> None:
    sealer = StreamSealer(KEY, STREAM)
    sealer.seal(b"end", last=True)
    with pytest.raises(LocalProtocolError, match="after the last"):
        sealer.seal(b"more")


def test_bytes_in_a_later_piece_after_the_last_record_are_refused() -> None:
    opener = StreamOpener(KEY, STREAM)
    opener.receive(StreamSealer(KEY, STREAM).seal(b"end", last=True))
    assert opener.receive(b"") == []
    with pytest.raises(RemoteProtocolError, match="after the last"):
        opener.receive(b"\0")


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_a_remote_error_or_wait(data: bytes) -> None:
    opener = StreamOpener(KEY, STREAM)
    try:
        assert opener.receive(data) == []
    except RemoteProtocolError:
        return
    with pytest.raises(RemoteProtocolError, match="cut off"):
        opener.finish()
