"""``vchat relay`` as a real process: its lines, its signals, its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli import command
from tests.relay.bottle import INNER
from tests.relay.callers import Udp, attach, claim, grant, ports, until, who_has_one
from tests.relay.test_server import ask_stun
from tests.signaling.test_server import make_certificate
from vc_core.envelope import (
    ATTACHED,
    REFUSED,
    Flags,
    Reason,
    read_pong,
    write_pass,
    write_ping,
)
from vc_core.grant import open_secret

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds
SECRET = b"\xab" * 32


class Daemon:
    """A relay process."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "relay.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def line(self) -> dict[str, Any]:
        """The next line that it says."""
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    def end_at_once(self) -> None:
        """Ask twice."""
        self.process.terminate()
        while self.line()["event"] != "draining":
            pass
        self.process.terminate()

    def finish(self) -> tuple[int, str, str]:
        """Exit code and what is left of both outputs."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with ``SECRET``."""
    file = tmp_path / "secret"
    file.write_text(SECRET.hex() + "\n")
    return file


@pytest.fixture
def daemon(secret: Path) -> Iterator[Daemon]:
    """A relay with a secret, UDP only."""
    one = Daemon(
        *("--listen", "127.0.0.1:0", "--no-tcp", "--json", "--grace", "5"),
        *("--secret-file", str(secret)),
    )
    yield one
    one.process.kill()
    one.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_says_where_it_listens_and_ends_politely(
    daemon: Daemon, number: signal.Signals
) -> None:
    line = daemon.line()
    assert (line["event"], line["host"], line["open"]) == ("listening", "127.0.0.1", False)
    assert await ask_stun(socket.AF_INET, "127.0.0.1", line["port"])
    daemon.process.send_signal(number)
    code, out, _ = daemon.finish()
    assert code == 0
    assert json.loads(out.splitlines()[-1])["event"] == "stopped"


async def test_forwards_between_two_who_hold_grants(daemon: Daemon) -> None:
    port = daemon.line()["port"]
    anna, ben = Udp(port), Udp(port)
    await attach(anna, 1, secret=SECRET)
    await attach(ben, 2, secret=SECRET)
    await anna.send(write_pass(2, INNER))
    assert await ben.receive() == write_pass(1, INNER)
    assert (await claim(Udp(port), grant(3, secret=open_secret())))[0] == REFUSED


async def test_drains_while_somebody_is_here_and_ends_with_the_last(daemon: Daemon) -> None:
    port = daemon.line()["port"]
    anna = Udp(port)
    await attach(anna, 1, secret=SECRET)
    daemon.process.terminate()
    while daemon.line()["event"] != "draining":
        pass
    await anna.send(write_ping(1))
    assert read_pong(await anna.receive()).flags == Flags.DRAINING
    answer = await claim(Udp(port), grant(2, secret=SECRET))
    assert answer == bytes((REFUSED, Reason.DRAINING))
    daemon.process.terminate()
    assert daemon.finish()[0] == 0


async def test_a_grace_period_ends_though_somebody_stays(secret: Path) -> None:
    daemon = Daemon(
        *("--listen", "127.0.0.1:0", "--no-tcp", "--json", "--grace", "0.2"),
        *("--secret-file", str(secret)),
    )
    anna = Udp(daemon.line()["port"])
    await attach(anna, 1, secret=SECRET)
    daemon.process.terminate()
    assert daemon.finish()[0] == 0


async def test_a_new_secret_is_read_and_the_old_one_holds_for_a_while(
    daemon: Daemon, secret: Path
) -> None:
    port = daemon.line()["port"]
    new = b"\xcd" * 32
    secret.write_text(new.hex())
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.line()["event"] == "reloaded"
    for given in (SECRET, new):
        assert (await claim(Udp(port), grant(1, secret=given)))[0] == ATTACHED
    secret.write_text("nonsense")
    daemon.process.send_signal(signal.SIGHUP)
    assert (await claim(Udp(port), grant(1, secret=new)))[0] == ATTACHED
    daemon.end_at_once()
    code, _, err = daemon.finish()
    assert code == 0
    assert "not reloaded" in err


def test_half_of_a_renewed_certificate_changes_nothing(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("one", "two")]
    pairs = []
    for place in places:
        place.mkdir()
        pairs.append(make_certificate(place))
    (certificate, key), (renewed, renewed_key) = pairs
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
    daemon = Daemon("--listen", "127.0.0.1:0", "--json", *tls)
    address = ("127.0.0.1", daemon.line()["tcp_port"])
    before, after = certificate.read_text(), renewed.read_text()
    certificate.write_text(after)
    daemon.process.send_signal(signal.SIGHUP)
    assert ssl.get_server_certificate(address).split() == before.split()
    key.write_bytes(renewed_key.read_bytes())
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.line()["event"] == "reloaded"
    assert ssl.get_server_certificate(address).split() == after.split()
    daemon.process.terminate()
    code, _, err = daemon.finish()
    assert (code, err.count("cannot be used: key values mismatch")) == (0, 1)


async def test_without_a_secret_it_is_open_and_warns() -> None:
    daemon = Daemon("--listen", "127.0.0.1:0", "--json", "--insecure-tcp")
    line = daemon.line()
    assert (line["open"], line["tls"], line["tcp_port"]) == (True, False, line["port"])
    await attach(Udp(line["port"]), 1, secret=open_secret())
    daemon.end_at_once()
    code, _, err = daemon.finish()
    assert code == 0
    assert "vchat: warning: open: it forwards for everybody" in err


