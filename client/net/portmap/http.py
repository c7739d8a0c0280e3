"""As much of HTTP/1.1 (RFC 9112) as a router needs: one question, one answer, goodbye.

    HTTP/1.1 200 OK            the status
    Content-Length: 612        or Transfer-Encoding: chunked, or neither: until
                               the connection ends
    <empty line>
    body

SSDP says the same over UDP, without a body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vc_core.errors import RemoteProtocolError
from vc_core.record import record

# Implementation
MAX_HEAD = 8192  # bytes up to the empty line
MAX_BODY = 1 << 17  # bytes; descriptions of devices have 2 to 30 thousand
MAX_SIZE = MAX_HEAD + MAX_BODY + (1 << 14)  # bytes with the lengths of chunks
MAX_PATH = 512  # characters

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?")
_URL = re.compile(r"http://(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?(/[!-~]*)?")
_PATH = re.compile(r"[!-~]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,6})[^\r\n]*\r\n")


@record
class Place:
    """Where something is asked by HTTP."""

    host: str
    """Numeric: a name would be asked of somebody else."""
    port: int
    path: str
    """With its leading stroke."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"


@record
class Answer:
    """What came back."""

    status: int
    heads: Mapping[str, str]
    """By name in lower case; of several of one name the first."""
    body: bytes


def read_url(url: str) -> Place:
    """The place that an ``http`` URL with a numeric host names."""
    found = _URL.fullmatch(url) if len(url) <= MAX_PATH else None
    if found is None:
        raise RemoteProtocolError("no http address with a numeric host")
    port = int(found[3] or 80)
    if not 0 < port < 1 << 16:
        raise RemoteProtocolError("no port")
    return Place(found[1] or found[2], port, (found[4] or "/").partition("#")[0])


def join(base: Place, url: str) -> Place:
    """Where ``url`` leads from ``base``; never to another host."""
    if url.lower().startswith("http://"):
        place = read_url("http" + url[4:])
        if place.host != base.host:
            raise RemoteProtocolError("a router that sends us elsewhere")
        return place
    if len(url) > MAX_PATH or not _PATH.fullmatch(url) or "://" in url or url.startswith("//"):
        raise RemoteProtocolError("no path")
    folder = "" if url.startswith("/") else base.path.partition("?")[0].rpartition("/")[0] + "/"
    return Place(base.host, base.port, folder + url)


def write_get(place: Place) -> bytes:
    """Give me that."""
    return _write("GET", place, "", b"")


def write_post(place: Place, action: str, body: str) -> bytes:
    """A SOAP call; ``action`` is ``service#verb``."""
    heads = f'Content-Type: text/xml; charset="utf-8"\r\nSOAPAction: "{action}"\r\n'
    return _write("POST", place, heads, body.encode())


def is_whole(data: bytes) -> bool:
    """Whether an answer needs no further byte; false as well when only its end will tell."""
    head, gap, body = data.partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD:
        raise RemoteProtocolError("an answer without a head")
    if not gap:
        return False
    _, heads = _read_head(head)
    if "chunked" in heads.get("transfer-encoding", "").lower():
        return body.endswith(b"0\r\n\r\n") and _unchunk(body) is not None
    length = _length(heads)
    return length is not None and len(body) >= length


def read_answer(data: bytes) -> Answer:
    """A whole answer, or one that ended with its connection."""
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap or len(head) > MAX_HEAD:
        raise RemoteProtocolError("an answer without a head")
    status, heads = _read_head(head)
    length = _length(heads)
    if "chunked" in heads.get("transfer-encoding", "").lower():
        whole = _unchunk(body)
        if whole is None:
            raise RemoteProtocolError("an answer whose chunks do not end")
        body = whole
    elif length is not None:
        if len(body) < length:
            raise RemoteProtocolError("an answer that ends too early")
        body = body[:length]
    if len(body) > MAX_BODY:
        raise RemoteProtocolError("an answer that is too long")
    return Answer(status, heads, body)


def _write(verb: str, place: Place, heads: str, body: bytes) -> bytes:
    host = f"[{place.host}]" if ":" in place.host else place.host
    head = (
        f"{verb} {place.path} HTTP/1.1\r\nHost: {host}:{place.port}\r\n"
        f"Connection: close\r\n{heads}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise RemoteProtocolError("no answer of HTTP")
    heads: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            heads.setdefault(name.strip().lower(), value.strip())
    return int(status[1]), heads


def _length(heads: Mapping[str, str]) -> int | None:
    said = heads.get("content-length")
    if said is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", said) or int(said) > MAX_BODY:
        raise RemoteProtocolError("an answer of a strange length")
    return int(said)


def _unchunk(body: bytes) -> bytes | None:
    """Chunks put together (RFC 9112, 7.1); None when the last one is missing."""
    pieces: list[bytes] = []
    at = 0
    while (chunk := _CHUNK.match(body, at)) is not None:
        size = int(chunk[1], 16)
        if size == 0:
            return b"".join(pieces)
        end = chunk.end() + size
        if body[end : end + 2] != b"\r\n":
            break
        pieces.append(body[chunk.end() : end])
        at = end + 2
    return None
