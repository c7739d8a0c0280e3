"""Berths: which forwarder serves what."""

from __future__ import annotations

import pytest

from vc_core.berths import Berth, Berths, reaches
from vc_core.ids import LinkId, Member, Rung, Way
from vc_core.link import Link
from vc_core.path import State

HOSTED, FIRST, SECOND, THIRD = 4, 5, 6, 7


@pytest.fixture
def berths() -> Berths:
    found = Berths()
    found.named = (HOSTED, FIRST, SECOND, THIRD)
    found.take(HOSTED, Berth(Rung.HOSTED, "udp"))
    for number in (THIRD, SECOND, FIRST):
        found.take(number, Berth(Rung.RELAYED, "udp"))
    return found


def link(*living: int) -> Link:
    """A link whose paths over these forwarders live, and those over the others do not."""
    made = Link(Member(1), LinkId(1), bytes(8), (bytes(32), bytes(32)), leading=True, now=0.0)
    for number in (HOSTED, FIRST, SECOND):
        rung = Rung.HOSTED if number == HOSTED else Rung.RELAYED
        path = made.open_path(Way(rung, number), 0.0)
        path.state = State.ALIVE if number in living else State.SILENT
    return made


def test_voice_is_spread_by_the_forwarder_that_reaches_most(berths: Berths) -> None:
    assert berths.spread_by([link(SECOND), link(SECOND), link(FIRST)]) == SECOND
    assert berths.spread_by([link(HOSTED), link(HOSTED), link(FIRST)]) == HOSTED


def test_of_several_a_relay_is_taken_and_then_the_host_s_order_decides(berths: Berths) -> None:
    assert berths.spread_by([link(HOSTED, FIRST, SECOND)] * 2) == FIRST
    assert berths.spread_by([]) == FIRST


def test_a_forwarder_that_ends_soon_comes_last(berths: Berths) -> None:
    berths.take(FIRST, Berth(Rung.RELAYED, "udp", ending=True))
    assert berths.order == (HOSTED, SECOND, THIRD, FIRST)
    assert berths.spread_by([link(HOSTED, FIRST, SECOND)] * 2) == SECOND
    assert berths.spread_by([link(HOSTED, FIRST)] * 2) == HOSTED
    berths.take(FIRST, Berth(Rung.RELAYED, "udp"))
    assert berths.order == (HOSTED, FIRST, SECOND, THIRD)


def test_without_a_berth_nobody_spreads() -> None:
    assert Berths().spread_by([link(FIRST)]) is None


def test_a_forwarder_that_the_host_names_no_more_still_spreads_until_another_reaches_as_many(
    berths: Berths,
) -> None:
    berths.named = (THIRD,)
    links = [link(FIRST)] * 3
    assert berths.spread_by(links) == FIRST
    for one in links:
        one.open_path(Way(Rung.RELAYED, THIRD), 0.0).state = State.ALIVE
    assert berths.spread_by(links) == THIRD


def test_only_a_living_path_reaches() -> None:
    one = link(FIRST)
    assert reaches(one, Way(Rung.RELAYED, FIRST))
    assert not reaches(one, Way(Rung.RELAYED, SECOND))
    assert not reaches(one, Way(Rung.RELAYED, THIRD))


def test_the_first_two_of_the_host_s_order_that_answered_are_probed(berths: Berths) -> None:
    assert berths.chosen() == [Way(Rung.HOSTED, HOSTED), Way(Rung.RELAYED, FIRST)]
    berths.give_up(FIRST)
    assert berths.chosen() == [Way(Rung.HOSTED, HOSTED), Way(Rung.RELAYED, SECOND)]


def test_forwarders_are_promising_until_all_of_them_are_lost(berths: Berths) -> None:
    for number in (HOSTED, FIRST, SECOND):
        assert berths.give_up(number) is not None
        assert berths.promising
    berths.give_up(THIRD)
    assert not berths.promising
    berths.take(SECOND, Berth(Rung.RELAYED, "tcp"))
    assert berths.promising


def test_a_forwarder_that_never_answered_counts_as_lost_and_a_new_one_is_promising() -> None:
    berths = Berths()
    assert not berths.promising
    berths.named = (FIRST,)
    assert berths.promising
    assert berths.give_up(FIRST) is None
    assert not berths.promising
    berths.named = (FIRST, SECOND)
    assert berths.promising
