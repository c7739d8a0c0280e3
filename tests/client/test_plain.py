"""The plain face prints what happens and sends what is typed."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from client.interface import attach
from client.plain import Plain
from tests.client.fake_engine import PATIENCE, FakeEngine, fake_engine
from tests.client.ui import story
from tests.conftest import ROOT


class Bench:
    """A plain face between a fake engine and a pipe."""

    def __init__(self, fake: FakeEngine, stdin: int, face: asyncio.Task[int]) -> None:
        self.fake = fake
        self._stdin = stdin
        self.face = face

    def type(self, text: str) -> None:
        """Write to its stdin."""
        os.write(self._stdin, text.encode())

    def close(self) -> None:
        """The end of its stdin."""
        os.close(self._stdin)
        self._stdin = -1

    async def end(self) -> int:
        """Until the call is over; the exit code."""
        self.fake.tell(story.ended())
        async with asyncio.timeout(PATIENCE):
            return await self.face


@asynccontextmanager
async def bench(folder: Path, stdin: int, writing: int) -> AsyncIterator[Bench]:
    """A face that reads ``stdin``, which the test writes through ``writing``."""
    async with fake_engine(folder) as fake:
        engine = await attach.attach(fake.path)
        one = Bench(fake, writing, asyncio.create_task(Plain(engine, stdin).run()))
        await fake.order("attach")
        try:
            yield one
        finally:
            one.face.cancel()
            if one._stdin >= 0:
                one.close()


@asynccontextmanager
async def piped(folder: Path) -> AsyncIterator[Bench]:
    """With a pipe."""
    stdin, writing = os.pipe()
    async with bench(folder, stdin, writing) as one:
        yield one


@asynccontextmanager
async def by_hand(folder: Path) -> AsyncIterator[Bench]:
    """With a terminal."""
    writing, stdin = pty.openpty()
    async with bench(folder, stdin, writing) as one:
        yield one


async def test_a_call_is_told_line_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with piped(tmp_path) as one:
        one.fake.tell(story.READY, story.ROOM, story.joined(), story.path())
        one.fake.tell(story.chat("hello"), story.chat("psst", private=True))
        one.fake.tell(story.problem("warning", "the server is gone", "wait"))
        one.fake.tell(story.left(reason="vanished"))
        assert await one.end() == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "4821-apple-robot-candle@127.0.0.1:1",
        "* or the link:",
        "vchat:AQAENjgxMb",
        "* bob joined (never met before)",
        "* bob is connected: direct 12 ms",
        "bob: hello",
        "(private) bob: psst",
        "! the server is gone (wait)",
        "* bob is gone: nothing was heard for 10 seconds",
        "* you left the room",
    ]


async def test_errors_go_to_stderr_in_the_common_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with piped(tmp_path) as one:
        one.fake.tell(story.problem("error", "the code is wrong", "check it"))
        one.fake.tell(story.ended("code-wrong", 3))
        assert await one.face == 3
    assert capsys.readouterr().err == "vchat: error: the code is wrong\nvchat: hint: check it\n"


async def test_a_piped_text_waits_for_somebody_to_read_it(tmp_path: Path) -> None:
    async with piped(tmp_path) as one:
        one.type("hi\n")
        one.close()
        one.fake.tell(story.READY, story.GUEST_ROOM)
        one.fake.tell({"event": "audio", "mic": "none", "speaker": "none"})
        assert not one.fake.orders
        one.fake.tell(story.joined("m0", "ann", host=True))
        order = await one.fake.order("chat")
        assert order["text"] == "hi" and not one.face.done()
        assert await one.end() == 0


async def test_a_flood_from_a_pipe_waits_for_its_receipts(tmp_path: Path) -> None:
    async with piped(tmp_path) as one:
        one.fake.tell(story.ROOM, story.joined())
        one.type("".join(f"line {n}\n" for n in range(100)))
        one.close()
        for number in range(100):
            order = await one.fake.order("chat")
            assert order["text"] == f"line {number}"
            assert len(one.fake.orders) < 40
            one.fake.tell({"event": "sent", "id": str(number), "ref": order["ref"]})
            one.fake.tell({"event": "delivered", "id": str(number), "member": "m1"})


async def test_slash_commands_work_and_mistakes_are_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with piped(tmp_path) as one:
        one.fake.tell(story.ROOM, story.joined())
        one.type("/mute\n/msg bob psst\n/leaev\n/code copy\n/help\n/leave\n")
        assert (await one.fake.order("mute"))["on"] is True
        assert (await one.fake.order("chat"))["to"] == "m1"
        await one.fake.order("leave")
        await one.end()
    out = capsys.readouterr().out
    assert "did you mean /leave?" in out and "/volume NAME PERCENT" in out
    assert out.count("4821-apple-robot-candle@127.0.0.1:1\n") == 2


async def test_a_person_who_types_to_nobody_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with by_hand(tmp_path) as one:
        one.fake.tell(story.ROOM)
        one.type("hello?\n/deafen on\n")
        assert (await one.fake.order("deafen"))["on"] is True
        assert not one.fake.orders
        await one.end()
    assert "nobody is here yet to read that" in capsys.readouterr().out


async def test_the_end_of_what_a_person_types_leaves(tmp_path: Path) -> None:
    async with by_hand(tmp_path) as one:
        one.fake.tell(story.ROOM)
        one.type("\x04")
        await one.fake.order("leave")


async def test_a_reader_that_has_gone_away_ends_the_call_politely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with piped(tmp_path) as one:
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as broken:
            monkeypatch.setattr(sys, "stdout", broken)
            one.fake.tell(story.READY, story.ROOM, story.joined(), story.chat("hello"))
            await one.fake.order("leave")
            assert await one.end() == 0
        assert not one.fake.orders


async def test_detaching_lets_the_call_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with piped(tmp_path) as one:
        one.fake.tell(story.ROOM)
        one.type("/detach\n")
        await one.fake.order("detach")
        assert await one.face == 0
    assert "vchat attach" in capsys.readouterr().out


async def test_texts_of_others_do_nothing_to_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with piped(tmp_path) as one:
        one.fake.tell(story.ROOM, story.joined(), story.chat("a\x1b[2Jb\x07\x9b1mc\u202ed\r\ne"))
        await one.end()
    assert "bob: ab1mcd e\n" in capsys.readouterr().out


async def test_a_line_without_end_is_refused_and_not_hoarded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with piped(tmp_path) as one:
        one.fake.tell(story.ROOM, story.joined())
        writer = asyncio.to_thread(one.type, "x" * 200_000 + "\n/deafen on\n")
        await asyncio.gather(writer, one.fake.order("deafen"))
        await one.end()
    assert "at most 16 KiB" in capsys.readouterr().out


# ---- Real processes -----------------------------------------------------------------------


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that end with the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def vchat(started: list[subprocess.Popen[str]], home: Path, *words: str) -> subprocess.Popen[str]:
    home.mkdir(mode=0o700)
    silent = ("--plain", "--mic", "none", "--speaker", "none", "--config", str(home))
    process = subprocess.Popen(
        [sys.executable, "-m", "client", *words, *silent],
        cwd=ROOT,
        env={**os.environ, "XDG_RUNTIME_DIR": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    return process


def wait_for(process: subprocess.Popen[str], pattern: str) -> str:
    """The first line that matches."""
    assert process.stdout is not None
    begun, seen = time.monotonic(), []
    for line in process.stdout:
        seen.append(line)
        if re.search(pattern, line):
            return line.strip()
        assert time.monotonic() - begun < 60
    raise AssertionError(f"no {pattern} in {seen}; {process.stderr and process.stderr.read()}")


def test_two_processes_greet_each_other_and_leave_politely(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    host = vchat(started, tmp_path / "h", "host", "--listen", "127.0.0.1:0", "--name", "ann")
    code = wait_for(host, r"^\d{4,}-\w+-\w+-\w+@")
    guest = vchat(started, tmp_path / "g", "join", code, "--name", "bob")
    assert guest.stdin is not None
    guest.stdin.write("hi\n")
    guest.stdin.close()
    assert wait_for(host, "^bob: ") == "bob: hi"
    host.send_signal(signal.SIGINT)
    assert wait_for(guest, "the host left")
    assert host.wait(PATIENCE) == 0 and guest.wait(PATIENCE) == 0


def test_a_code_that_nobody_knows_ends_with_a_sentence(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    guest = vchat(started, tmp_path / "g", "join", "4821-apple-robot-candle@127.0.0.1:1")
    _, err = guest.communicate(timeout=60)
    assert guest.returncode == 4
    assert re.match(r"vchat: error: .+\nvchat: hint: .+\n$", err)
