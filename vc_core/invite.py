"""Invitations: a code to say, or a link to send.

    spoken    4821-apple-robot-candle          with an own server: …@host:8765
    link      vchat: then base64url, without padding, of

        u8 version = 1 | nameplate | secret 16 | fingerprint 16
        | servers | relays | check 4
        nameplate: u16 length, text; servers, relays: u8 count, each u16 length, text
        check: the first bytes of digest("vchat-1 link", all before it)

Both carry a nameplate (the digits by which the signaling server knows the room)
and a secret that no server learns: the words, or 128 random bits. A link names
the host's key as well. What somebody typed is forgiven case, Unicode form and
the sign between words; a word that is not in the list is said at once and costs
no try. The check tells a link that was cut or changed on its way from a wrong one.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from dataclasses import field, replace
from enum import Enum, StrEnum
from typing import ClassVar

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.ids import Rng
from vc_core.keys import digest
from vc_core.record import record
from vc_core.wire import Fixed, Layout, Many, Reader, Record, Text, UInt
from vc_core.wordlist import NUMBERS, WORDS, nearest

# Specification
MIN_WORDS = 3  # fewer than 33 bits are refused
MAX_WORDS = 8
NAMEPLATE_DIGITS = range(4, 17)  # how many a nameplate may have
SECRET_SIZE = 16  # bytes of a link's secret
FINGERPRINT_SIZE = 16  # bytes; keys.PublicIdentity.fingerprint says them in hexadecimal
DEFAULT_PORT = 8765
LINK_SCHEME = "vchat:"
LINK_VERSION = 1
CHECK_SIZE = 4
MAX_ADDRESSES = 8  # servers, and relays, of one link
# Implementation
MAX_TYPED = 8192  # characters of anything worth reading

_BETWEEN = re.compile(r"[\s,_.\-\u2010-\u2015\u2212]+")
_HOST = re.compile(
    r"(\[[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*\]|[^\W_](?:[\w.\-]*\w)?)(?::([0-9]{1,5}))?"
)
_URL = re.compile(r"wss?://[\w.\-\[\]:/?=&%~+@]+")
_PORT = re.compile(r"wss?://[^/?]*:([0-9]+)(?:[/?].*)?")
_RELAY = re.compile(r"[\w.\-\[\]:/?=&%~+@#,]+")


class Kind(StrEnum):
    """The two forms; the values stand in CPace's channel identifier."""

    SPOKEN = "spoken"
    LINK = "link"


class Flaw(Enum):
    """What is wrong with an invitation that cannot be read."""

    EMPTY = "there is no code"
    TOO_LONG = "this is too long for a code"
    NO_NAMEPLATE = "a code begins with four or more digits"
    TOO_FEW_WORDS = "a code has at least three words"
    TOO_MANY_WORDS = "a code has at most eight words"
    UNKNOWN_WORD = "this word is in no code"
    BAD_SERVER = "what follows the @ is no address"
    DAMAGED_LINK = "the link was cut or changed on its way"
    NEWER_LINK = "the link is of a newer version"


class InvitationError(RemoteProtocolError):
    """A code or link that cannot be read; nobody was asked, no try was spent."""

    def __init__(self, flaw: Flaw, what: str = "", suggestion: str = "") -> None:
        self.flaw = flaw
        self.what = what
        """The piece that is wrong, as it was read."""
        self.suggestion = suggestion
        """What was probably meant, or empty."""
        named = f": {what!r}" if what else ""
        meant = f"; did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(flaw.value + named + meant)


@record
class Invitation:
    """One code or link, understood."""

    kind: Kind
    nameplate: str
    """Digits."""
    password: bytes = field(repr=False)
    """CPace's secret: the words with "-" between them, or 16 bytes."""
    servers: tuple[str, ...] = ()
    """Signaling servers (ws:// or wss:// URLs); empty for the configured one."""
    relays: tuple[str, ...] = ()
    """Addresses of relays."""
    fingerprint: str | None = None
    """The host's key as 32 hexadecimal digits; a link has it."""


@record
class _Link(Record):
    """What a link says."""

    version: int
    nameplate: str
    secret: bytes
    fingerprint: bytes
    servers: tuple[str, ...]
    relays: tuple[str, ...]

    LAYOUT: ClassVar[Layout] = (
        ("version", UInt(1)),
        ("nameplate", Text(max(NAMEPLATE_DIGITS))),
        ("secret", Fixed(SECRET_SIZE)),
        ("fingerprint", Fixed(FINGERPRINT_SIZE)),
        ("servers", Many(Text(255), MAX_ADDRESSES)),
        ("relays", Many(Text(255), MAX_ADDRESSES)),
    )


def make_spoken(
    rng: Rng, nameplate: str, server: str = "", *, words: int = MIN_WORDS
) -> Invitation:
    """A fresh code; ``server`` is ``host:port``, a URL or empty."""
    if not MIN_WORDS <= words <= MAX_WORDS:
        raise LocalProtocolError(f"a code of {words} words")
    numbers = (int.from_bytes(rng(2), "big") % len(WORDS) for _ in range(words))
    password = "-".join(WORDS[number] for number in numbers).encode()
    return at_server(Invitation(Kind.SPOKEN, _nameplate(nameplate), password), server)