async def test_tells_the_pin_of_its_own_certificate_which_stays(tmp_path: Path) -> None:
    pins = []
    for _ in range(2):
        daemon = Daemon("--listen", "127.0.0.1:0", "--json", "--state", str(tmp_path / "state"))
        line = daemon.line()
        assert line["tls"] is True
        pins.append(line["pin"])
        daemon.process.terminate()
        assert daemon.finish()[0] == 0
    assert pins[0] == pins[1]
    assert pins[0].startswith("sha256=")


async def test_counts_are_for_who_shows_the_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("sesame\n")
    daemon = Daemon(
        *("--listen", "127.0.0.1:0", "--no-tcp", "--json", "--grace", "0"),
        *("--metrics", "127.0.0.1:0", "--metrics-token-file", str(token)),
    )
    line = daemon.line()
    await attach(Udp(line["port"]), 1, secret=open_secret())

    def ask(path: str, shown: str) -> str:
        url = f"http://127.0.0.1:{line['metrics_port']}{path}"
        question = urllib.request.Request(url, headers={"Authorization": f"Bearer {shown}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(question, timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    page = await asyncio.to_thread(ask, "/metrics", "sesame")
    assert "vchat_relay_slots 1\n" in page
    assert "# TYPE vchat_relay_attached_total counter\n" in page
    for path, shown, code in (("/metrics", "wrong", 401), ("/", "sesame", 404)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            await asyncio.to_thread(ask, path, shown)
        assert caught.value.code == code
    daemon.process.terminate()
    assert daemon.finish()[0] == 0


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another")
async def test_becomes_somebody_with_fewer_rights(secret: Path) -> None:
    import pwd

    secret.chmod(0o600)
    daemon = Daemon(
        *("--listen", "127.0.0.1:0", "--no-tcp", "--json", "--user", "nobody"),
        *("--secret-file", str(secret)),
    )
    port = daemon.line()["port"]
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    nobody = pwd.getpwnam("nobody")
    assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}" in status
    assert f"Gid:\t{nobody.pw_gid}\t{nobody.pw_gid}\t{nobody.pw_gid}" in status
    assert f"Groups:\t{nobody.pw_gid}" in status
    member = Udp(port)
    await attach(member, 1, secret=SECRET)
    if sys.platform == "linux":
        await until(lambda: who_has_one(port) == ports(member))  # it may bind where the port is
    daemon.end_at_once()
    code, _, err = daemon.finish()
    assert (code, "root" in err) == (0, False)


@pytest.mark.skipif(os.name != "posix", reason="counts open files")
def test_has_only_as_many_connections_as_open_files() -> None:
    program = "ulimit -n 200; exec {} -m relay.cli --listen 127.0.0.1:0 --insecure-tcp --grace 0"
    process = subprocess.Popen(
        ["sh", "-c", program.format(sys.executable)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("listening")
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert "vchat: warning: open files are limited to 200" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen", "nowhere"],
        ["--tcp-listen", "127.0.0.1:70000"],
        ["--limit", "nonsense=1"],
        ["--limit", "claims=1"],
        ["--tls-key", "key.pem"],
        ["--insecure-tcp", "--no-tcp"],
        ["--no-tcp", "--tls-cert", "cert.pem"],
        ["--no-tcp", "--tcp-listen", "127.0.0.1:0"],
        ["--metrics", "127.0.0.1:0"],
        ["--grace", "-1"],
        ["--grace", "nan"],
        ["--bogus"],
    ],
)
def test_wrong_usage_is_a_sentence_and_code_2(arguments: list[str]) -> None:
    code, out, err = Daemon(*arguments).finish()
    assert (code, out) == (2, "")
    assert err.startswith("vchat: error: ")
    assert err.endswith("\nvchat: hint: see: vchat-relay --help\n")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--listen", "192.0.2.1:3478"], "cannot listen on 192.0.2.1 port 3478: cannot assign"),
        (["--secret-file", "None"], "cannot read None: no such file"),
        (["--secret-file", "README.md"], "README.md is not a secret"),
        (["--tls-cert", "none"], "the certificate none or its key cannot be used: no such file"),
        (
            ["--tls-cert", "LICENSE"],
            "the certificate LICENSE or its key cannot be used: no cert",
        ),
        (["--state", "README.md"], "cannot write to README.md: file exists"),
        (["--user", "nobody-at-all"], "cannot become 'nobody-at-all'"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_code_1(arguments: list[str], sentence: str) -> None:
    code, out, err = Daemon("--listen", "127.0.0.1:0", *arguments).finish()
    assert (code, out) == (1, "")
    assert err.startswith(f"vchat: error: {sentence}")
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_said_with_a_hint(daemon: Daemon) -> None:
    port = daemon.line()["port"]
    code, out, err = Daemon("--listen", f"127.0.0.1:{port}").finish()
    assert (code, out) == (1, "")
    *_, sentence, hint = err.splitlines()
    assert sentence == f"vchat: error: port {port} of 127.0.0.1 is in use"
    assert hint.startswith("vchat: hint: another program listens there")


def test_a_new_secret_is_one_that_can_be_read() -> None:
    result = CliRunner().invoke(command, ["--new-secret"])
    assert result.exit_code == 0
    assert len(bytes.fromhex(result.output)) == 32
    assert result.output != CliRunner().invoke(command, ["--new-secret"]).output


async def test_says_what_happened_once_a_minute_and_before_it_ends(daemon: Daemon) -> None:
    anna = Udp(daemon.line()["port"])
    await attach(anna, 1, secret=SECRET)
    daemon.process.terminate()
    counts = daemon.line()
    assert (counts["event"], counts["slots"], counts["attached"]) == ("counts", 1, 1)
    assert daemon.line()["event"] == "draining"
