"""Sealed boxes open for the right key and context only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.read import names, own
from tests.vectors.seeded import seeded
from vc_core.errors import RemoteProtocolError
from vc_core.seal import OVERHEAD, open_box, seal_box

OWN = own("seal")


def test_opens_the_box_of_our_own_vector() -> None:
    good = {key: bytes.fromhex(value) for key, value in OWN["good"].items()}
    assert open_box(good["key"], good["box"], good["ad"]) == good["plain"]
    again = seal_box(good["key"], good["plain"], good["ad"], lambda size: good["box"][:size])
    assert again == good["box"]


@pytest.mark.parametrize("case", OWN["bad"], ids=names(OWN["bad"]))
def test_refuses_what_our_own_vectors_say_is_wrong(case: dict[str, str]) -> None:
    with pytest.raises(RemoteProtocolError):
        open_box(*(bytes.fromhex(case[key]) for key in ("key", "box", "ad")))


@given(st.binary(max_size=200))
def test_boxes_round_trip_and_never_repeat(plain: bytes) -> None:
    rng, key = seeded("boxes"), bytes(32)
    first, second = (seal_box(key, plain, b"ad", rng) for _ in range(2))
    assert first != second
    assert len(first) == len(plain) + OVERHEAD
    assert open_box(key, first, b"ad") == open_box(key, second, b"ad") == plain


@given(st.binary(max_size=200))
def test_arbitrary_boxes_raise_a_remote_error_only(box: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        open_box(bytes(32), box, b"")
