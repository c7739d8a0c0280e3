"""A finding of ``vchat doctor``: one line, and one line of advice."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One line."""

    verdict: str
    """ok, warn or fail."""
    what: str
    said: str
    advice: str = ""
