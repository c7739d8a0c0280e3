"""Dialling: a TCP connection to a name, without waiting for dead addresses.

Happy Eyeballs (RFC 8305): addresses of both families in turn, the next one after
a quarter of a second or as soon as one has failed; the first that answers wins.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from itertools import chain, zip_longest
from typing import Any, Final

from client.net.candidates import reachable

# Implementation
STAGGER: Final = 0.25  # seconds; RFC 8305, 8
MAX_ADDRESSES: Final = 8

Target = tuple[int, Any]  # family and socket address


async def dial(host: str, port: int, *, loopback: bool = True) -> socket.socket:
    """A connected, non-blocking socket; ``OSError`` when no address answers.

    ``UnicodeError`` for a name that no machine can have. Without ``loopback`` only
    addresses count that others may name.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    targets = _in_turn(
        (family, address)
        for family, _, _, _, address in found
        if loopback or _of_others(str(address[0]))
    )
    attempts: set[asyncio.Task[socket.socket]] = set()
    error: OSError = OSError(f"no address for {host}")
    try:
        while targets or attempts:
            if targets:
                attempts.add(asyncio.create_task(_attempt(targets.pop(0))))
            done, attempts = await asyncio.wait(
                attempts,
                timeout=STAGGER if targets else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                if (failure := attempt.exception()) is None:
                    attempts |= done - {attempt}  # another one may have answered with it
                    return attempt.result()
                error = failure if isinstance(failure, OSError) else OSError(str(failure))
        raise error
    finally:
        await _abandon(attempts)


def _of_others(host: str) -> bool:
    return reachable(ipaddress.ip_address(host.partition("%")[0]), loopback=False)


def _in_turn(found: Iterable[Target]) -> list[Target]:
    """The resolver's order, the families taking turns."""
    families: dict[int, list[Target]] = {}
    for target in found:
        families.setdefault(target[0], []).append(target)
    mixed = chain.from_iterable(zip_longest(*families.values()))
    return [target for target in mixed if target is not None][:MAX_ADDRESSES]


async def _attempt(target: Target) -> socket.socket:
    family, address = target
    tcp = socket.socket(family, socket.SOCK_STREAM)
    try:
        tcp.setblocking(False)
        await asyncio.get_running_loop().sock_connect(tcp, address)
    except BaseException:
        tcp.close()
        raise
    return tcp


async def _abandon(attempts: set[asyncio.Task[socket.socket]]) -> None:
    for attempt in attempts:
        attempt.cancel()
    if attempts:
        await asyncio.wait(attempts)
    for attempt in attempts:
        if not attempt.cancelled() and attempt.exception() is None:
            attempt.result().close()
