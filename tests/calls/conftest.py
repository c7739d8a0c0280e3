"""A stage for each story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Everything that is started on it has ended when the test has."""
    with Stage(tmp_path) as made:
        yield made
