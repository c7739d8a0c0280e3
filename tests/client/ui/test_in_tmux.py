"""The face with a picture in a terminal of somebody else's: tmux."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rules.source import ROOT

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]
FACE = f"env -u NO_COLOR COLORTERM=truecolor {sys.executable} -m tests.bench.looking 20"
PATIENCE = 30.0  # s
DRAWN = 20  # lines of the pane with half blocks in them, at least


class Tmux:
    """A server of our own, with one pane."""

    def __init__(self, socket: Path) -> None:
        self._command = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self.run("new-session", "-d", "-x", "120", "-y", "46", "-c", str(ROOT), FACE)

    def run(self, *words: str) -> str:
        """One command of tmux."""
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, check=False)
        return done.stdout

    def shows(self, words: str, *, drawn: int = 0) -> str:
        """What stands in the pane once these words are in it, and so many lines of picture."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            pane = self.run("capture-pane", "-p")
            if words in pane and sum("▀" in line for line in pane.splitlines()) >= drawn:
                return pane
            time.sleep(0.1)
        raise AssertionError(f"{words}, {drawn} lines of picture: never stood in\n{pane}")


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    one = Tmux(tmp_path / "tmux.sock")
    yield one
    one.run("kill-server")


def test_half_blocks_texts_and_keys_live_in_one_pane(tmux: Tmux) -> None:
    pane = tmux.shows("", drawn=DRAWN)
    assert "bob" in pane and "\n>" in pane
    coloured = tmux.run("capture-pane", "-p", "-e")
    assert len(re.findall(r"\x1b\[[\d;]*38;2;", coloured)) > 200
    tmux.run("send-keys", "-l", "hello")
    pane = tmux.shows("> hello")
    assert "[?" not in pane.replace("▀", ""), "answers of the terminal are no keys"
    tmux.run("send-keys", "F1")
    assert "▀" not in tmux.shows("keys and commands")
    tmux.run("send-keys", "F1")
    tmux.shows("", drawn=DRAWN)
