"""``vchat signal`` as a real process: its lines, its exit codes, what it loads."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from click.testing import CliRunner

from signaling.cli import command
from tests.signaling.callers import Caller
from tests.signaling.test_server import ask_stun, make_certificate
from vc_core.grant import Claims, relay_room, tag_is_right
from vc_core.signals import AskGrants, Grants

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds


def start(*arguments: str) -> subprocess.Popen[str]:
    """The daemon with pipes at both outputs."""
    return subprocess.Popen(
        [sys.executable, "-m", "signaling.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code and what is left of both outputs."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


@pytest.fixture
def daemon() -> Iterator[subprocess.Popen[str]]:
    process = start("--listen", "127.0.0.1:0", "--json", "--relay", "relay.example:3478")
    yield process
    process.kill()
    process.communicate()


def first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


async def call(port: int) -> Caller:
    connection = await websockets.connect(f"ws://127.0.0.1:{port}", proxy=None)
    await connection.recv()
    return Caller(connection)


async def test_says_where_it_listens_and_carries_a_join(daemon: subprocess.Popen[str]) -> None:
    line = first_line(daemon)
    assert (line["event"], line["host"]) == ("listening", "127.0.0.1")
    host, guest = await call(line["port"]), await call(line["port"])
    await guest.knock(await host.allocate(), host)
    assert (await ask_stun(socket.AF_INET, "127.0.0.1", line["port"]))[0] == b"\x7f\0\0\1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_politely_with_code_0(
    daemon: subprocess.Popen[str], number: signal.Signals
) -> None:
    line = first_line(daemon)
    host = await call(line["port"])
    digits = await host.allocate()
    daemon.send_signal(number)
    assert await host.closed() == 1001
    code, out, err = finish(daemon)
    assert (code, err) == (0, "")
    events = [json.loads(one) for one in out.splitlines()]
    assert [one["event"] for one in events] == ["counts", "stopped"]
    assert events[0]["nameplates"] == 1
    assert digits not in out


def test_a_port_in_use_is_a_sentence_with_a_hint_and_code_1(
    daemon: subprocess.Popen[str],
) -> None:
    port = first_line(daemon)["port"]
    code, out, err = finish(start("--listen", f"127.0.0.1:{port}"))
    assert (code, out) == (1, "")
    error, hint = err.splitlines()
    assert error == f"vchat: error: port {port} of 127.0.0.1 is in use"
    assert hint.startswith("vchat: hint: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen", "nowhere"],
        ["--listen", "127.0.0.1:70000"],
        ["--limit", "nonsense=1"],
        ["--limit", "guesses=1"],
        ["--limit", "connections=-1"],
        ["--tls-key", "key.pem"],
        ["--relay", ",".join(["relay.example.org:3478"] * 12)],
        ["--relay", "relay.example.org"],
        ["--bogus"],
    ],
)
def test_wrong_usage_is_a_sentence_and_code_2(arguments: list[str]) -> None:
    code, out, err = finish(start(*arguments))
    assert (code, out) == (2, "")
    assert err.startswith("vchat: error: ")
    assert "Traceback" not in err


def test_a_limit_that_is_none_is_named_as_it_was_typed() -> None:
    _, _, err = finish(start("--limit", "nameplate-life=-1"))
    assert "'-1' is no value for nameplate_life" in err


def test_a_missing_certificate_is_a_sentence_and_code_1(tmp_path: Path) -> None:
    code, _, err = finish(
        start("--listen", "127.0.0.1:0", "--tls-cert", str(tmp_path / "none.pem"))
    )
    assert code == 1
    assert "no such file" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("text", [None, "", "abc", "00" * 31, "zz" * 32])
def test_a_secret_that_is_none_is_a_sentence_and_code_1(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "secret"
    if text is not None:
        file.write_text(text)
    code, out, err = finish(start("--listen", "127.0.0.1:0", "--relay-secret-file", str(file)))
    assert (code, out) == (1, "")
    assert err.startswith("vchat: error: ")
    assert "vchat: hint: vchat relay --new-secret" in err


async def test_with_a_secret_it_signs_grants_for_a_host(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("ab" * 32 + "\n")
    process = start("--listen", "127.0.0.1:0", "--json", "--relay-secret-file", str(file))
    line = first_line(process)
    assert line["grants"] is True
    host = await call(line["port"])
    await host.allocate()
    await host.send(AskGrants(bytes(32), (1, 2)))
    for slot, grant in enumerate((await host.take(Grants)).grants, 1):
        claims = Claims.parse(grant.claims)
        assert (claims.room, claims.slot) == (relay_room(bytes(32)), slot)
        assert abs(claims.expires - time.time() - 600) < 60
        assert tag_is_right(b"\xab" * 32, grant.claims, grant.tag)
    process.terminate()
    assert finish(process)[0] == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal here")
async def test_a_new_secret_is_read_and_nonsense_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("ab" * 32)
    process = start("--listen", "127.0.0.1:0", "--json", "--relay-secret-file", str(file))
    host = await call(first_line(process)["port"])
    await host.allocate()
    file.write_text("cd" * 32)
    process.send_signal(signal.SIGHUP)
    assert first_line(process)["event"] == "reloaded"
    file.write_text("nonsense")
    process.send_signal(signal.SIGHUP)
    await host.send(AskGrants(bytes(32), (1,)))
    (grant,) = (await host.take(Grants)).grants
    assert tag_is_right(b"\xcd" * 32, grant.claims, grant.tag)
    process.terminate()
    code, _, err = finish(process)
    assert (code, "not reloaded" in err) == (0, True)


def test_starts_with_a_certificate_and_writes_its_log_where_told(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    log = tmp_path / "log"
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    process = start("--listen", "127.0.0.1:0", "--json", *tls, "-v", "--log-file", str(log))
    assert first_line(process)["tls"] is True
    process.terminate()
    assert finish(process)[0] == 0
    assert log.exists()


def test_without_json_it_says_the_same_for_people() -> None:
    process = start("--listen", "127.0.0.1:0")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("listening host=127.0.0.1 port=")
    process.terminate()
    assert finish(process)[0] == 0


def test_the_command_can_stand_in_a_larger_program() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert command.name == "signal"
    assert "--relay-secret-file" in result.output
    assert CliRunner().invoke(command, ["--limit", "x=1"]).exit_code == 2


@pytest.mark.parametrize("module", ["signaling", "relay"])
def test_the_daemons_load_nothing_that_opens_a_letter_or_shows_a_face(module: str) -> None:
    program = (
        f"import sys, {module}.cli, {module}.server\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "vc = {name for name in sys.modules if name.startswith('vc_core.')}\n"
        "print(*sorted(roots), *sorted(vc))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    loaded = set(found.stdout.split())
    ours = {name for name in loaded if name.startswith("vc_core.")}
    assert ours <= {
        f"vc_core.{name}" for name in ("arrivals", "bucket", "errors", "ids", "limits", "signals")
    } | {
        "vc_core.stun_binding",
        "vc_core.wire",
        "vc_core.constants",
        "vc_core.envelope",
        "vc_core.grant",
        "vc_core.record",
        "vc_core.relay_address",
    }
    heavy = {"nacl", "av", "numpy", "aioquic", "aioice", "cryptography", "prompt_toolkit", "rich"}
    assert not loaded & (heavy | {"client", "audio", "video"})
