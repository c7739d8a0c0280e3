"""Valid examples of every message, made from its layout: what mutation begins with."""

from __future__ import annotations

from typing import Any

from vc_core.wire import Bytes, Codec, Family, Fixed, Flag, Many, Nested, Record, Text, UInt

TEXT = "host 1 udp 2130706431 192.0.2.7 50000 typ host"


def value(codec: Codec, few: bool) -> Any:
    """One value that ``codec`` can write; a small one if ``few``."""
    if isinstance(codec, UInt):
        return 1 if few else (1 << (8 * codec.size)) - 1
    if isinstance(codec, Flag):
        return not few
    if isinstance(codec, Fixed):
        return bytes(range(codec.size % 256)).ljust(codec.size, b"\x07")
    if isinstance(codec, Bytes):
        return b"" if few else b"body"[: codec.limit]
    if isinstance(codec, Text):
        return "" if few else TEXT[: codec.limit]
    if isinstance(codec, Many):
        return () if few else (value(codec.of, few),) * min(2, codec.limit)
    if isinstance(codec, Nested):
        return record(codec.record, few)
    raise TypeError(f"a codec that this file does not know: {codec!r}")


def record(kind: type[Record], few: bool = False) -> Record:
    """One example of a record."""
    return kind(**{name: value(codec, few) for name, codec in kind.LAYOUT})


def of_family(family: Family) -> list[bytes]:
    """Two examples of each kind."""
    return [
        family.write(record(kind, few)) for kind in family.kinds.values() for few in (False, True)
    ]
