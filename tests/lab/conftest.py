"""What the lab needs; its tests are skipped with the reason where that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls.stage import Stage
from tests.lab.net import why_impossible


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """For calls in the namespace of the caller."""
    with Stage(tmp_path / "stage") as made:
        yield made


@pytest.fixture(scope="session")
def lab() -> None:
    """Namespaces can be made here."""
    why = why_impossible()
    if why is not None:
        pytest.skip(why)
