"""A stage for each story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.calls.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Everything that is started on it has ended when the test has.

    Its folder has a short name: a path of a control socket has at most 107 bytes.
    """
    with TemporaryDirectory(prefix="vc-") as folder, Stage(Path(folder)) as made:
        yield made
