"""Targets of the program around the core: ICE, QUIC, Opus, scripts and files."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import aioice
from aioice import stun as ice_stun

from audio.chain import Listening
from audio.codec import Encoder
from audio.pcm import silence
from client.config import load
from client.contacts import Contacts
from client.identity import kept_identity
from client.interface.orders import BadCommand, parse
from client.net.candidates import MAX_LINE, Description, clean
from client.net.ice_moving import MovingConnection
from client.net.ice_socket import IceSocket
from client.net.quic import QuicLink
from client.refused import Refused
from vc_core.keys import Identity

BAD_ORDERS = (BadCommand,)
REFUSED = (Refused,)
HOST = "1 1 udp 2130706431 192.0.2.7 50000 typ host"


def candidates(data: bytes) -> None:
    """A line of a peer: dropped, or in a form that aioice takes."""
    line = data.decode("utf-8", "replace")
    for loopback in (False, True):
        found = clean(line, loopback=loopback)
        if found is not None:
            assert len(found) <= MAX_LINE and found.isascii() and "\n" not in found
            assert clean(found, loopback=loopback) == found
            assert aioice.Candidate.from_sdp(found).to_sdp() == found
    Description(line[:300], line[-300:], (line,), True).usable()


class _Deaf(asyncio.DatagramTransport):
    """Takes everything and sends nothing."""

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Into the void."""


@cache
def _ice() -> tuple[asyncio.AbstractEventLoop, IceSocket]:
    loop = asyncio.new_event_loop()

    async def make() -> IceSocket:
        connection = MovingConnection(
            controlling=True,
            on_datagram=lambda data: None,
            on_connected=lambda: None,
            on_lost=lambda: None,
        )
        connection.remote_username, connection.remote_password = "user", "p" * 22
        opened = IceSocket(connection)
        opened.local_candidate = aioice.Candidate.from_sdp(HOST)
        opened.connection_made(_Deaf())
        connection.sockets.append(opened)
        return opened

    return loop, loop.run_until_complete(make())


def ice(data: bytes) -> None:
    """A datagram from anywhere at a socket of the direct rung; checks with a right MAC too."""
    loop, opened = _ice()

    async def take() -> None:
        opened.datagram_received(data, ("192.0.2.9", 4000))
        with suppress(Exception):  # only to sign what can be signed
            message = ice_stun.parse_message(data)
            key = opened.receiver.local_password.encode()
            message.add_message_integrity(key)
            opened.datagram_received(bytes(message), ("192.0.2.9", 4000))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    loop.run_until_complete(take())


def _quic_link(client: bool, send: Callable[[bytes], None]) -> QuicLink:
    return QuicLink(
        client=client,
        now=lambda: 1.0,
        send=send,
        on_stream=lambda stream, data, end: None,
        on_ready=lambda: None,
        on_closed=lambda why: None,
    )


def quic(data: bytes) -> None:
    """Datagrams at a fresh server and at a client that has begun."""
    for client in (True, False):
        link = _quic_link(client, lambda datagram: None)
        link.start()
        for piece in data.split(b"\xff\x00\xff")[:4]:
            link.receive(piece)
        link.handle_timer()


@cache
def _encoded() -> bytes:
    return bytes(Encoder().encode(silence()))


def voice(data: bytes) -> None:
    """Opened voice of a member: any payload, any timestamps."""
    listening = Listening()
    now = 0.0
    for at in range(0, min(len(data), 2000), 40):
        piece = data[at : at + 40]
        timestamp = int.from_bytes(piece[:4], "big")
        listening.receive(1, timestamp, piece[4:], bool(piece[0] & 1), now)
        listening.receive(1, timestamp + 960 & 0xFFFFFFFF, _encoded(), False, now)
        now += 0.02
        played = listening.pull(now)
        assert abs(played).max() <= 1.0
    listening.stats()


