"""A real TURN server on loopback: coturn's ``turnserver``, where it is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD = "anna", "s3cret/word"
PATIENCE = 10.0  # s until it answers
BINDING = b"\0\1\0\0!\x12\xa4B" + bytes(12)


def why_impossible() -> str | None:
    """What is missing; None if nothing is."""
    return None if shutil.which("turnserver") else "turnserver (coturn) missing"


def command(host: str, port: int, folder: Path, *more: str) -> list[str]:
    """How it is started: in the foreground, its files in ``folder``, one user."""
    return [
        "turnserver",
        *("-n", "--no-cli", "--no-dtls", "--no-software-attribute", "--log-file", "stdout"),
        *("--listening-ip", host, "--relay-ip", host, "--listening-port", str(port)),
        *("--lt-cred-mech", "--user", f"{USER}:{PASSWORD}", "--realm", "vchat.test"),
        *("--min-port", "49152", "--max-port", "65535"),
        *("--pidfile", str(folder / "pid"), "--userdb", str(folder / "users")),
        *more,
    ]


@contextmanager
def turn_server(folder: Path, *more: str, prefix: Sequence[str] = ()) -> Iterator[int]:
    """The port of one that runs on 127.0.0.1 for as long as it is needed."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    folder.mkdir(parents=True, exist_ok=True)
    options = command("127.0.0.1", port, folder, "--allow-loopback-peers", "--no-tls", *more)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(options, stdout=log, stderr=log, cwd=folder)
        try:
            _await_answer(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _await_answer(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.05)
        while time.monotonic() < deadline:
            try:
                asker.sendto(BINDING, ("127.0.0.1", port))
                asker.recv(1500)
            except OSError:
                continue
            return
    raise AssertionError("turnserver does not answer")
