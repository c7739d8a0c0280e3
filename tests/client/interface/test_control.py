"""``vchat mute`` and ``vchat ptt`` reach the running call, and no other door."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from client.interface import control
from client.interface.control import command, newest_socket, runtime_folder, socket_path
from client.refused import Refused
from tests.conftest import ROOT


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of one's own; short, since a socket's path is."""
    with tempfile.TemporaryDirectory(prefix="vc-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


Told = dict[str, Any]


class Call:
    """The double of an engine: one connection, scripted answers."""

    def __init__(self, path: Path, answers: list[bytes], *, closes: bool = True) -> None:
        self.heard: list[Told] = []
        self._answers = answers
        self._closes = closes
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(os.fspath(path))
        self._server.listen()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            line, _ = self._server.accept()
            with line, line.makefile("rb") as file:
                if said := file.readline():
                    self.heard.append(json.loads(said))
                    for answer in self._answers:
                        line.sendall(answer)
                    if not self._closes:
                        self._done.wait(10)
                    return

    def close(self) -> None:
        """Stop listening; the socket's file stays, as after a crash."""
        self._done.set()
        if self._thread.is_alive() and not self.heard:
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(self._server.getsockname())
                last.sendall(b"{}\n")
        self._thread.join()
        self._server.close()


@contextmanager
def running(path: Path, *answers: Told | bytes, closes: bool = True) -> Iterator[Call]:
    """A call at ``path`` that answers the first command."""
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in answers]
    call = Call(path, lines, closes=closes)
    try:
        yield call
    finally:
        call.close()


MUTED = {"event": "muted", "t": 1.0, "member": "m0", "on": True}


def test_the_folder_is_ours_alone(runtime: Path) -> None:
    folder = runtime_folder()
    assert folder == runtime / "vchat"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert socket_path(42) == folder / "42.sock"


def test_without_a_runtime_folder_there_is_one_among_the_temporary_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
    folder = runtime_folder()
    assert folder == tmp_path / f"vchat-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("given", ["relative", "/nonexistent/folder", "/tmp/" + "long" * 30])
def test_a_runtime_folder_that_cannot_be_used_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", given)
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
    assert runtime_folder().parent == tmp_path


def test_a_folder_that_others_may_enter_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
    runtime_folder().chmod(0o755)
    with pytest.raises(Refused, match="not a private folder"):
        runtime_folder()


def test_a_link_that_somebody_laid_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"vchat-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused):
        runtime_folder()


@pytest.mark.usefixtures("runtime")
def test_the_newest_living_call_is_meant_and_dead_ones_are_cleared_away() -> None:
    with ExitStack() as stack:
        for age, pid in enumerate((1, 2, 3)):
            stack.enter_context(running(socket_path(pid)))
            os.utime(socket_path(pid), (100 - age, 100 - age))
        with running(socket_path(4)):
            assert newest_socket() == socket_path(4)
        assert newest_socket() == socket_path(1)  # 4 died and left its file
        assert not socket_path(4).exists()
    (runtime_folder() / "5.sock").write_text("no socket")
    assert newest_socket() is None


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("on", [True, False, "toggle"])
def test_the_command_goes_out_and_the_answer_comes_back(on: bool | str) -> None:
    with running(socket_path(7), {"event": "talking"}, MUTED) as call:
        assert command("mute", on) is True
        assert call.heard == [{"do": "mute", "on": on}]


@pytest.mark.usefixtures("runtime")
def test_somebody_elses_microphone_is_not_ours() -> None:
    other = {**MUTED, "own": False, "on": False}
    with running(socket_path(7), other, {**MUTED, "own": True}):
        assert command("mute", True) is True


@pytest.mark.usefixtures("runtime")
def test_what_the_call_refuses_is_said() -> None:
    error = {"event": "error", "code": "bad-command", "message": "no open room", "hint": "wait"}
    with running(socket_path(7), error), pytest.raises(Refused) as caught:
        command("ptt", True)
    assert (caught.value.message, caught.value.hint) == ("no open room", "wait")


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("noise", [b"", b"what?\n[]\n5\n", b"\xff" * 100, b'{"event":"muted"'])
def test_a_call_that_ends_without_an_answer_is_said(noise: bytes) -> None:
    with running(socket_path(7), noise), pytest.raises(Refused) as caught:
        command("mute", True)
    assert caught.value.code in ("no-answer", "no-call")


@pytest.mark.usefixtures("runtime")
def test_a_call_that_hangs_is_waited_for_no_longer_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "ANSWER_LIMIT", 0.2)
    with running(socket_path(7), closes=False), pytest.raises(Refused) as caught:
        command("mute", True)
    assert caught.value.code == "no-answer"


@pytest.mark.usefixtures("runtime")
def test_the_program_tells_the_call_and_says_what_is_now() -> None:
    with running(socket_path(7), MUTED) as call:
        done = vchat("mute", "toggle")
    assert (done.returncode, done.stdout) == (0, "muted\n")
    assert call.heard == [{"do": "mute", "on": "toggle"}]


@pytest.mark.usefixtures("runtime")
def test_without_a_call_the_program_says_so() -> None:
    done = vchat("ptt", "on")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "vchat: error: no call is running on this machine",
        "vchat: hint: vchat host starts one",
    ]


@contextmanager
def hosting(folder: Path) -> Iterator[IO[str]]:
    """A real call; its events, from the one after ``room`` on."""
    words = ["host", "--json", "--mic", "none", "--speaker", "none", "--listen", "127.0.0.1:0"]
    command = [sys.executable, "-m", "client", *words, "--config", os.fspath(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "room":
                break
        yield process.stdout
        process.stdin.write('{"do": "leave"}\n')
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.usefixtures("runtime")
def test_a_real_call_is_muted_and_unmuted(tmp_path: Path) -> None:
    with hosting(tmp_path) as events:
        words = [("mute", "on"), ("mute", "toggle"), ("ptt", "off"), ("ptt", "on")]
        said = [vchat(*command).stdout for command in words]
        assert said == ["muted\n", "unmuted\n", "muted\n", "unmuted\n"]
        told = (json.loads(line) for line in events)
        muted = (event["on"] for event in told if event["event"] == "muted")
        assert [next(muted) for _ in words] == [True, False, True, False]


def vchat(*words: str) -> subprocess.CompletedProcess[str]:
    """The program, really."""
    program = [sys.executable, "-m", "client", *words]
    return subprocess.run(
        program, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
