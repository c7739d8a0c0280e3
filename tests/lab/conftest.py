"""What the lab needs; its tests are skipped with the reason where that is not there."""

from __future__ import annotations

import pytest

from tests.lab.net import why_impossible


@pytest.fixture(scope="session")
def lab() -> None:
    """Namespaces can be made here."""
    why = why_impossible()
    if why is not None:
        pytest.skip(why)
