"""Read test vectors: our own, generated into this folder, and those of others.

``python -m tests.vectors.make`` writes the JSON files here, always the same.
In each, ``good`` lists what must work, ``bad`` what must fail, one failure
each, named after it. Bytes are hexadecimal.

Public vectors are read from ``../shared/vectors`` beside the project, or from
the folder that ``VCHAT_VECTORS`` names; tests skip where there is none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PUBLIC = Path(os.environ.get("VCHAT_VECTORS", HERE.parents[2] / "shared" / "vectors"))


def own(name: str) -> Any:
    """One of our own files, read."""
    return json.loads((HERE / f"{name}.json").read_text())


def public(name: str) -> Any:
    """A public file, read; the test is skipped where it is absent."""
    path = PUBLIC / name
    if not path.exists():
        pytest.skip(f"public vectors are not here: {name} (set VCHAT_VECTORS)")
    return json.loads(path.read_text())


def names(cases: list[dict[str, Any]]) -> list[str]:
    """The ids of parametrized cases."""
    return [str(case["name"]) for case in cases]
