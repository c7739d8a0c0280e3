"""Finding each other in one network: a code without its ``@host:port``.

A host whose signaling server runs inside it announces it by multicast DNS for as
long as its code can be used; whoever types the code without a server listens for
four seconds and takes the first server that was announced for it and answers.

    name    16 random hexadecimal digits, new for each code
    port    of the signaling server
    TXT     v = 1 | tag = hexadecimal of  salt 8 | first 4 bytes of H(salt, nameplate)

Rule 1: nothing that is announced tells who hosts. The tag picks one among several
        hosts and hides nothing: there are few nameplates, and they are no secret.
Rule 2: what is heard is hostile: only addresses of the networks that this machine
        is in, and only servers whose tag fits. Whoever is in this network can
        announce such a tag and gets one guess at the code, as a signaling server
        does; nobody ever tries a second server with the same code by itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

from client.net import mdns
from client.net.candidates import reachable
from client.net.dial import dial
from client.net.interfaces import Interfaces, interfaces
from client.net.mdns import Announce, Announcement, Browsing, MulticastError, Service
from vc_core.errors import VchatError
from vc_core.events import CodeEnded, CodeReady
from vc_core.ids import Rng
from vc_core.keys import digest, same

# Specification
VERSION: Final = b"1"
SALT_SIZE: Final = 8
TAG_SIZE: Final = 4  # bytes of the hash; two of 16 hosts share one once in 30 million networks
NAME_SIZE: Final = 8  # random bytes of an instance's name

# Implementation
PATIENCE: Final = 4.0  # s of looking; answers take 0.2 s, 1.2 s when one was lost, 3.2 s when two
DIAL_LIMIT: Final = 0.5  # s until one address counts as silent
GOODBYE_LIMIT: Final = 0.5  # s for withdrawing what is announced

log = logging.getLogger(__name__)

Knock = Callable[[str, int], Awaitable[bool]]
"""Whether somebody takes a connection at an address and port."""


class Missing(Enum):
    """Why no server was found; a person reads ``client.words``."""

    DEAF = "this machine cannot listen to its network"
    NOBODY = "no room is announced in this network"
    OTHERS = "rooms are announced, but none for this code"
    SILENT = "one is announced for this code and does not answer"


class NotFoundError(VchatError):
    """A code without a server whose host is not in this network."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(missing.value)
        self.missing = missing


def make_tag(rng: Rng, nameplate: str) -> bytes:
    """What TXT says about a nameplate."""
    salt = rng(SALT_SIZE)
    return (salt + _hash(salt, nameplate)).hex().encode()


def fits(service: Service, nameplate: str) -> bool:
    """Whether a service says that it is for ``nameplate``."""
    try:
        tag = bytes.fromhex((service.text.get(b"tag") or b"").decode("ascii"))
    except ValueError:
        return False
    salt, said = tag[:SALT_SIZE], tag[SALT_SIZE:]
    version = service.text.get(b"v")
    return version == VERSION and same(said, _hash(salt, nameplate))


def _hash(salt: bytes, nameplate: str) -> bytes:
    return digest("vchat-1 lan", salt, nameplate.encode())[:TAG_SIZE]


def believable(service: Service, here: Interfaces) -> list[str]:
    """Those of its addresses that are in a network of this machine."""
    found = []
    for text in service.addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        near = any(address in network for network in here.networks)
        if near and reachable(address, loopback=False, bridges=here.bridges):
            found.append(str(address))
    return found


def own_interfaces() -> Interfaces:
    """This machine's networks now."""
    return interfaces(loopback=False)


def spoken_to(here: Interfaces) -> tuple[str, ...]:
    """Our addresses whose networks are listened to: IPv4, or IPv6 where there is none."""
    v4 = tuple(address for address in here.addresses if ":" not in address)
    return v4 or here.addresses


# ---- The guest's half ---------------------------------------------------------------


async def answers(address: str, port: int) -> bool:
    """Whether somebody takes a connection there."""
    try:
        async with asyncio.timeout(DIAL_LIMIT):
            (await dial(address, port)).close()
    except (OSError, TimeoutError):
        return False
    return True


