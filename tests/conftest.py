"""What all tests share: seeded chance, the public vectors, Hypothesis profiles.

Tests that meet the world have a clock that runs on while the machine is busy with
others. Such a test that fails is tried once more, and told as ``RERUN``; what
computes alone (``PURE``) has one try.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "quick", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True, print_blob=True)
settings.register_profile("deep", settings.get_profile("quick"), max_examples=20_000)
settings.load_profile(os.environ.get("VCHAT_HYPOTHESIS", "ci" if "CI" in os.environ else "quick"))

PURE = {"vc_core", "sim", "rules", "fuzz", "vectors"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A second try for what meets a clock."""
    for item in items:
        if item.path.relative_to(ROOT / "tests").parts[0] not in PURE:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def rng() -> Callable[[int], bytes]:
    """Chance with a fixed seed: the same bytes in every run of a test."""
    return random.Random(20_260_101).randbytes


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of public test vectors: ``VCHAT_VECTORS``, beside, or inside the project."""
    places = [Path(os.environ.get("VCHAT_VECTORS", ROOT / "tests" / "vectors"))]
    places.append(ROOT.parent / "shared" / "vectors")
    for place in places:
        if place.is_dir():
            return place
    pytest.skip("no public vectors here (VCHAT_VECTORS names their folder)")
