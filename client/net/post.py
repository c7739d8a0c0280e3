"""The post: a call's connections to all signaling servers that it knows.

Which signal goes where is decided by ``vc_core.servers``; here are the
connections. The first server is the one that the call came by; others are told
by hosts that took over, or are our own. A server that is away is tried again as
long as the call lasts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from client.net.mailbox import Mailbox, SignalingUnreachable, delays
from vc_core.ids import Rng
from vc_core.invite import server_url
from vc_core.servers import Change, Servers
from vc_core.signals import Hello
from vc_core.wire import Record

# Implementation
CONNECT_TIMEOUT = 8.0  # s until a signaling server counts as unreachable
SPARE_AFTER = 3.0  # s, where there is another one to ask


class Post:
    """Sends and hears signals for one call.

    ``on_signal`` gets each signal of any server, ``on_change`` what a session has to
    know of connections that come and go; both are called from the event loop.
    """

    def __init__(
        self,
        url: str,
        on_signal: Callable[[Record], None],
        on_change: Callable[[Change], None],
        rng: Rng = os.urandom,
        *,
        spare: str | None = None,
    ) -> None:
        """``spare`` is asked if nothing answers at ``url``: perhaps its name here."""
        self._on_signal = on_signal
        self._on_change = on_change
        self._rng = rng
        named = server_url(spare) if spare else url
        self._spare = named if named != url else None
        self._quiet: str | None = None
        """A server of our own that is being adopted: no news to whoever opened it."""
        self._begin_with(url)
        self._trying: dict[str, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def _begin_with(self, url: str) -> None:
        self._servers = Servers(url)
        self._first = self._mailbox(url)
        self._mailboxes = {url: self._first}

    def _mailbox(self, url: str, *, named: bool = False) -> Mailbox:
        """``named``: by another member, so only a server of this machine may lead back to it."""
        return Mailbox(
            url,
            loopback=not named or self._first.local,
            on_signal=self._on_signal,
            on_state=lambda state: self._moved(url, connected=state == "connected"),
            reconnect=True,
            rng=self._rng,
        )

    # getters

    @property
    def url(self) -> str:
        """The server in use; the one that would be, while none is connected."""
        return self._servers.primary or self._servers.known[0]

    @property
    def local(self) -> bool:
        """Whether the call came by a server on this machine."""
        return self._first.local

    @property
    def stun_server(self) -> tuple[str, int] | None:
        """Where the first server answers STUN."""
        return self._first.stun_server

    # verbs

    async def connect(self) -> Hello:
        """Connect to the first server; ``SignalingUnreachable`` when that fails."""
        if self._spare is not None:
            with suppress(SignalingUnreachable):
                return await self._first.connect(SPARE_AFTER)
            await self._first.close()
            self._begin_with(self._spare)
        return await self._first.connect(CONNECT_TIMEOUT)

    def send(self, signal: Record) -> None:
        """Queue a signal for the servers that it concerns."""
        for url in self._servers.route(signal):
            self._mailboxes[url].send(signal)

    def add(self, url: str) -> None:
        """The host keeps a server there: be connected to it as soon as it answers."""
        if url not in self._trying and self._servers.known[0] != url:
            self._remember(url)
            self._trying[url] = asyncio.get_running_loop().create_task(self._try(url))

    async def adopt(self, url: str) -> None:
        """Be connected to a server of our own; ``SignalingUnreachable`` when that fails.

        ``on_change`` is not called: whoever opened it knows.
        """
        self._quiet = url
        try:
            self._remember(url)
            if url not in self._mailboxes:
                mailbox = self._mailboxes[url] = self._mailbox(url)
                await mailbox.connect(CONNECT_TIMEOUT)
        except SignalingUnreachable:
            self._mailboxes.pop(url, None)  # so that it is tried when it is wanted again
            raise
        finally:
            self._quiet = None

    def _remember(self, url: str) -> None:
        for over in self._servers.add(url):
            trying = self._trying.pop(over, None)
            if trying is not None:
                trying.cancel()
            mailbox = self._mailboxes.pop(over, None)
            if mailbox is not None:
                closing = asyncio.get_running_loop().create_task(mailbox.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
        mailbox = self._mailboxes.get(url)
        if mailbox is not None and mailbox.state.name == "CONNECTED":
            self._moved(url, connected=True)

    async def _try(self, url: str) -> None:
        if url in self._mailboxes:
            return
        for wait in delays(self._rng):
            mailbox = self._mailbox(url, named=True)
            with suppress(SignalingUnreachable):
                self._mailboxes[url] = mailbox
                await mailbox.connect(CONNECT_TIMEOUT)
                return
            del self._mailboxes[url]
            await asyncio.sleep(wait)

    async def close(self) -> None:
        """Send what is queued and let go of all servers."""
        for task in (*self._trying.values(), *self._closing):
            task.cancel()
        mailboxes, self._mailboxes = list(self._mailboxes.values()), {}
        await asyncio.gather(*(mailbox.close() for mailbox in mailboxes))

    def _moved(self, url: str, *, connected: bool) -> None:
        """A connection stands, or broke."""
        if connected:
            signals, change = self._servers.connected(url)
            mailbox = self._mailboxes[url]
            for signal in signals:
                mailbox.send(signal)
        else:
            change = self._servers.lost(url)
        if change is not Change.NONE and url != self._quiet:
            self._on_change(change)
