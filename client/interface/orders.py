"""Commands of the JSON interface: one line of text becomes one checked order.

Whatever is wrong with a line is said in one sentence; nothing ends because of it.
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import Any

from vc_core.record import record

# Specification
MAX_LINE = 256 * 1024  # bytes

# Implementation
MAX_DEPTH = 16  # brackets inside brackets

Kinds = tuple[type, ...]
ON: dict[str, Kinds] = {"on": (bool, str)}
NONE: dict[str, Kinds] = {}
SIZE: dict[str, Kinds] = {"width": (int,), "height": (int,), "fps": (int, float)}

NEEDED: dict[str, dict[str, Kinds]] = {
    "chat": {"text": (str,)},
    "mute": ON,
    "deafen": ON,
    "ptt": ON,
    "volume": {"member": (str,), "percent": (int, float)},
    "stats": NONE,
    "only": {"rungs": (list,)},
    "kick": {"member": (str,)},
    "lock": ON,
    "deputies": {"members": (list,)},
    "accept": {"member": (str,)},
    "save": {"member": (str,)},
    "invite": NONE,
    "share": {"source": (str,)},
    "unshare": NONE,
    "quality": {"stream": (int,)},
    "watch": {"member": (str,), "stream": (int,), "to": (str,)},
    "unwatch": {"member": (str,), "stream": (int,)},
    "screens": NONE,
    "cameras": NONE,
    "leave": NONE,
    "attach": NONE,
    "detach": NONE,
}
"""What each command must have, and of which types."""

OPTIONAL: dict[str, dict[str, Kinds]] = {
    "chat": {"to": (str,), "ref": (str, int, float)},
    "stats": {"every": (int, float)},
    "volume": {"stream": (int,)},
    "share": {**SIZE, "bitrate": (int, float), "audio": (bool,), "codec": (str,)},
    "unshare": {"stream": (int,)},
    "quality": SIZE,
}


class BadCommand(ValueError):
    """One sentence on what is wrong with a line."""


@record
class Order:
    """A command whose fields have the right types."""

    do: str
    fields: dict[str, Any] = field(default_factory=dict)


def parse(line: bytes) -> Order | None:
    """The order of one line; None for a blank one. Raises ``BadCommand``."""
    if len(line) > MAX_LINE:
        raise BadCommand("a line is longer than 256 KiB")
    if not line.strip():
        return None
    value = _value(line)
    if not isinstance(value, dict):
        raise BadCommand("a command is a JSON object")
    do = value.get("do")
    if not isinstance(do, str) or do not in NEEDED:
        raise BadCommand(f"'do' is none of {', '.join(sorted(NEEDED))}")
    for name, kinds in NEEDED[do].items():
        if name not in value:
            raise BadCommand(f"'{do}' needs '{name}'")
        _check(do, name, value[name], kinds)
    for name, kinds in OPTIONAL.get(do, NONE).items():
        if value.get(name) is not None:
            _check(do, name, value[name], kinds)
    return Order(do, value)


def _value(line: bytes) -> Any:
    depth = deepest = 0
    for byte in line:
        depth += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise BadCommand("brackets are nested too deeply")
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadCommand("a line is not JSON") from error


def _check(do: str, name: str, value: Any, kinds: Kinds) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    good = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if not good or (isinstance(value, str) and bool in kinds and value != "toggle"):
        raise BadCommand(f"'{name}' of '{do}' has the wrong type")
    if number and not -1e9 < value < 1e9:
        raise BadCommand(f"'{name}' of '{do}' is out of range")
