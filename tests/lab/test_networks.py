"""Calls between networks: the short cases of the lab."""

from __future__ import annotations

import pytest

from tests.lab.cases import SHORT, Case
from tests.lab.meeting import scene


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.__name__)
def test_a_call_between_networks_works_with(case: Case, lab: None) -> None:
    with scene() as made:
        times = case(made)
    print(f"{case.__name__}: {times}")
