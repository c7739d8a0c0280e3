"""The server over real sockets: a join, a death, a takeover, STUN, TLS."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import ipaddress
import socket
import ssl
import time
from pathlib import Path

import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.server import ServerConnection

from signaling.server import Settings, serve
from tests.signaling.bottle import GENEROUS
from tests.signaling.callers import Caller, call, running, soon, until
from vc_core.errors import CannotListenError
from vc_core.signals import (
    MAX_BODY,
    SIGNALING_VERSION,
    TO_CLIENT,
    Allocate,
    Allocated,
    Attach,
    Close,
    Closed,
    Drop,
    Dropped,
    Ended,
    Free,
    Hello,
    Knock,
    Post,
    Posted,
    Refusal,
    Refused,
    Release,
)
from vc_core.stun_binding import read_answer, write_request


async def ask_stun(family: socket.AddressFamily, host: str, port: int) -> tuple[bytes, int, int]:
    """The address and port that STUN tells, and the port that is true."""
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.bind((host, 0))
        await loop.sock_sendto(asker, write_request(bytes(range(12))), (host, port))
        transaction, address = read_answer(await soon(loop.sock_recv(asker, 2000)))
        assert transaction == bytes(range(12))
        return *address, asker.getsockname()[1]


async def test_says_hello_with_its_version_its_stun_port_and_its_relays() -> None:
    async with running(relays=("relay.example:3478", "wss://[::1]:1")) as server:
        connection = await websockets.connect(f"ws://127.0.0.1:{server.port}", proxy=None)
        hello = TO_CLIENT.read(await soon(connection.recv(decode=False)))
        relays = ("relay.example:3478", "wss://[::1]:1")
        assert hello == Hello(SIGNALING_VERSION, server.port, relays, grants=False)


async def test_carries_a_join_from_knock_to_close() -> None:
    async with running() as server:
        host, guest = await call(server), await call(server)
        number = await guest.knock(await host.allocate(), host)
        for size in (0, 1, 400, MAX_BODY):
            await guest.send(Post(number, b"q" * size))
            assert await host.take(Posted) == Posted(number, b"q" * size)
            await host.send(Post(number, b"a" * size))
            assert await guest.take(Posted) == Posted(number, b"a" * size)
        await guest.send(Close(number))
        assert (await host.take(Closed)).exchange == number


async def test_a_mailbox_carries_bodies_between_members() -> None:
    async with running() as server:
        one, two = await call(server), await call(server)
        for member in (one, two):
            await member.send(Attach(b"m" * 32))
        await until(lambda: server.counts()["attachments"] == 2)
        await one.send(Drop(b"m" * 32, b"hello"))
        assert (await two.take(Dropped)).body == b"hello"


async def test_a_host_whose_connection_breaks_takes_its_nameplate_over_again() -> None:
    async with running() as server:
        host, guest = await call(server), await call(server)
        digits = await host.allocate()
        again = await call(server)
        assert await again.allocate(digits) == digits
        assert await host.take(Ended) == Ended(digits, Refusal.TAKEN)
        host.connection.transport.abort()
        await until(lambda: server.counts()["connections"] == 2)
        await guest.knock(digits, again)


async def test_a_guest_that_vanishes_closes_its_exchange() -> None:
    async with running() as server:
        host, guest = await call(server), await call(server)
        number = await guest.knock(await host.allocate(), host)
        guest.connection.transport.abort()
        assert (await host.take(Closed)).exchange == number


async def test_after_a_restart_the_same_digits_can_be_joined_again() -> None:
    async with running() as server:
        host = await call(server)
        digits = await host.allocate()
        port = server.port
    assert await host.closed() == 1001
    async with running(port=port) as server:
        assert server.port == port
        host, guest = await call(server), await call(server)
        assert await host.allocate(digits) == digits
        await guest.knock(digits, host)


async def test_the_timer_ends_a_nameplate_without_anybody_saying_anything() -> None:
    async with running() as server:
        host, guest = await call(server), await call(server)
        await host.send(Allocate("", b"t" * 16, 1))
        digits = (await host.take(Allocated)).nameplate
        assert (await host.take(Ended)).reason == Refusal.EXPIRED
        await guest.send(Knock(digits))
        assert (await guest.take(Refused)).reason == Refusal.EXPIRED


async def test_a_freed_nameplate_tells_late_guests_why() -> None:
    async with running() as server:
        host, guest = await call(server), await call(server)
        digits = await host.allocate()
        await host.send(Free(digits, Release.BURNED))
        await until(lambda: server.counts()["ended"] == 1)
        await guest.send(Knock(digits))
        assert await guest.take(Refused) == Refused(Refusal.BURNED, digits)


async def test_answers_stun_over_ipv4() -> None:
    async with running() as server:
        host, told, true = await ask_stun(socket.AF_INET, "127.0.0.1", server.stun_port)
        assert (host, told) == (ipaddress.ip_address("127.0.0.1").packed, true)


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::", ""])
async def test_everywhere_means_both_families_for_websocket_and_for_stun(everywhere: str) -> None:
    async with running(host=everywhere) as server:
        assert server.stun_port == server.port
        await (await call(server, "127.0.0.1")).allocate()
        await (await call(server, "[::1]")).allocate()
        assert (await ask_stun(socket.AF_INET, "127.0.0.1", server.port))[0] == b"\x7f\0\0\1"
        v6, told, true = await ask_stun(socket.AF_INET6, "::1", server.port)
        assert (v6, told) == (ipaddress.ip_address("::1").packed, true)


async def test_without_stun_it_says_so() -> None:
    async with running(stun=False) as server:
        assert server.stun_port == 0


async def test_stun_moves_to_another_port_when_its_own_is_taken() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
        socket.socket(socket.AF_INET) as free,
    ):
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        taken.bind(("127.0.0.1", port))
        free.close()
        async with running(port=port) as server:
            assert server.port == port
            assert server.stun_port not in (0, port)
            await ask_stun(socket.AF_INET, "127.0.0.1", server.stun_port)


async def test_a_port_in_use_is_a_sentence() -> None:
    async with running() as server:
        with pytest.raises(CannotListenError, match=f"port {server.port} .* is in use") as caught:
            await serve(Settings(host="127.0.0.1", port=server.port))
        assert caught.value.hint


async def test_a_host_that_nobody_knows_is_a_sentence() -> None:
    with pytest.raises(CannotListenError, match="cannot find the address"):
        await serve(Settings(host="a" * 300, port=0))


async def test_closing_says_goodbye_and_frees_the_port_at_once() -> None:
    async with running() as server:
        callers = [await call(server) for _ in range(20)]
        port = server.port
    assert {await caller.closed() for caller in callers} == {1001}
    async with running(port=port):
        pass


async def test_closing_does_not_wait_for_those_who_hang() -> None:
    async with running() as server:
        silent = socket.create_connection(("127.0.0.1", server.port))
        stuck = socket.create_connection(("127.0.0.1", server.port))
        stuck.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await until(lambda: server.counts()["connections"] == 2)
        began = time.monotonic()
        await soon(server.close())
        assert time.monotonic() - began < 4
        silent.close()
        stuck.close()


async def test_two_servers_live_in_one_event_loop() -> None:
    async with running() as one, running() as two:
        digits = await (await call(one)).allocate()
        guest = await call(two)
        await guest.send(Knock(digits))
        assert (await guest.take(Refused)).reason == Refusal.NO_SUCH_NAMEPLATE


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


def _is_open(one: socket.socket) -> bool:
    """Whether the server has not hung up."""
    one.setblocking(False)
    try:
        return one.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@pytest.mark.parametrize("tls", [True, False])
async def test_who_only_begins_to_shake_hands_makes_room_for_others(
    tmp_path: Path, tls: bool
) -> None:
    certificate, key = make_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate)) if tls else None
    limits = dataclasses.replace(GENEROUS, greetings=10, greetings_per_customer=3)
    with_tls = {"tls_cert": certificate, "tls_key": key} if tls else {}
    async with running(**with_tls, limits=limits) as server:
        raw = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(9)]
        await until(lambda: sum(map(_is_open, raw)) == 3)
        caller = await call(server, tls=trust)
        assert isinstance(caller, Caller)
        await until(lambda: sum(map(_is_open, raw)) == 2)
        raw.append(socket.create_connection(("127.0.0.1", server.port)))
        raw[-1].send(b"\x16\x03" if tls else b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        await asyncio.sleep(0.05)
        assert sum(map(_is_open, raw)) == 3, "whoever has said its greeting counts no more"
        for one in raw:
            one.close()


async def test_speaks_tls_to_those_who_trust_its_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate))
    async with running(tls_cert=certificate, tls_key=key) as server:
        host, guest = await call(server, tls=trust), await call(server, tls=trust)
        number = await guest.knock(await host.allocate(), host)
        await guest.send(Post(number, b"s" * MAX_BODY))
        assert (await host.take(Posted)).body == b"s" * MAX_BODY
        with pytest.raises((websockets.InvalidMessage, EOFError, OSError)):
            await call(server)
        with pytest.raises(ssl.SSLCertVerificationError):
            await call(server, tls=ssl.create_default_context())
        assert isinstance(host, Caller)


async def test_a_renewed_certificate_is_taken_and_half_of_one_is_not(tmp_path: Path) -> None:
    used, other = tmp_path / "used", tmp_path / "other"
    used.mkdir()
    other.mkdir()
    certificate, key = make_certificate(used)
    renewed, renewed_key = make_certificate(other)
    before = ssl.create_default_context(cadata=certificate.read_text())
    after = ssl.create_default_context(cadata=renewed.read_text())
    async with running(tls_cert=certificate, tls_key=key) as server:
        await call(server, tls=before)
        certificate.write_bytes(renewed.read_bytes())
        with pytest.raises(CannotListenError, match="cannot be used"):
            server.reload(None)
        await call(server, tls=before)
        key.write_bytes(renewed_key.read_bytes())
        server.reload(None)
        await call(server, tls=after)


async def test_a_certificate_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "bad.pem").write_text("no certificate")
    for cert, its_key in [
        (tmp_path / "missing.pem", key),
        (tmp_path / "bad.pem", key),
        (certificate, tmp_path / "bad.pem"),
        (certificate, None),
    ]:
        with pytest.raises(CannotListenError, match="cannot be used"):
            await serve(Settings(host="127.0.0.1", port=0, tls_cert=cert, tls_key=its_key))


async def test_connections_with_another_path_are_handed_on() -> None:
    async def shout(connection: ServerConnection) -> None:
        async for message in connection:
            assert isinstance(message, bytes)
            await connection.send(message.upper())

    async with running(others={"/relay": shout}) as server:
        for path in ("/relay", "/relay?x=1"):
            uri = f"ws://127.0.0.1:{server.port}{path}"
            async with websockets.connect(uri, proxy=None) as guest:
                await guest.send(b"sealed")
                assert await soon(guest.recv()) == b"SEALED"
        await (await call(server)).allocate()
        await until(lambda: server.counts()["connections"] == 1)


async def test_its_udp_sockets_can_be_handed_on() -> None:
    taken: list[socket.socket] = []
    async with running(serve_udp=taken.extend) as server:
        (one,) = taken
        assert one.getsockname()[1] == server.stun_port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.sendto(b"for somebody else", ("127.0.0.1", server.stun_port))
            loop = asyncio.get_running_loop()
            assert await soon(loop.sock_recv(one, 99)) == b"for somebody else"
    one.close()
