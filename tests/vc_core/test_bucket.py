"""The token bucket: full at birth, never over its burst, debts are paid in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc_core.bucket import Bucket, Buckets, Rate, customer

V4 = bytes([192, 0, 2, 7])
V6 = bytes.fromhex("20010db8000100020003000400050006")


def test_gives_its_burst_at_once_and_then_nothing() -> None:
    bucket = Bucket(Rate(per_second=1, burst=3), now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]


def test_gains_tokens_with_time_but_never_more_than_the_burst() -> None:
    bucket = Bucket(Rate(per_second=2, burst=3), now=0.0)
    assert all(bucket.take(0.0) for _ in range(3))
    assert bucket.take(0.5)
    assert not bucket.take(0.5)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_looking_takes_nothing() -> None:
    bucket = Bucket(Rate(per_second=0.001, burst=1), now=0.0)
    assert bucket.has(0.0)
    assert bucket.has(0.0)
    assert bucket.take(0.0)
    assert not bucket.has(0.0)


def test_a_debt_says_how_long_it_lasts() -> None:
    bucket = Bucket(Rate(per_second=100, burst=50), now=0.0)
    assert bucket.owe(0.0, 50) == 0
    assert bucket.owe(0.0, 200) == pytest.approx(2.0)
    assert bucket.owe(1.0, 0) == pytest.approx(1.0)
    assert not bucket.take(1.9)
    assert bucket.take(2.1)


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    bucket = Bucket(Rate(per_second=1, burst=2), now=10.0)
    assert bucket.take(10.0)
    assert bucket.take(5.0)
    assert not bucket.take(10.5)
    assert bucket.take(11.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3)), max_size=60))
def test_what_is_taken_never_exceeds_burst_and_gain(steps: list[tuple[float, float]]) -> None:
    rate = Rate(per_second=1.5, burst=4)
    bucket, now, taken = Bucket(rate, 0.0), 0.0, 0.0
    for pause, cost in steps:
        now += pause
        taken += cost if bucket.take(now, cost) else 0
        assert taken <= rate.burst + rate.per_second * now + 1e-6


def test_each_customer_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(Rate(per_second=1, burst=1), limit=10)
    assert buckets.take(b"a", 0.0)
    assert not buckets.take(b"a", 0.0)
    assert buckets.take(b"b", 0.0)


def test_the_table_of_customers_is_bounded_and_forgets_the_oldest() -> None:
    buckets = Buckets(Rate(per_second=0.001, burst=1), limit=3)
    for number in range(100):
        assert buckets.take(bytes([number]), 0.0)
        assert len(buckets) <= 3
    assert not buckets.take(bytes([99]), 0.0)
    assert buckets.take(bytes([0]), 0.0)


def test_one_ipv6_customer_is_a_64_and_one_ipv4_customer_an_address() -> None:
    neighbour = V6[:15] + b"\xff"
    stranger = V6[:7] + b"\xff" + V6[8:]
    assert customer(V6) == customer(neighbour)
    assert customer(V6) != customer(stranger)
    assert customer(V4) != customer(bytes([192, 0, 2, 8]))


def test_an_ipv4_address_inside_ipv6_counts_as_ipv4() -> None:
    assert customer(bytes(10) + b"\xff\xff" + V4) == customer(V4)
