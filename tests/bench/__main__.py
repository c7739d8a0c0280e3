"""All figures that we promise, measured: ``make bench``.

    python -m tests.bench [PART ...]

Parts: version sealing joining delay repeats costs eight quality signaling relay pictures.
aiortc is measured in the same run if it is installed (``pip install aiortc``).
Figures of a busy machine are worse; the first line says how busy it was.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.bench import calls
from tests.bench.peer_aiortc import missing
from tests.bench.peers import aiortc
from tests.bench.sealing import sealing
from tests.bench.table import Row, lines
from tests.calls.engines import ROOT

PARTS: dict[str, Callable[[Path], list[Row]]] = {
    "version": lambda _folder: [calls.version()],
    "sealing": lambda _folder: sealing(),
    "joining": calls.joining,
    "delay": calls.mouth_to_ear,
    "repeats": calls.repeats,
    "costs": calls.costs,
    "eight": calls.eight,
}
TABLES = {
    "quality": "tests.bench.voice_quality",
    "signaling": "tests.bench.signaling",
    "relay": "tests.bench.relay",
    "pictures": "tests.bench.pictures",
}
"""Parts that print tables of their own."""
COMPARED = {"joining", "delay", "costs"}


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{[*PARTS, *TABLES]}")
    chosen = parser.parse_args().parts or [*PARTS, *TABLES]
    if unknown := set(chosen) - {*PARTS, *TABLES}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="vchat-bench-") as folder:
        _measure(chosen, Path(folder))
    for part in chosen:
        if part in TABLES:
            print(f"\n{part}", flush=True)
            subprocess.run([sys.executable, "-m", TABLES[part]], cwd=ROOT, check=True)


def _measure(chosen: list[str], folder: Path) -> None:
    rows: list[Row] = []
    for part in chosen:
        if part in PARTS:
            print(f"measuring {part} …", file=sys.stderr, flush=True)
            rows += PARTS[part](folder)
    peer = aiortc(folder / "aiortc") if COMPARED & set(chosen) else {}
    if rows:
        print("\n".join(lines([replace(row, peer=peer.get(row.what, "")) for row in rows])))
    if COMPARED & set(chosen) and missing():
        print("aiortc: peer not installed")


if __name__ == "__main__":
    main()
