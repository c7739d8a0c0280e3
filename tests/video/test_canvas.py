"""Pictures over the socket of a terminal, asked for one by one."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.video.encoded import stream
from tests.video.viewing import Child
from video.canvas import HEAD

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such sockets")


class Terminal:
    """The process that owns the tty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(1)
        self._listening.settimeout(10)
        self._peer: socket.socket | None = None

    @property
    def peer(self) -> socket.socket:
        """The viewing process."""
        if self._peer is None:
            self._peer, _ = self._listening.accept()
            self._peer.settimeout(10)
        return self._peer

    def ask(self, width: int, height: int) -> None:
        """For one picture."""
        self.peer.sendall(json.dumps({"width": width, "height": height}).encode() + b"\n")

    def picture(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """The next one that comes."""
        length, width, height = HEAD.unpack(self._exactly(HEAD.size))
        assert length == 4 + 3 * width * height
        return np.frombuffer(self._exactly(length - 4), np.uint8).reshape(height, width, 3)

    def nothing(self) -> bool:
        """Whether nothing comes for a while."""
        self.peer.settimeout(0.3)
        try:
            return not self.peer.recv(1)
        except TimeoutError:
            return True
        finally:
            self.peer.settimeout(10)

    def close(self) -> None:
        """Hang up."""
        self._listening.close()
        if self._peer is not None:
            self._peer.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.peer.recv(count - len(data))
            assert piece
            data += piece
        return data


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path / "picture.sock")
    yield one
    one.close()


def test_a_picture_comes_in_the_size_that_was_asked_for(terminal: Terminal) -> None:
    with Child(f"terminal:{terminal.path}") as child:
        child.frames(stream(3))
        terminal.ask(60, 34)
        picture = terminal.picture()
        assert picture.shape == (34, 60, 3)
        bars = [picture[5, 60 * bar // 6 + 5].astype(int) for bar in range(6)]
        wanted = [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 0)]
        for bar, colour in zip(bars, [*wanted, (0, 0, 255)], strict=True):
            assert np.abs(bar - np.array(colour)).max() < 24


def test_a_picture_is_sent_once_and_again_in_another_size(terminal: Terminal) -> None:
    with Child(f"terminal:{terminal.path}") as child:
        child.frames(stream(1))
        terminal.ask(16, 10)
        terminal.picture()
        terminal.ask(16, 10)
        assert terminal.nothing()
        terminal.ask(20, 12)
        assert terminal.picture().shape == (12, 20, 3)


def test_a_terminal_that_asks_for_nothing_gets_nothing(terminal: Terminal) -> None:
    with Child(f"terminal:{terminal.path}") as child:
        child.frames(stream(5))
        child.hear("started")
        assert terminal.nothing()


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b'{"width":0,"height":1}\n', b"{" * 300, b""])
def test_nonsense_or_the_end_from_the_terminal_closes(terminal: Terminal, line: bytes) -> None:
    with Child(f"terminal:{terminal.path}") as child:
        child.frames(stream(1))
        terminal.peer.sendall(line)
        if not line:
            terminal.close()
        assert child.hear("closed")["how"] == "terminal"
        assert child.end()[1] == 0


def test_a_terminal_that_is_not_there_is_said(tmp_path: Path) -> None:
    with Child(f"terminal:{tmp_path}/nobody") as child:
        assert child.hear("error")["code"] == "no-terminal"
        child.end()
