"""Multicast DNS: the only file that knows zeroconf (RFC 6762, RFC 6763).

    announcement = await announce(service, addresses)   # until announcement.end()
    async with browsing(addresses) as heard: ...        # a queue of services

Rule 1: zeroconf is imported when it is needed, and a socket is open only while
        something is announced or looked for.
Rule 2: what comes from the network is a ``Service`` or nothing; the first
        ``MAX_SERVICES`` are looked at. Whether one is believed is asked in ``lan``.
Rule 3: ``addresses`` are our own: nothing is sent to or heard from other networks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from vc_core.errors import VchatError
from vc_core.record import record

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

# Specification
SERVICE: Final = "_vchat._tcp.local."

# Implementation
MAX_SERVICES: Final = 16  # names of one search; a family of hosts, and no flood
MAX_ADDRESSES: Final = 4  # of one service
RECORD_LIFE: Final = 120  # s that others may remember us, should we end without a word
RESOLVE_LIMIT: Final = 1500  # ms for the records of one name

log = logging.getLogger(__name__)
logging.getLogger("zeroconf").setLevel(logging.CRITICAL)  # it logs what strangers send


class MulticastError(VchatError):
    """Nothing can be announced or looked for: no library, no network, no right to the port."""


@record
class Service:
    """One instance of the service."""

    name: str
    """Its label, without the type."""
    addresses: tuple[str, ...]
    port: int
    text: dict[bytes, bytes | None]
    """The TXT record."""


class Announcement(Protocol):
    """Something that is announced."""

    async def end(self) -> None:
        """Say goodbye to the network, which takes a quarter of a second, and let go."""


class Announce(Protocol):
    """``announce``, or a double."""

    async def __call__(self, service: Service, addresses: Sequence[str], /) -> Announcement: ...


class Browsing(Protocol):
    """``browsing``, or a double."""

    def __call__(
        self, addresses: Sequence[str], /
    ) -> AbstractAsyncContextManager[asyncio.Queue[Service]]: ...


# ---- Saying -------------------------------------------------------------------------


async def announce(service: Service, addresses: Sequence[str], /) -> Announcement:
    """Announce it in the networks of ``addresses``; ``MulticastError`` when that is impossible.

    The name must be random: nobody is asked whether it is free, which would take a second.
    """
    zeroconf = await _open(addresses)
    said = _Said(zeroconf, _info(service))
    try:
        await said.begin()
    except BaseException:
        await zeroconf.async_close()
        raise
    return said


def _info(service: Service) -> AsyncServiceInfo:
    from zeroconf.asyncio import AsyncServiceInfo

    return AsyncServiceInfo(
        SERVICE,
        f"{service.name}.{SERVICE}",
        port=service.port,
        properties=service.text,
        server=f"{service.name}.local.",  # never the name of the machine
        parsed_addresses=list(service.addresses),
        host_ttl=RECORD_LIFE,
        other_ttl=RECORD_LIFE,
    )


class _Said:
    """What zeroconf announces for us."""

    def __init__(self, zeroconf: AsyncZeroconf, info: AsyncServiceInfo) -> None:
        self._zeroconf = zeroconf
        self._info = info
        self._repeating: asyncio.Future[Any] | None = None

    async def begin(self) -> None:
        """Say it once, and twice more in the background."""
        repeating = await self._zeroconf.async_register_service(
            self._info, cooperating_responders=True
        )
        self._repeating = asyncio.ensure_future(repeating)

    async def end(self) -> None:
        """See ``Announcement``."""
        if self._repeating is not None:
            self._repeating.cancel()  # it must not come after the goodbye
        try:
            with suppress(OSError):
                await (await self._zeroconf.async_unregister_service(self._info))
        finally:
            await self._zeroconf.async_close()


# ---- Hearing ------------------------------------------------------------------------


@asynccontextmanager
async def browsing(addresses: Sequence[str], /) -> AsyncIterator[asyncio.Queue[Service]]:
    """Services as they are heard in the networks of ``addresses``; ``MulticastError``."""
    zeroconf = await _open(addresses)
    from zeroconf.asyncio import AsyncServiceBrowser

    heard = _Heard(zeroconf)
    try:
        async with AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[heard.changed]):
            yield heard.services
    finally:
        heard.close()
        await zeroconf.async_close()


class _Heard:
    """The names that were heard, and the tasks that ask for their records."""

    def __init__(self, zeroconf: AsyncZeroconf) -> None:
        self.services: asyncio.Queue[Service] = asyncio.Queue()
        self._zeroconf = zeroconf
        self._names: set[str] = set()
        self._resolving: set[asyncio.Task[None]] = set()

    def changed(self, *, name: str, **_: Any) -> None:
        """A name was heard, perhaps again; called from the event loop."""
        if name in self._names or len(self._names) >= MAX_SERVICES:
            return
        self._names.add(name)
        task = asyncio.get_running_loop().create_task(self._resolve(name))
        self._resolving.add(task)
        task.add_done_callback(self._resolving.discard)

    async def _resolve(self, name: str) -> None:
        from zeroconf import Error
        from zeroconf.asyncio import AsyncServiceInfo

        try:
            info = AsyncServiceInfo(SERVICE, name)
            if await info.async_request(self._zeroconf.zeroconf, RESOLVE_LIMIT) and info.port:
                addresses = tuple(info.parsed_addresses()[:MAX_ADDRESSES])
                label = name.removesuffix(f".{SERVICE}")
                self.services.put_nowait(
                    Service(label, addresses, info.port, dict(info.properties))
                )
        except (Error, ValueError, OSError) as error:
            log.debug("ignored a service of this network: %r", error)

    def close(self) -> None:
        """Ask no more."""
        for task in self._resolving:
            task.cancel()


# ---- Both ---------------------------------------------------------------------------


async def _open(addresses: Sequence[str]) -> AsyncZeroconf:
    """Sockets for multicast, one for each address; they live in the running event loop."""
    try:
        await asyncio.to_thread(_load)
        from zeroconf import Error
        from zeroconf.asyncio import AsyncZeroconf
    except ImportError as error:
        raise MulticastError("zeroconf is not installed") from error
    try:
        zeroconf = AsyncZeroconf(interfaces=list(addresses))
        try:
            await zeroconf.zeroconf.async_wait_for_start()
        except BaseException:
            await zeroconf.async_close()
            raise
    except (Error, OSError, RuntimeError) as error:
        raise MulticastError(f"multicast is impossible here: {error}") from error
    return zeroconf


def _load() -> None:
    import zeroconf.asyncio  # noqa: F401
