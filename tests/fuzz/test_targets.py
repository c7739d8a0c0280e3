"""A little of each fuzz target; ``python -m tests.fuzz`` does more."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS, Target

EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@EACH
def test_valid_and_empty_bytes_are_no_finding(target: Target) -> None:
    for seed in (*target.seeds(), b""):
        target.try_one(seed)


@EACH
def test_nearly_valid_bytes_are_no_finding(target: Target) -> None:
    seeds, chance = target.seeds(), random.Random(target.name)
    for _ in range(60):
        target.try_one(mutate(chance, seeds))


@EACH
def test_any_bytes_are_no_finding(target: Target) -> None:
    @settings(max_examples=15)
    @given(st.binary(max_size=400))
    def check(data: bytes) -> None:
        target.try_one(data)

    check()


def test_a_finding_is_one() -> None:
    def divide(data: bytes) -> None:
        assert 1 // len(data)

    with pytest.raises(ZeroDivisionError):
        Target("broken", divide, lambda: [b"x"]).try_one(b"")
