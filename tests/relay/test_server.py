"""The relay over real sockets: STUN, slots over UDP and WebSocket, TLS with a pin."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import websockets

from relay.certificate import Certificate, CertificateError, own_certificate
from relay.server import Settings, serve
from relay.web import MAX_MESSAGE
from tests.relay.bottle import GENEROUS, INNER
from tests.relay.callers import Udp, attach, claim, dial, grant, running, soon, until
from vc_core.envelope import (
    EVERYBODY,
    read_attached,
    write_pass,
    write_ping,
    write_spread,
    write_want,
)
from vc_core.errors import CannotListenError
from vc_core.stun_binding import read_answer, write_request

QUESTION = write_request(bytes(range(12)))


async def ask_stun(family: socket.AddressFamily, host: str, port: int) -> bool:
    """Whether the relay tells the address and port from which it is asked."""
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.bind((host, 0))
        await loop.sock_sendto(asker, b"no question", (host, port))
        await loop.sock_sendto(asker, QUESTION, (host, port))
        answer = await soon(loop.sock_recv(asker, 2000))
        true = (socket.inet_pton(family, host), asker.getsockname()[1])
        return read_answer(answer) == (bytes(range(12)), true)


async def test_answers_stun_over_ipv4() -> None:
    async with running() as relay:
        assert await ask_stun(socket.AF_INET, "127.0.0.1", relay.port)


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
async def test_everywhere_means_both_families(everywhere: str) -> None:
    async with running(host=everywhere) as relay:
        assert await ask_stun(socket.AF_INET, "127.0.0.1", relay.port)
        assert await ask_stun(socket.AF_INET6, "::1", relay.port)


async def test_a_port_in_use_is_a_sentence() -> None:
    async with running() as relay:
        with pytest.raises(CannotListenError, match="is in use"):
            await serve(Settings("127.0.0.1", relay.port))


async def test_free_ports_are_the_same_for_udp_and_tcp() -> None:
    async with running(tcp=("127.0.0.1", 0)) as relay:
        assert relay.tcp_port == relay.port


async def test_members_reach_each_other_over_udp_in_both_families() -> None:
    async with running(host="0.0.0.0") as relay:
        anna, ben = Udp(relay.port), Udp(relay.port, "::1")
        told = read_attached(await claim(anna, grant(1)))
        assert (told.host, told.port) == (b"\x7f\0\0\1", anna.socket.getsockname()[1])
        assert read_attached(await claim(ben, grant(2))).host == bytes(15) + b"\1"
        await anna.send(write_pass(2, INNER))
        assert await ben.receive() == write_pass(1, INNER)
        await anna.send(write_want(1, ((EVERYBODY, 0),)))
        await anna.send(write_ping(1))
        await anna.receive()
        await ben.send(write_spread(0, INNER))
        assert await anna.receive() == write_pass(2, INNER)


async def test_members_reach_each_other_over_udp_and_websocket() -> None:
    async with running(tcp=("127.0.0.1", 0)) as relay:
        anna, ben, cleo = Udp(relay.port), await dial(relay.tcp_port), await dial(relay.tcp_port)
        await attach(anna, 1)
        await attach(ben, 2)
        await attach(cleo, 3)
        await cleo.send(write_want(1, ((1, 0), (2, 0))))
        await cleo.send(write_ping(1))
        await cleo.receive()
        await anna.send(write_pass(2, INNER))
        assert await ben.receive() == write_pass(1, INNER)
        await ben.send(write_pass(1, INNER))
        assert await anna.receive() == write_pass(2, INNER)
        for sender, slot in ((anna, 1), (ben, 2)):
            await sender.send(write_spread(0, INNER))
            assert await cleo.receive() == write_pass(slot, INNER)
        await ben.connection.close()
        await until(lambda: relay.counts()["slots"] == 2)


async def test_a_websocket_connection_that_breaks_the_rules_is_closed_alone() -> None:
    async with running(tcp=("127.0.0.1", 0)) as relay:
        good, text, long = [await dial(relay.tcp_port) for _ in range(3)]
        await attach(good, 1)
        await text.connection.send("hello")
        await long.send(bytes(MAX_MESSAGE + 1))
        for bad in (text, long):
            await soon(bad.connection.wait_closed())
        await good.send(write_ping(1))
        await good.receive()
        await until(lambda: relay.counts()["connections"] == 1)


async def test_one_customer_has_only_so_many_connections() -> None:
    limits = replace(GENEROUS, connections_per_customer=2)
    async with running(tcp=("127.0.0.1", 0), limits=limits) as relay:
        first, _ = await dial(relay.tcp_port), await dial(relay.tcp_port)
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await dial(relay.tcp_port)
        await first.connection.close()
        await until(lambda: relay.counts()["connections"] == 1)
        await dial(relay.tcp_port)


async def test_who_does_not_read_a_websocket_gets_the_newest_and_costs_little() -> None:
    limits = replace(GENEROUS, rate=10**9, room_work=1e9)
    async with running(tcp=("127.0.0.1", 0), limits=limits) as relay:
        anna, ben = Udp(relay.port), await dial(relay.tcp_port)
        await attach(anna, 1)
        await attach(ben, 2)
        ben.connection.transport.pause_reading()
        media = b"\x80" + bytes(1190)
        for number in range(12_000):
            await anna.send(write_pass(2, media + number.to_bytes(4, "big")))
            if number % 50 == 0:
                await asyncio.sleep(0.002)
        await until(lambda: relay.counts()["lost"] > 0)
        await anna.send(write_ping(1))
        await anna.receive()
        ben.connection.transport.resume_reading()
        seen: set[bytes] = set()

        async def read() -> None:
            while True:
                seen.add((await ben.receive())[3:])

        reading = asyncio.ensure_future(read())
        end = b"\x40 the end"
        while end not in seen:
            await anna.send(write_pass(2, end))
            await asyncio.sleep(0.05)
        reading.cancel()


async def test_tls_with_a_certificate_of_its_own_shows_the_pin(tmp_path: Path) -> None:
    certificate = own_certificate(tmp_path / "state")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with running(tcp=("127.0.0.1", 0), tls=certificate.context) as relay:
        anna = await dial(relay.tcp_port, trusting)
        shown = anna.connection.transport.get_extra_info("ssl_object").getpeercert(True)
        assert certificate.pin == f"sha256={hashlib.sha256(shown).hexdigest()}"
        await attach(anna, 1)
        with pytest.raises(ssl.SSLCertVerificationError):
            await dial(relay.tcp_port, ssl.create_default_context())


def test_a_certificate_of_its_own_stays_where_there_is_a_folder(tmp_path: Path) -> None:
    first = own_certificate(tmp_path / "deep" / "state")
    assert own_certificate(tmp_path / "deep" / "state").pin == first.pin
    (file,) = (tmp_path / "deep" / "state").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert own_certificate(None).pin != own_certificate(None).pin


def test_a_certificate_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    for text in (None, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        if text is not None:
            bad.write_text(text)
        with pytest.raises(CertificateError, match="cannot be used"):
            Certificate(bad, None)
    with pytest.raises(CertificateError, match="cannot write"):
        own_certificate(bad)