def at_server(invitation: Invitation, server: str) -> Invitation:
    """The same invitation; its server is ``host:port``, a URL or empty."""
    return replace(invitation, servers=(server_url(server),) if server else ())


def make_link(
    rng: Rng,
    nameplate: str,
    fingerprint: str,
    servers: tuple[str, ...] = (),
    relays: tuple[str, ...] = (),
) -> Invitation:
    """A fresh link; ``fingerprint`` is that of the host's ``PublicIdentity``."""
    urls = tuple(server_url(server) for server in servers)
    secret = rng(SECRET_SIZE)
    return Invitation(Kind.LINK, _nameplate(nameplate), secret, urls, relays, fingerprint)


def write_invitation(invitation: Invitation) -> str:
    """The text for people: the code or the link."""
    if invitation.kind is Kind.LINK:
        return _write_link(invitation)
    code = f"{invitation.nameplate}-{invitation.password.decode()}"
    return "@".join((code, *(_without_scheme(url) for url in invitation.servers)))


def parse_invitation(typed: str) -> Invitation:
    """What somebody typed or pasted; ``InvitationError`` says what is wrong with it."""
    if len(typed) > MAX_TYPED:
        raise InvitationError(Flaw.TOO_LONG)
    text = unicodedata.normalize("NFC", typed).strip()
    if not text:
        raise InvitationError(Flaw.EMPTY)
    if text[: len(LINK_SCHEME)].lower() == LINK_SCHEME:
        return _parse_link(text[len(LINK_SCHEME) :])
    return _parse_spoken(text)


def server_url(text: str) -> str:
    """``host``, ``host:port``, ``[v6]:port`` or a ws/wss URL as a URL."""
    if "://" in text:
        port_given = _PORT.fullmatch(text)
        if not _URL.fullmatch(text) or (port_given and not 0 < int(port_given[1]) < 1 << 16):
            raise InvitationError(Flaw.BAD_SERVER, text)
        return text
    found = _HOST.fullmatch(text.lower())
    port = int(found[2] or DEFAULT_PORT) if found else 0
    if not found or not 0 < port < 1 << 16:
        raise InvitationError(Flaw.BAD_SERVER, text)
    return f"ws://{found[1]}:{port}"


def _without_scheme(url: str) -> str:
    short = url.removeprefix("ws://")
    return short if _HOST.fullmatch(short) and server_url(short) == url else url


def _nameplate(digits: str) -> str:
    if not (digits.isascii() and digits.isdigit() and len(digits) in NAMEPLATE_DIGITS):
        raise InvitationError(Flaw.NO_NAMEPLATE, digits)
    return digits


def _parse_spoken(text: str) -> Invitation:
    code, at, server = text.partition("@")
    nameplate, *words = [piece for piece in _BETWEEN.split(code.lower()) if piece] or [""]
    _nameplate(nameplate)
    for word in words:
        if word not in NUMBERS:
            raise InvitationError(Flaw.UNKNOWN_WORD, word[:32], nearest(word[:32]))
    if len(words) < MIN_WORDS:
        raise InvitationError(Flaw.TOO_FEW_WORDS)
    if len(words) > MAX_WORDS:
        raise InvitationError(Flaw.TOO_MANY_WORDS)
    servers = (server_url(server.strip()),) if at else ()
    return Invitation(Kind.SPOKEN, nameplate, "-".join(words).encode(), servers)


def _write_link(invitation: Invitation) -> str:
    link = _Link(
        LINK_VERSION,
        invitation.nameplate,
        invitation.password,
        bytes.fromhex(invitation.fingerprint or ""),
        invitation.servers,
        invitation.relays,
    )
    body = link.write_fields()
    return LINK_SCHEME + base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


def _check(body: bytes) -> bytes:
    return digest("vchat-1 link", body)[:CHECK_SIZE]


def _parse_link(text: str) -> Invitation:
    letters = "".join(text.split()).removeprefix("//")  # mail programs break lines
    body, check = _decode(letters)
    if check != _check(body):
        raise InvitationError(Flaw.DAMAGED_LINK)
    if body[0] > LINK_VERSION:  # the check stands in the same place in every version
        raise InvitationError(Flaw.NEWER_LINK)
    try:
        reader = Reader(body)
        link = _Link.read_fields(reader)
        reader.finish()
    except RemoteProtocolError as error:
        raise InvitationError(Flaw.DAMAGED_LINK) from error
    if link.version != LINK_VERSION or not all(_RELAY.fullmatch(relay) for relay in link.relays):
        raise InvitationError(Flaw.DAMAGED_LINK)
    if not all(_URL.fullmatch(server) for server in link.servers):
        raise InvitationError(Flaw.DAMAGED_LINK)
    return Invitation(
        Kind.LINK,
        _nameplate(link.nameplate),
        link.secret,
        link.servers,
        link.relays,
        link.fingerprint.hex(),
    )


def _decode(letters: str) -> tuple[bytes, bytes]:
    """(body, check) of a link; one text for one sequence of bytes."""
    try:
        raw = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))
    except (binascii.Error, ValueError) as error:
        raise InvitationError(Flaw.DAMAGED_LINK) from error
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != letters or len(raw) <= CHECK_SIZE:
        raise InvitationError(Flaw.DAMAGED_LINK)
    return raw[:-CHECK_SIZE], raw[-CHECK_SIZE:]
