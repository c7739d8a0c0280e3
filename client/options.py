"""The table of options: what can be chosen, and how each value is read.

One reader takes what stands on the command line, in the environment or in
``config.toml``; its ``ValueError`` says what is allowed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from client.settings import RUNGS
from vc_core.record import record

# Implementation
MAX_GUESTS = 63  # seats of one roster, without the host's
LONGEST_LIFE = 86400  # seconds of a code

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]@]*):([0-9]{1,5})")
_HOST = re.compile(r"[0-9a-fA-F:.]*:[0-9a-fA-F:.]+|\[[0-9a-fA-F:.]+\]|[^\s:/\[\]@]+")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or any(map(_breaks_line, value)):
        raise ValueError("a text in one line")
    return value.strip()


def _breaks_line(character: str) -> bool:
    """Control characters, and line ends; joiners are part of a name."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _yes_or_no(value: Any) -> bool:
    word = str(value).lower()
    if word not in _YES + _NO:
        raise ValueError("true or false")
    return word in _YES


def _guests(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal() or not 1 <= int(value) <= MAX_GUESTS:
        raise ValueError(f"a number from 1 to {MAX_GUESTS}")
    return int(value)


def _minutes(value: Any) -> float:
    """Minutes as written, seconds as kept."""
    meant = f"a number of minutes up to {LONGEST_LIFE // 60}"
    try:
        seconds = 0.0 if isinstance(value, bool) else 60 * float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(meant) from error
    if not 1 <= seconds <= LONGEST_LIFE:
        raise ValueError(meant)
    return seconds


def _folder(value: Any) -> Path:
    return Path(_text(value)).expanduser()


def _shaped(pattern: re.Pattern[str], meant: str) -> Callable[[Any], str]:
    def _read(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(meant)
        return value

    return _read


def _address(value: Any) -> str:
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if not found or int(found[2]) > 65535:
        raise ValueError("HOST:PORT")
    return found[0]


def _server(value: Any) -> str:
    """A URL; HOST or HOST:PORT means what it means behind the @ of a code."""
    from vc_core.invite import InvitationError, server_url

    try:
        return server_url(_text(value))
    except (InvitationError, ValueError) as error:
        raise ValueError("a ws:// or wss:// address") from error


def _relay(value: Any) -> str:
    from vc_core.relay_address import FORMS, parse_relay

    try:
        parse_relay(_text(value))
    except ValueError as error:
        raise ValueError(FORMS) from error
    return str(value)


def _turn(value: Any) -> str:
    from client.net.turn_uri import parse_turn

    text = _text(value)
    parse_turn(text)
    return text


def _rung(value: Any) -> str:
    if value not in RUNGS:
        raise ValueError(f"one of {', '.join(RUNGS)}")
    return str(value)


def _process(value: Any) -> bool:
    if value not in ("on", "off", True, False):
        raise ValueError("on or off")
    return value in ("on", True)


def _list(each: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    """A list of values, or one text with blanks between them."""

    def _read(value: Any) -> tuple[str, ...]:
        values = value.split() if isinstance(value, str) else value
        if not isinstance(values, list | tuple):
            raise ValueError("a list of texts")
        found: dict[str, None] = {}
        for one in values:
            try:
                found[each(one)] = None
            except ValueError as error:
                raise ValueError(str(error), one) from error
        return tuple(found)

    return _read


@record
class Option:
    """One thing that can be chosen."""

    key: str
    """In ``config.toml``; the flag has ``-`` and the environment ``VCHAT_`` and capitals."""
    read: Callable[[Any], Any]
    """The value; ``ValueError`` says what is allowed, and which item of a list is not."""
    default: Any = None

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"VCHAT_{self.key.upper()}"

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.key.replace('_', '-')}"


OPTIONS = {
    option.key: option
    for option in (
        Option("name", _text),
        Option("signal", _server),
        Option("relay", _list(_relay), ()),
        Option("relay_secret_file", _folder),
        Option("stun", _list(_address), ()),
        Option("no_stun", _yes_or_no, False),
        Option("lan", _yes_or_no, True),
        Option("turn", _list(_turn), ()),
        Option("no_port_mapping", _yes_or_no, False),
        Option("only", _list(_rung), RUNGS),
        Option("mic", _text, "default"),
        Option("speaker", _text, "default"),
        Option("process", _process, False),
        Option("record", _folder),
        Option("guests", _guests, 8),
        Option("life", _minutes, 600.0),
        Option("listen", _address),
        Option("advertise", _shaped(_HOST, "a host name or an address")),
        Option("plain", _yes_or_no, False),
        Option("log_file", _folder),
    )
}