def orders(data: bytes) -> None:
    """A line of a script."""
    order = parse(data)
    assert order is None or isinstance(order.fields, dict)


def _fresh() -> Path:
    """A folder that is gone when the process is."""
    folder = Path(mkdtemp(prefix="vchat-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _folder(_name: str) -> Path:
    return _fresh()


def _with_file(name: str, data: bytes) -> Path:
    folder = _folder(name)
    path = folder / name
    path.write_bytes(data)
    path.chmod(0o600)
    return folder


def config(data: bytes) -> None:
    """A ``config.toml``."""
    load(_with_file("config.toml", data), {}, {})


def identity(data: bytes) -> None:
    """An ``identity.json``; a sealed one without its passphrase."""
    kept_identity(_with_file("identity.json", data), None, os.urandom)


def contacts(data: bytes) -> None:
    """A ``contacts.json``: damaged ones are put aside."""
    for person in Contacts(_with_file("contacts.json", data)).people:
        assert person.identity.valid()


# Seeds


def seeds_candidates() -> list[bytes]:
    """One of each kind."""
    lines = (
        HOST,
        "a/+b 1 UDP 1694498815 2001:db8::7 9 typ srflx raddr ::1 rport 7",
        "1 1 udp 2130706431 127.0.0.1 50000 typ relay",
    )
    return [line.encode() for line in lines]


def seeds_ice() -> list[bytes]:
    """A check, its answer, an error, and something else."""
    found = [b"\x80voice", b""]
    for kind in (ice_stun.Class.REQUEST, ice_stun.Class.RESPONSE, ice_stun.Class.ERROR):
        message = ice_stun.Message(ice_stun.Method.BINDING, kind, bytes(12))
        message.attributes["USERNAME"] = "user:name"
        message.attributes["PRIORITY"] = 1
        message.attributes["ICE-CONTROLLED"] = 7
        message.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.1", 1024)
        found.append(bytes(message))
    return found


def seeds_quic() -> list[bytes]:
    """What a client says first."""
    sent: list[bytes] = []
    _quic_link(True, sent.append).start()
    return [*sent, b"\x40" + bytes(40), b"\xc0" + bytes(60)]


def seeds_voice() -> list[bytes]:
    """Frames in order and out of it."""
    frames = [bytes(2) + (960 * n).to_bytes(2, "big") + _encoded()[:36] for n in range(6)]
    return [b"".join(frames), b"".join(reversed(frames)), b""]


def seeds_orders() -> list[bytes]:
    """Some of each."""
    lines = (
        {"do": "chat", "text": "hello", "to": "m1", "ref": 1},
        {"do": "mute", "on": "toggle"},
        {"do": "volume", "member": "m1", "percent": 50},
        {"do": "stats", "every": 0.5},
        {"do": "only", "rungs": ["direct"]},
    )
    return [json.dumps(line).encode() for line in lines]


def seeds_config() -> list[bytes]:
    """Every kind of value."""
    text = 'name = "Ann"\nstun = ["a.example:3478"]\nguests = 3\nlife = 5\nno_stun = false\n'
    return [text.encode(), b'signal = "ws://[::1]:8765"\n', b'listen = ":8765"\nmic = "none"']


def seeds_identity() -> list[bytes]:
    """A plain one and a sealed one."""
    folder = _fresh()
    kept_identity(folder, None, os.urandom)
    plain = (folder / "identity.json").read_bytes()
    sealed = {"vchat-identity": 1, "salt": "00" * 16, "box": "00" * 104, "fingerprint": "0" * 32}
    return [plain, json.dumps(sealed).encode()]


def seeds_contacts() -> list[bytes]:
    """Two people."""
    folder = _fresh()
    people = Contacts(folder)
    people.save("Ann", Identity.generate(os.urandom).public)
    people.remember("Ben", Identity.generate(os.urandom).public)
    return [(folder / "contacts.json").read_bytes()]