async def look_for(
    nameplate: str,
    *,
    browse: Browsing = mdns.browsing,
    knock: Knock = answers,
    look: Callable[[], Interfaces] = own_interfaces,
    patience: float = PATIENCE,
) -> str:
    """The URL of the server that is announced for ``nameplate``; ``NotFoundError``."""
    here = look()
    search = _Search(nameplate, here, knock)
    addresses = spoken_to(here)
    if not addresses:
        raise NotFoundError(Missing.DEAF)
    try:
        async with browse(addresses) as heard, asyncio.timeout(patience):
            return await search.run(heard)
    except MulticastError as error:
        log.debug("cannot look for a host: %s", error)
        raise NotFoundError(Missing.DEAF) from error
    except TimeoutError as error:
        raise NotFoundError(search.missing) from error


class _Search:
    """What one search has seen so far."""

    def __init__(self, nameplate: str, here: Interfaces, knock: Knock) -> None:
        self._nameplate = nameplate
        self._here = here
        self._knock = knock
        self.missing = Missing.NOBODY

    async def run(self, heard: asyncio.Queue[Service]) -> str:
        """The first that fits and answers, however long it takes."""
        while True:
            service = await heard.get()
            if fits(service, self._nameplate):
                self.missing = Missing.SILENT
                for address in believable(service, self._here):
                    if await self._knock(address, service.port):
                        return f"ws://{_bracketed(address)}:{service.port}"
            elif self.missing is Missing.NOBODY:
                self.missing = Missing.OTHERS


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


# ---- The host's half ----------------------------------------------------------------


class Announcer:
    """Announces the server inside a host while its code can be used.

    ``said`` is told each code, without server, that is announced now. Where nothing
    can be announced nothing happens.
    """

    def __init__(
        self,
        host: str,
        port: int,
        said: Callable[[str], None],
        *,
        rng: Rng = os.urandom,
        announce: Announce = mdns.announce,
        look: Callable[[], Interfaces] = own_interfaces,
    ) -> None:
        """``host`` is where the server listens."""
        self._host = host
        self._port = port
        self._said = said
        self._rng = rng
        self._announce = announce
        self._look = look
        self._wanted = ""
        """The code to announce; empty for none. With another server we are in another network."""
        self._announced = ""
        self._announcement: Announcement | None = None
        self._working: asyncio.Task[None] | None = None

    def follow(self, event: object) -> None:
        """Take an event of the room."""
        if isinstance(event, CodeReady):
            self._want(event.code)
        elif isinstance(event, CodeEnded):
            self._want("")

    async def close(self) -> None:
        """Withdraw what is announced; takes at most half a second."""
        if self._working is None:
            return
        self._want("")
        await asyncio.wait([self._working], timeout=GOODBYE_LIMIT)
        self._working.cancel()
        await asyncio.wait([self._working])

    def _want(self, code: str) -> None:
        self._wanted = code
        if self._working is None or self._working.done():
            self._working = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Make what is announced what is wanted, however often that changes meanwhile."""
        try:
            while self._announced != self._wanted:
                if self._announcement is not None:
                    ending, self._announcement, self._announced = self._announcement, None, ""
                    await ending.end()
                else:
                    await self._begin(self._wanted)
        except MulticastError as error:
            log.debug("not announced in this network: %s", error)

    async def _begin(self, code: str) -> None:
        here = self._look()
        ours = self._ours(here)
        if not ours:
            raise MulticastError("no address that others in this network could reach")
        text: dict[bytes, bytes | None] = {
            b"v": VERSION,
            b"tag": make_tag(self._rng, code.partition("-")[0]),
        }
        service = Service(self._rng(NAME_SIZE).hex(), ours, self._port, text)
        self._announcement = await self._announce(service, ours)
        self._announced = code
        if code == self._wanted:
            self._said(code.partition("@")[0])

    def _ours(self, here: Interfaces) -> tuple[str, ...]:
        """Where the server can be reached from a network that we are in."""
        if self._host in ("", "0.0.0.0", "::"):
            return spoken_to(here)[: mdns.MAX_ADDRESSES]
        return tuple(address for address in here.addresses if address == self._host)
