"""The life of a relay process: start, reload, drain, end.

SIGTERM, SIGINT   takes nobody new; ends when nobody is left, or after ``grace``
                  seconds; a second one ends it at once
SIGHUP            reads secret and certificate anew
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from relay.certificate import Certificate, NoMakerError, own_certificate
from relay.connected import MOST
from relay.forwarder import Forwarder
from relay.limits import OPEN, Limits
from relay.metrics import Metrics
from relay.server import Relay, Settings, serve
from vc_core.errors import VchatError, reason
from vc_core.grant import parse_secret
from vc_core.record import record

# Implementation
REPORT_EVERY = 60.0
"""Seconds between two ``counts`` lines; nothing is said while nothing changes."""
SWITCH = 0.0005
"""Seconds after which a thread that computes lets another go on; packets do not wait 5 ms."""
SPARE_FILES = 64 + 4 * MOST
"""Open files that are no connection."""
LOOK_EVERY = 0.1
"""Seconds between two looks whether the last one has gone."""

Say = Callable[[dict[str, Any]], None]

log = logging.getLogger("vchat.relay")


class DaemonError(VchatError):
    """The relay cannot run as it was told to."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint


@record
class Plan:
    """What the command line asks for."""

    listen: tuple[str, int]
    tcp: tuple[str, int] | None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure_tcp: bool = False
    secret_file: Path | None = None
    changes: dict[str, Any] | None = None
    """Limits that are not at their defaults."""
    state: Path | None = None
    """Where a certificate of its own is kept."""
    user: str | None = None
    grace: float = 30.0
    metrics: tuple[str, int] | None = None
    metrics_token_file: Path | None = None


class Daemon:
    """One relay process."""

    def __init__(self, plan: Plan, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._asked = 0
        """How often we were asked to end."""
        self._changed = asyncio.Event()
        self._certificate: Certificate | None = None

    async def run(self) -> None:
        """From ``listening`` to ``stopped``; raises ``VchatError`` if it cannot start."""
        plan = self._plan
        sys.setswitchinterval(SWITCH)
        self._certificate = self._find_certificate()
        relay = await serve(self._settings())
        metrics = await self._listen_for_metrics(relay)
        if plan.user is not None:
            become(plan.user, relay.forwarder)
        with _signals(self._ask, self._reload, relay):
            said = relay.counts()
            self._announce(relay, metrics)
            await self._serve(relay, said)
        if metrics is not None:
            metrics.close()
        await relay.close()
        self._say({"event": "stopped"})

    # Start

    def _find_certificate(self) -> Certificate | None:
        plan = self._plan
        if plan.tcp is None or plan.insecure_tcp:
            return None
        if plan.tls_cert is not None:
            return Certificate(plan.tls_cert, plan.tls_key)
        try:
            return own_certificate(plan.state)
        except NoMakerError as error:
            log.warning("%s: nothing listens at TCP", error)
            return None

    def _settings(self) -> Settings:
        plan, secret = self._plan, self._read_secret()
        limits = replace(Limits() if secret else OPEN, **(plan.changes or {}))
        certificate = self._certificate
        return Settings(
            host=plan.listen[0],
            port=plan.listen[1],
            tcp=plan.tcp if certificate or plan.insecure_tcp else None,
            tls=certificate.context if certificate else None,
            secret=secret,
            limits=_fitting(limits) if plan.tcp else limits,
        )

    def _read_secret(self) -> bytes | None:
        path = self._plan.secret_file
        if path is None:
            return None
        hint = "vchat relay --new-secret prints one"
        try:
            return parse_secret(path.read_text("ascii"))
        except OSError as error:
            raise DaemonError(f"cannot read {path}: {reason(error)}", hint) from error
        except ValueError as error:
            raise DaemonError(f"{path} is not a secret of 64 hexadecimal digits", hint) from error

    async def _listen_for_metrics(self, relay: Relay) -> Metrics | None:
        plan = self._plan
        if plan.metrics is None or plan.metrics_token_file is None:
            return None
        try:
            token = plan.metrics_token_file.read_bytes().strip()
        except OSError as error:
            raise DaemonError(f"cannot read {plan.metrics_token_file}: {reason(error)}") from error
        if not token:
            raise DaemonError(f"{plan.metrics_token_file} is empty")
        metrics = Metrics(token, relay.counts)
        await metrics.listen(*plan.metrics)
        return metrics

    def _announce(self, relay: Relay, metrics: Metrics | None) -> None:
        certificate, is_open = self._certificate, relay.forwarder.slots.is_open
        if is_open:
            log.warning("open: it forwards for everybody, with tight limits (see --secret-file)")
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            log.warning("it runs as root (see --user)")
        event = {
            "event": "listening",
            "host": relay.host,
            "port": relay.port,
            "tcp_port": relay.tcp_port,
            "tls": certificate is not None,
            "open": is_open,
        }
        if certificate is not None:
            event["pin"] = certificate.pin
        if metrics is not None:
            event["metrics_port"] = metrics.port
        self._say(event)

    # Life and end

    async def _serve(self, relay: Relay, said: dict[str, int]) -> None:
        while not self._asked:
            await self._wait(REPORT_EVERY)
            if (counts := relay.counts()) != said:
                self._say({"event": "counts", **counts})
                said = counts
        relay.drain()
        slots, loop = relay.forwarder.slots, asyncio.get_running_loop()
        if not slots.is_empty:
            self._say({"event": "draining", "slots": relay.counts()["slots"]})
        deadline = loop.time() + self._plan.grace
        while not slots.is_empty and loop.time() < deadline and self._asked == 1:
            await self._wait(min(LOOK_EVERY, max(0.0, deadline - loop.time())))

    async def _wait(self, seconds: float) -> None:
        """Until somebody asks for the end, or for a while."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def _ask(self) -> None:
        self._asked += 1
        self._changed.set()

    def _reload(self, relay: Relay) -> None:
        """What cannot be read leaves everything as it is."""
        try:
            secret = self._read_secret()
            if self._certificate is not None and self._plan.tls_cert is not None:
                self._certificate.load()
        except VchatError as error:
            log.warning("not reloaded: %s", error)
            return
        relay.forwarder.change_secret(secret)
        self._say({"event": "reloaded"})


def _fitting(limits: Limits) -> Limits:
    """As many connections as this process may have open files, after asking for more."""
    try:
        import resource
    except ImportError:  # Windows counts no files
        return limits
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits
    log.warning("open files are limited to %d, and connections with them", soft)
    return replace(limits, connections=max(1, soft - SPARE_FILES))


def become(user: str, forwarder: Forwarder) -> None:
    """Be somebody with fewer rights, for good, who owns the ports; raises ``DaemonError``."""
    try:
        import pwd

        found = pwd.getpwnam(user)
        forwarder.hand_over(found.pw_uid, found.pw_gid)
        os.initgroups(user, found.pw_gid)
        os.setgid(found.pw_gid)
        os.setuid(found.pw_uid)
    except (ImportError, KeyError, OSError) as error:
        raise DaemonError(f"cannot become {user!r}: no such user, or no right to") from error


@contextlib.contextmanager
def _signals(ask: Callable[[], None], reload: Callable[[Relay], None], relay: Relay) -> Any:
    """Signals as calls in the loop; where a loop knows none, Ctrl-C does."""
    loop = asyncio.get_running_loop()
    before = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, ask)
        except NotImplementedError:  # Windows
            before[number] = signal.signal(number, lambda *_: loop.call_soon_threadsafe(ask))
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, reload, relay)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
