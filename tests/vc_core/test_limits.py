"""Limits as they are typed, of every kind and of none."""

from __future__ import annotations

import pytest

from vc_core.bucket import Rate
from vc_core.limits import read_limits
from vc_core.record import record


@record
class Some:
    seats: int = 3
    open_life: float = 2.5
    tries: Rate = Rate(1, 10)


def test_each_limit_takes_what_it_is_made_of() -> None:
    typed = ["seats=4", "open-life=0.5", "tries=2/7"]
    assert read_limits(Some(), typed) == {"seats": 4, "open_life": 0.5, "tries": Rate(2, 7)}
    assert read_limits(Some(), ["seats=4", "seats=5"]) == {"seats": 5}


NO_NUMBERS = ("seats", "seats=", "seats=1.5", "seats=0", "seats=-1", "seats=9999999999999")
NO_TIMES = ("open_life=nan", "open_life=inf", "open_life=1/2")
NO_RATES = ("tries=1", "tries=1/2/3", "tries=1/", "tries=0/1")


@pytest.mark.parametrize("typed", [*NO_NUMBERS, *NO_TIMES, *NO_RATES])
def test_what_is_no_value_is_said_with_its_limit(typed: str) -> None:
    name, _, text = typed.partition("=")
    with pytest.raises(ValueError, match=f"{text!r} is no value for {name}"):
        read_limits(Some(), [typed])


def test_what_is_no_limit_is_said_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="no limit 'seat'; there are seats, open_life, tries"):
        read_limits(Some(), ["seat=1"])
