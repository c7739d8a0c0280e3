"""The relay against floods over real sockets: it stays small, and serves the others."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from relay.certificate import own_certificate
from tests.bench.process import resident_mb
from tests.relay.bottle import GENEROUS, INNER
from tests.relay.callers import PATIENCE, Udp, attach, dial, running, soon, until
from tests.relay.test_cli import SECRET, Daemon
from vc_core.envelope import CLAIM, read_pong, write_hello, write_pass, write_ping

FLOOD = 5.0  # seconds
GROWTH = 20.0  # MB that five seconds of anything may cost


def flood(port: int, seconds: float) -> int:
    """Send garbage, half-open hellos and false claims as fast as one core can; how many."""
    chance, count = random.Random(1), 0
    pieces = [
        write_hello(),
        bytes([CLAIM]) + chance.randbytes(110),
        *(chance.randbytes(size) for size in (1, 19, 200, 1400)),
        *(bytes([kind]) + chance.randbytes(60) for kind in range(16)),
    ]
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
    for number, one in enumerate(senders):
        one.setblocking(False)
        one.bind((f"127.0.{number % 8}.{1 + number}", 0))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one in senders:
            try:
                one.sendto(pieces[count % len(pieces)], ("127.0.0.1", port))
            except BlockingIOError:
                continue
            count += 1
    for one in senders:
        one.close()
    return count


@pytest.mark.live
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in /proc, binds 127.0.0.0/8")
async def test_five_seconds_of_garbage_leave_it_small_and_at_work(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET.hex())
    daemon = Daemon(
        *("--listen", "127.0.0.1:0", "--no-tcp", "--json", "--grace", "0"),
        *("--secret-file", str(secret)),
    )
    try:
        port = daemon.line()["port"]
        anna, ben = Udp(port), Udp(port)
        await attach(anna, 1, secret=SECRET)
        await attach(ben, 2, secret=SECRET)
        before = resident_mb(daemon.process.pid)
        flooding = asyncio.get_running_loop().run_in_executor(None, flood, port, FLOOD)
        arrived = asked = 0
        while not flooding.done():
            await anna.send(write_pass(2, INNER))
            asked += 1
            await asyncio.sleep(0.02)
            while not ben.has_nothing():
                arrived += 1
        assert await flooding > 10_000
        assert resident_mb(daemon.process.pid) - before < GROWTH
        # Flood, relay and asker share one machine and the kernel's queue: what a call notices of
        # an attack from elsewhere is measured by ``rubbish_at_the_relay`` of ``tests.lab``.
        assert arrived > 0.05 * asked
        await still_works(anna, ben)
    finally:
        daemon.process.kill()
        daemon.process.communicate()


async def still_works(anna: Udp, ben: Udp) -> None:
    """Within a few tries a packet arrives."""
    last = INNER + b" after all"
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while loop.time() < deadline:
        await anna.send(write_pass(2, last))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                if (await ben.receive()).endswith(last):
                    return
    raise AssertionError("nothing arrives after the flood")


async def test_half_open_hellos_leave_nothing() -> None:
    async with running() as relay:
        for _ in range(300):
            asker = Udp(relay.port)
            await asker.send(write_hello())
            await asker.receive()
            asker.socket.close()
        assert relay.counts()["slots"] == relay.counts()["customers"] == 0


async def test_websockets_that_say_nothing_hold_no_slot_and_are_let_go() -> None:
    async with running(tcp=("127.0.0.1", 0)) as relay:
        silent = [await dial(relay.tcp_port) for _ in range(20)]
        raw = [socket.create_connection(("127.0.0.1", relay.tcp_port)) for _ in range(20)]
        for one in raw:
            one.send(b"GET / HTTP/1.1\r\n")
        assert relay.counts()["slots"] == 0
        member = await dial(relay.tcp_port)
        await attach(member, 1)
        for web in silent:
            web.connection.transport.abort()
        await until(lambda: relay.counts()["connections"] == 1)
        await member.send(write_ping(5))
        assert read_pong(await member.receive()).stamp == 5
        for one in raw:
            one.close()


def is_open(one: socket.socket) -> bool:
    """Whether the other side has not hung up."""
    one.setblocking(False)
    try:
        return one.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="binds 127.0.0.0/8")
@pytest.mark.parametrize("word", [b"", b"\x16\x03\x01"])
async def test_who_only_begins_to_shake_hands_makes_room_for_others(word: bytes) -> None:
    certificate = own_certificate(None)
    limits = replace(GENEROUS, connections=40, connections_per_customer=6)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with running(tcp=("0.0.0.0", 0), tls=certificate.context, limits=limits) as relay:
        raw = []
        for number in (*[1] * 9, *range(2, 20)):  # three of a customer may wait, ten in all
            source = (f"127.0.1.{number}", 0)
            raw.append(socket.create_connection(("127.0.0.1", relay.tcp_port), 5, source))
            raw[-1].send(word)
            if number == 1:
                await until(lambda: sum(map(is_open, raw)) <= 3)
        await until(lambda: sum(map(is_open, raw)) == 10)
        assert not any(map(is_open, raw[:17]))
        member = await dial(relay.tcp_port, trusting)
        await attach(member, 1)
        assert sum(map(is_open, raw)) == 9
        for one in raw:
            one.close()


async def test_garbage_in_a_websocket_ends_nothing_but_itself() -> None:
    chance = random.Random(2)
    async with running(tcp=("127.0.0.1", 0)) as relay:
        member, rude = await dial(relay.tcp_port), await dial(relay.tcp_port)
        await attach(member, 1)
        for _ in range(500):
            await rude.send(chance.randbytes(chance.randrange(1, 1200)))
        await member.send(write_ping(6))
        while (answer := await soon(member.receive()))[0] != 13:
            pass
        assert read_pong(answer).stamp == 6
