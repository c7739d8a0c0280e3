"""Arrivals: who is late makes room."""

from __future__ import annotations

from vc_core.arrivals import Arrivals


def test_of_a_customer_who_has_too_many_the_oldest_goes() -> None:
    arrivals: Arrivals[str] = Arrivals(9, 2)
    assert arrivals.add("theirs", b"other") is None
    assert [arrivals.add(one, b"one") for one in "abcd"] == [None, None, "a", "b"]
    assert len(arrivals) == 3


def test_where_there_are_too_many_the_oldest_of_all_goes() -> None:
    arrivals: Arrivals[int] = Arrivals(3, 2)
    assert [arrivals.add(one, bytes([one])) for one in range(5)] == [None, None, None, 0, 1]


def test_who_has_arrived_counts_no_more() -> None:
    arrivals: Arrivals[str] = Arrivals(2, 1)
    arrivals.add("a", b"one")
    arrivals.remove("a")
    arrivals.remove("a")
    assert arrivals.add("b", b"one") is None and len(arrivals) == 1
