"""``vchat demo`` as a process: everything arrives, or it says what did not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from client.commands import demo
from client.commands.demo_cast import engine
from tests.calls.engines import ROOT

PATIENCE = 60.0  # s; a busy machine


def alive(folder: Path) -> list[str]:
    """Command lines of processes that work in ``folder``."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(folder) in line:
                lines.append(line)
    return lines


def start(folder: Path) -> subprocess.Popen[str]:
    """``vchat demo`` with an empty home and its temporary files in ``folder``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("VCHAT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "client", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**kept, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.live
def test_everything_arrives_and_nothing_is_left_behind(tmp_path: Path) -> None:
    process = start(tmp_path)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    rows = [line.split() for line in said.splitlines() if " direct " in line]
    pairs = {(row[0], row[1]) for row in rows}
    assert pairs == {(one, other) for one in demo.NAMES for other in demo.NAMES if one != other}
    assert all(row[-1] == "1/1" for row in rows)
    seen = {row[1] for row in rows if any(cell.endswith("/s,") for cell in row)}
    assert seen == set(demo.NAMES[1:])
    assert list(tmp_path.glob("vchat-demo-*")) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_its_players_when_it_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    deadline = time.monotonic() + PATIENCE
    while len(set(alive(tmp_path))) < len(demo.NAMES) and time.monotonic() < deadline:
        time.sleep(0.02)
    # A player that is just starting a child for pictures is there twice for a moment.
    assert len(set(alive(tmp_path))) == len(demo.NAMES)
    process.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert alive(tmp_path) == []
    assert list(tmp_path.glob("vchat-demo-*")) == []


def broken(code: str) -> Callable[[str], Sequence[str]]:
    """Starts Bob's engine with ``code`` run before it."""
    wrapped = f"import sys\n{code}\nfrom client.cli import main\nsys.exit(main())"
    return lambda name: (sys.executable, "-c", wrapped) if name == "Bob" else engine(name)


DUMB = """
from client.room import Room
sys.argv[sys.argv.index('--mic') + 1] = 'none'
Room.say = lambda *_: bytes(8)
"""
GONE = "sys.exit(3)"


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        (
            DUMB,
            {
                "Bob to Ada: voice not understood",
                "Bob to Cleo: voice not understood",
                "Bob to Ada: 0 texts instead of 1",
                "Bob to Cleo: 0 texts instead of 1",
            },
        ),
        (GONE, {"Bob ended with exit code 3", "Bob to Ada: no direct path"}),
    ],
    ids=["dumb", "gone"],
)
def test_fails_when_a_guest_is_broken(
    code: str, wrong: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.run(broken(code)) == 1
    said = capsys.readouterr()
    assert wrong <= {line.removeprefix("vchat: error: ") for line in said.err.splitlines()}
    assert "something is missing" in said.out
    assert "everything arrived" not in said.out
