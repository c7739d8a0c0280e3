"""What children write on stderr: bounded, cleaned, and not lost."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from client.pictures import children
from client.pictures.children import Child
from client.pictures.murmur import BYTES, LINES, MAX_LINE, Murmur


def test_lines_come_whole_however_they_were_cut() -> None:
    murmur = Murmur(0.0)
    found = [
        line for data in (b"one", b" two\nthr", b"ee\n\n") for line in murmur.feed(data, 0.0)[0]
    ]
    assert found == ["one two", "three"]
    murmur.feed(b"four", 0.0)
    assert murmur.end(0.0) == ["four"]
    assert murmur.last == "four"


def test_nothing_in_them_commands_a_terminal() -> None:
    lines, _ = Murmur(0.0).feed(b"\x1b[2Jred\x1b]0;x\x07\x9b1m\xff\r\xe2\x80\xae!\n", 0.0)
    assert lines == ["red1m\ufffd!"] or all(c.isprintable() for c in lines[0])
    assert "\x1b" not in lines[0] and "\u202e" not in lines[0]


def test_a_long_line_is_cut_and_kept_in_no_more_bytes() -> None:
    murmur = Murmur(0.0)
    for _ in range(100):
        assert murmur.feed(b"x" * 10_000, 0.0)[0] == []
        assert len(murmur._begun) <= MAX_LINE
    assert murmur.feed(b"\nshort\n", 0.0)[0] == ["x" * MAX_LINE, "short"]


def test_a_flood_is_counted_and_not_told() -> None:
    murmur = Murmur(0.0)
    lines, _ = murmur.feed(b"again\n" * 1000, 0.0)
    assert len(lines) == LINES.burst
    assert murmur.feed(b"later\n", 1.0)[0] == ["(970 lines left out)", "later"]


def test_who_writes_too_much_is_read_no_more_for_a_while() -> None:
    murmur = Murmur(0.0)
    assert murmur.feed(bytes(int(BYTES.burst)), 0.0)[1] == 0
    pause = murmur.feed(bytes(int(BYTES.per_second) * 3), 0.0)[1]
    assert pause == 3


async def run(code: str, monkeypatch: pytest.MonkeyPatch, seconds: float = 10.0) -> None:
    """A child whose program is ``code``."""
    gone = asyncio.Event()
    child = Child(code, on_record=lambda _: None, on_gone=gone.set)
    real = asyncio.get_running_loop().subprocess_exec

    async def start(protocol: object, program: str, *_: str, **more: object) -> object:
        return await real(protocol, program, "-c", code, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio.get_running_loop(), "subprocess_exec", start, raising=False)
    await child.start()
    try:
        async with asyncio.timeout(seconds):
            await gone.wait()
    except TimeoutError:
        child.kill()
        await child.ended()


async def test_what_a_child_writes_and_dies_of_stands_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=children.__name__)
    code = "import sys; sys.stderr.write('no \\x1b[31mcodec\\n'); sys.exit(3)"
    await run(code, monkeypatch)
    told = [(one.levelname, one.getMessage().removeprefix(code)) for one in caplog.records]
    assert told == [("INFO", ": no codec"), ("WARNING", " has ended with 3: no codec")]


async def test_a_child_that_floods_its_stderr_costs_next_to_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=children.__name__)
    spent = time.process_time()
    await run("import os\nwhile True: os.write(2, b'noise\\n' * 10000)", monkeypatch, 3.0)
    assert time.process_time() - spent < 0.5
    assert len(caplog.records) < 60
