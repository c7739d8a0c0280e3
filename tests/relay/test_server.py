"""The relay of this version: it answers STUN, as a part and as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli import command
from relay.server import CannotListenError, serve
from vc_core.stun_binding import read_answer, write_request

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds
QUESTION = write_request(bytes(range(12)))


async def ask(family: socket.AddressFamily, host: str, port: int) -> bool:
    """Whether the relay tells the address and port from which it is asked."""
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.bind((host, 0))
        await loop.sock_sendto(asker, b"no question", (host, port))
        await loop.sock_sendto(asker, QUESTION, (host, port))
        answer = await asyncio.wait_for(loop.sock_recv(asker, 2000), PATIENCE)
        true = (socket.inet_pton(family, host), asker.getsockname()[1])
        return read_answer(answer) == (bytes(range(12)), true)


async def test_answers_over_ipv4() -> None:
    relay = await serve("127.0.0.1", 0)
    try:
        assert await ask(socket.AF_INET, "127.0.0.1", relay.port)
    finally:
        relay.close()


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
async def test_everywhere_means_both_families(everywhere: str) -> None:
    relay = await serve(everywhere, 0)
    try:
        assert await ask(socket.AF_INET, "127.0.0.1", relay.port)
        assert await ask(socket.AF_INET6, "::1", relay.port)
    finally:
        relay.close()


async def test_a_port_in_use_is_a_sentence() -> None:
    relay = await serve("127.0.0.1", 0)
    try:
        with pytest.raises(CannotListenError, match="address already in use"):
            await serve("127.0.0.1", relay.port)
    finally:
        relay.close()


def start(*arguments: str) -> subprocess.Popen[str]:
    """The daemon with pipes at both outputs."""
    return subprocess.Popen(
        [sys.executable, "-m", "relay.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_where_it_listens_and_ends_politely(
    number: signal.Signals,
) -> None:
    process = start("--listen", "127.0.0.1:0", "--json")
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    assert (line["event"], line["host"]) == ("listening", "127.0.0.1")
    assert await ask(socket.AF_INET, "127.0.0.1", line["port"])
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["event"] == "stopped"


def test_wrong_usage_is_a_sentence_and_code_2() -> None:
    process = start("--listen", "nowhere")
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("vchat: error: ")
    assert "Traceback" not in err


def test_an_address_of_somebody_else_is_a_sentence_and_code_1() -> None:
    process = start("--listen", "192.0.2.1:3478")
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("vchat: error: cannot listen on 192.0.2.1 port 3478: cannot assign")


def test_the_help_says_what_it_does_not_do_yet() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert "only answers STUN Binding" in result.output
    assert "follows in the next version" in " ".join(result.output.split())
