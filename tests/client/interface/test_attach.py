"""A face starts an engine, holds on to it, and lets go in the right way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from client.interface import attach
from client.refused import Refused
from tests.client.fake_engine import PATIENCE, fake_engine
from tests.client.ui import story

LISTEN = """
import json, os, socket, sys
path = sys.argv[sys.argv.index("--socket") + 1]
server = socket.socket(socket.AF_UNIX)
server.bind(path + "~"); server.listen(); os.rename(path + "~", path)
face = server.accept()[0]
lines, said = face.makefile("r"), face.makefile("w")  # one for both forgets what it read ahead
first = json.loads(lines.readline())
print(json.dumps({"event": "ready", "argv": sys.argv[1:], "first": first,
                  "session": os.getsid(0) == os.getpid()}), file=said, flush=True)
"""
THEN_LEAVE = """
for line in lines:
    if json.loads(line)["do"] == "leave":
        print(json.dumps({"event": "ended", "reason": "left", "exit": 0}), file=said, flush=True)
        break
"""
THEN_HANG = "import time\nfor line in lines: pass\ntime.sleep(60)\n"


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder of the test's own."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def program(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Start ``script`` in place of the engine."""
    monkeypatch.setattr(attach, "PROGRAM", (sys.executable, "-c", script))


async def test_an_engine_is_started_attached_to_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, LISTEN + THEN_LEAVE)
    engine = await attach.start_engine(["join", "--name", "bob", "--", "4821-apple"])
    events = engine.events()
    ready = await anext(events)
    assert ready["first"] == {"do": "attach"} and ready["session"]
    assert ready["argv"][:3] == ["join", "--detached", "--socket"]
    assert ready["argv"][4:] == ["--name", "bob", "--", "4821-apple"]
    engine.leave()
    assert [event["event"] async for event in events] == ["ended"]
    assert await engine.close() == 0
    assert engine.child is not None and engine.child.process.returncode == 0


async def test_the_socket_lies_in_a_folder_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, runtime: Path
) -> None:
    program(monkeypatch, "pass")
    child = attach.launch(["host"])
    child.process.wait(PATIENCE)
    assert child.socket.parent == runtime / "vchat"
    assert child.socket.parent.stat().st_mode & 0o777 == 0o700
    assert not list(child.socket.parent.iterdir())


async def test_an_engine_that_dies_first_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "import sys; print('vchat: error: no luck', file=sys.stderr); sys.exit(4)"
    program(monkeypatch, said)
    with pytest.raises(attach.EngineDiedError) as died:
        await attach.start_engine(["host"])
    assert (died.value.exit_code, died.value.said) == (4, "vchat: error: no luck")


async def test_an_engine_that_does_not_come_up_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(attach, "START_PATIENCE", 0.2)
    child = attach.launch(["host"])
    with pytest.raises(attach.EngineDiedError) as died:
        await attach.attach_child(child)
    assert died.value.exit_code == 1 and "did not start" in died.value.said
    assert child.process.returncode == -signal.SIGKILL


async def test_an_interrupt_while_it_starts_leaves_no_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program(monkeypatch, "import time; time.sleep(60)")
    child = attach.launch(["host"])
    task = asyncio.create_task(attach.attach_child(child))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert child.process.returncode is not None


async def test_leaving_politely_is_said_once(tmp_path: Path) -> None:
    async with fake_engine(tmp_path) as fake:
        engine = await attach.attach(fake.path)
        engine.leave()
        engine.leave()
        await fake.order("leave")
        engine.interrupt()
        assert await engine.close() == 130
        await fake.gone()
        assert [order["do"] for order in fake.orders] == ["attach"]


async def test_two_interrupts_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, LISTEN + THEN_HANG)
    engine = await attach.start_engine(["host"])
    events = engine.events()
    await anext(events)
    begun = time.monotonic()
    engine.interrupt()
    engine.interrupt()
    assert [event async for event in events] == []
    assert await engine.close() == 130 and time.monotonic() - begun < 2.0
    assert engine.child is not None and engine.child.process.returncode == -signal.SIGKILL
    assert not engine.child.socket.exists()


async def test_an_interrupt_after_the_last_word_does_not_kill_who_is_going(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program(monkeypatch, LISTEN + THEN_LEAVE + "sys.stdin.close(); sys.exit(0)")
    engine = await attach.start_engine(["host"])
    engine.interrupt()
    assert [event["event"] async for event in engine.events()][-1] == "ended"
    engine.interrupt()
    assert await engine.close() == 0
    assert engine.child is not None and engine.child.process.wait(PATIENCE) == 0


async def test_a_farewell_without_an_answer_ends_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, LISTEN + THEN_HANG)
    monkeypatch.setattr(attach, "LEAVE_PATIENCE", 0.1)
    engine = await attach.start_engine(["host"])
    engine.leave()
    assert [event["event"] async for event in engine.events()] in (["ready"], [])
    assert await engine.close() == 1


async def test_an_engine_that_breaks_off_gives_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program(monkeypatch, LISTEN + "sys.stderr.write('vchat: error: bang'); sys.exit(7)")
    engine = await attach.start_engine(["host"])
    assert [event["event"] async for event in engine.events()] == ["ready"]
    assert await engine.close() == 7 and engine.last_words() == "vchat: error: bang"


async def test_what_is_no_event_is_passed_over(tmp_path: Path) -> None:
    async with fake_engine(tmp_path) as fake:
        engine = await attach.attach(fake.path)
        await fake.order("attach")
        fake.tell_raw(b"nonsense\n[1]\n" + b"[" * 5000 + b"\n\n")
        fake.tell(story.READY, story.ended("host-left"))
        assert [event["event"] async for event in engine.events()] == ["ready", "ended"]
        assert await engine.close() == 0


async def test_an_engine_that_is_not_ours_and_vanishes_is_a_failure(tmp_path: Path) -> None:
    async with fake_engine(tmp_path) as fake:
        engine = await attach.attach(fake.path)
        await fake.order("attach")
        fake.hang_up()
        assert [event async for event in engine.events()] == []
        assert await engine.close() == 1


async def test_detaching_says_so_and_ends_nothing(tmp_path: Path) -> None:
    async with fake_engine(tmp_path) as fake:
        engine = await attach.attach(fake.path)
        await fake.order("attach")
        engine.detach()
        assert await engine.close() == 0 and engine.detached
        await fake.gone()
        assert fake.orders == [{"do": "detach"}]


def test_without_a_call_there_is_nothing_to_attach_to() -> None:
    with pytest.raises(Refused, match="no call is running"):
        attach.running_call()


def test_the_newest_call_is_found(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, LISTEN)
    child = attach.launch(["host"])
    try:
        until = time.monotonic() + PATIENCE
        while not child.socket.exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert attach.running_call() == child.socket
    finally:
        child.process.kill()
        child.process.wait()


def test_a_folder_named_client_where_one_stands_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "__init__.py").write_text("")
    (tmp_path / "client" / "__main__.py").write_text("open('was-run', 'w')")
    monkeypatch.chdir(tmp_path)
    child = attach.launch(["--version"])
    child.process.wait(PATIENCE)
    assert not (tmp_path / "was-run").exists()
    assert os.getcwd() == str(tmp_path)
