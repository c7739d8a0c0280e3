"""Counts for a monitoring program: a private port, a token, text in Prometheus' format.

GET /metrics HTTP/1.1
Authorization: Bearer TOKEN
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Mapping

from vc_core.errors import CannotListenError

# Implementation
PATIENCE = 5.0
"""Seconds for a question."""
LONGEST = 8192
"""Bytes of a question."""
AT_ONCE = 16
"""Questions at a time; more are hung up on."""
GAUGES = {"slots", "rooms", "customers", "connections", "draining"}
"""What there is now; everything else only grows."""


class Metrics:
    """A page with counts."""

    def __init__(self, token: bytes, counts: Callable[[], Mapping[str, int]]) -> None:
        self._token = b"Bearer " + token
        self._counts = counts
        self._open = 0
        self._server: asyncio.Server | None = None
        self.port = 0

    async def listen(self, host: str, port: int) -> None:
        """Start; raises ``CannotListenError``."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=LONGEST)
        except OSError as error:
            raise CannotListenError.at(host, port, error) from error
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= AT_ONCE:
                with contextlib.suppress(
                    TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
                ):
                    async with asyncio.timeout(PATIENCE):
                        writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                        await writer.drain()
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, question: bytes) -> bytes:
        first, *lines = question.split(b"\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(b":") for x in lines)
        }
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._token):
            return _page("401 Unauthorized", "a token is needed\n")
        if first.split(b" ")[:2] != [b"GET", b"/metrics"]:
            return _page("404 Not Found", "there is /metrics\n")
        return _page("200 OK", written(self._counts()))


def written(counts: Mapping[str, int]) -> str:
    """Counts as lines."""
    lines = []
    for name, value in counts.items():
        total = "" if name in GAUGES else "_total"
        kind = "gauge" if name in GAUGES else "counter"
        lines += [f"# TYPE vchat_relay_{name}{total} {kind}", f"vchat_relay_{name}{total} {value}"]
    return "\n".join(lines) + "\n"


def _page(status: str, text: str) -> bytes:
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
