"""CPace against the draft's vectors, our own, and hostile shares."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.read import names, own, public
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.keys import x25519
from vc_core.pake import Exchange, elligator2, generator, lv_cat, session_key

OWN = own("pake")
GOOD = {key: bytes.fromhex(value) for key, value in OWN["good"].items()}


def side(who: str) -> Exchange:
    """One side of our own vector."""
    return Exchange(
        GOOD["prs"],
        GOOD["ci"],
        GOOD["sid"],
        GOOD[f"ad_{who}"],
        initiator=who == "a",
        rng=lambda size: GOOD[f"scalar_{who}"],
    )


def test_matches_the_drafts_vector() -> None:
    v = {key: bytes.fromhex(value) for key, value in public("cpace-x25519.json")["G_25519"].items()}

    def draft_side(initiator: bool) -> Exchange:
        scalar, ad = (v["ya"], v["ADa"]) if initiator else (v["yb"], v["ADb"])
        return Exchange(
            v["PRS"], v["CI"], v["sid"], ad, initiator=initiator, rng=lambda size: scalar
        )

    assert generator(v["PRS"], v["CI"], v["sid"]) == v["g"]
    a, b = draft_side(True), draft_side(False)
    assert (a.share, b.share) == (v["Ya"], v["Yb"])
    assert x25519(v["ya"], v["Yb"]) == v["K"]
    assert a.finish(v["Yb"], v["ADb"]) == b.finish(v["Ya"], v["ADa"]) == v["ISK_IR"]
    sides = sorted((lv_cat(v["Ya"], v["ADa"]), lv_cat(v["Yb"], v["ADb"])), reverse=True)
    symmetric = b"oc" + b"".join(sides)
    assert session_key(v["sid"], v["K"], symmetric) == v["ISK_SY"]


def test_aborts_on_every_low_order_point_of_the_draft() -> None:
    """The other points are of low order only where bit 255 is not ignored (RFC 7748, 5)."""
    refused = set()
    for name, point in public("cpace-x25519.json")["X25519_points"].items():
        try:
            assert len(side("a").finish(bytes.fromhex(point), b"host")) == 64
        except RemoteProtocolError:
            refused.add(name.removeprefix("Invalid "))
    assert refused == {"Y0", "Y1", "Y2", "Y3", "Y4", "Y5", "Y7"}


def test_makes_the_shares_key_and_tags_of_our_own_vector() -> None:
    a, b = side("a"), side("b")
    assert (a.share, b.share) == (GOOD["share_a"], GOOD["share_b"])
    assert a.finish(b.share, GOOD["ad_b"]) == b.finish(a.share, GOOD["ad_a"]) == GOOD["isk"]
    assert (a.own_tag, b.own_tag) == (GOOD["tag_a"], GOOD["tag_b"])
    a.check_tag(GOOD["tag_b"])
    b.check_tag(GOOD["tag_a"])


@pytest.mark.parametrize("case", OWN["bad"], ids=names(OWN["bad"]))
def test_refuses_what_our_own_vectors_say_is_wrong(case: dict[str, str]) -> None:
    share, ad, tag = (bytes.fromhex(case[key]) for key in ("share", "ad", "tag"))
    joiner = side("a")
    with pytest.raises(RemoteProtocolError, match=case["error"]):
        joiner.finish(share, ad)
        joiner.check_tag(tag)


@pytest.mark.parametrize("changed", ["prs", "ci", "sid"])
def test_another_password_room_or_session_gives_another_key(changed: str) -> None:
    values: dict[str, Any] = {**GOOD, changed: GOOD[changed] + b"!"}
    other = Exchange(
        values["prs"],
        values["ci"],
        values["sid"],
        GOOD["ad_b"],
        initiator=False,
        rng=lambda size: GOOD["scalar_b"],
    )
    assert other.finish(GOOD["share_a"], GOOD["ad_a"]) != GOOD["isk"]


def test_calls_out_of_order_are_our_own_fault() -> None:
    exchange = side("a")
    with pytest.raises(LocalProtocolError, match="before it is finished"):
        _ = exchange.own_tag
    exchange.finish(GOOD["share_b"], GOOD["ad_b"])
    with pytest.raises(LocalProtocolError, match="once"):
        exchange.finish(GOOD["share_b"], GOOD["ad_b"])


@given(st.binary(min_size=32, max_size=32))
def test_the_map_lands_on_the_curve_and_not_on_its_twist(element: bytes) -> None:
    u, prime = int.from_bytes(elligator2(element), "little"), 2**255 - 19
    assert pow(u * (u * u + 486_662 * u + 1), (prime - 1) // 2, prime) in (0, 1)


@given(share=st.binary(max_size=70), ad=st.binary(max_size=300), tag=st.binary(max_size=70))
def test_arbitrary_answers_raise_a_remote_error_only(share: bytes, ad: bytes, tag: bytes) -> None:
    joiner = side("a")
    with pytest.raises(RemoteProtocolError):
        joiner.finish(share, ad)
        joiner.check_tag(tag)


def test_lengths_are_leb128() -> None:
    assert lv_cat(b"1234", b"5", b"") == b"\x041234\x015\x00"
    assert lv_cat(bytes(127))[:1] == b"\x7f"
    assert lv_cat(bytes(128))[:2] == b"\x80\x01"
    assert lv_cat(bytes(300))[:2] == b"\xac\x02"
