"""How values become bytes: one small kit for every message layout.

All integers are big-endian and unsigned. ``Bytes`` and ``Text`` carry a u16
length, ``Many`` a u8 count. A layout is a tuple of (name, codec) pairs that
stands beside the dataclass it describes, so that writing, reading and the
tables of the specification come from one line each.

Rule: reading raises ``RemoteProtocolError`` and nothing else, takes all bytes
or none, and accepts exactly the bytes that writing produces.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeVar

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.record import record


def fields(label: str, *parts: bytes) -> bytes:
    """``label`` and ``parts``, each behind its u16 length."""
    return b"".join(len(p).to_bytes(2, "big") + p for p in (label.encode(), *parts))


class Reader:
    """A cursor over received bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise RemoteProtocolError("message ends too early")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def finish(self) -> None:
        """Raise unless every byte was read."""
        if self._at != len(self._data):
            raise RemoteProtocolError("bytes after the end of a message")


class Codec(Protocol):
    """One kind of field."""

    def write(self, value: Any) -> bytes:
        """Bytes of ``value``; ``LocalProtocolError`` if it does not fit."""
        ...

    def read(self, reader: Reader) -> Any:
        """The value that stands next; ``RemoteProtocolError`` if there is none."""
        ...

    def describe(self) -> str:
        """The cell of the specification's table."""
        ...


@record
class UInt:
    """An unsigned integer of ``size`` bytes."""

    size: int

    def write(self, value: int) -> bytes:
        if not 0 <= value < 1 << (8 * self.size):
            raise LocalProtocolError(f"{value} does not fit in {self.size} bytes")
        return value.to_bytes(self.size, "big")

    def read(self, reader: Reader) -> int:
        return int.from_bytes(reader.take(self.size), "big")

    def describe(self) -> str:
        return f"u{8 * self.size}"


@record
class Flag:
    """A boolean: one byte, 0 or 1."""

    def write(self, value: bool) -> bytes:
        return b"\x01" if value else b"\x00"

    def read(self, reader: Reader) -> bool:
        byte = reader.take(1)[0]
        if byte > 1:
            raise RemoteProtocolError("a flag is neither 0 nor 1")
        return bool(byte)

    def describe(self) -> str:
        return "u8, 0 or 1"


@record
class Fixed:
    """Exactly ``size`` bytes."""

    size: int

    def write(self, value: bytes) -> bytes:
        if len(value) != self.size:
            raise LocalProtocolError(f"{len(value)} bytes where {self.size} belong")
        return value

    def read(self, reader: Reader) -> bytes:
        return reader.take(self.size)

    def describe(self) -> str:
        return f"{self.size} bytes"


@record
class Bytes:
    """u16 length, then at most ``limit`` bytes."""

    limit: int

    def write(self, value: bytes) -> bytes:
        if len(value) > self.limit:
            raise LocalProtocolError(f"{len(value)} bytes where at most {self.limit} belong")
        return len(value).to_bytes(2, "big") + value

    def read(self, reader: Reader) -> bytes:
        size = int.from_bytes(reader.take(2), "big")
        if size > self.limit:
            raise RemoteProtocolError(f"a field of {size} bytes, allowed are {self.limit}")
        return reader.take(size)

    def describe(self) -> str:
        return f"u16 length, ≤ {self.limit} bytes"


@record
class Text:
    """u16 length, then at most ``limit`` bytes of UTF-8."""

    limit: int

    def write(self, value: str) -> bytes:
        return Bytes(self.limit).write(value.encode("utf-8", "replace"))

    def read(self, reader: Reader) -> str:
        try:
            return Bytes(self.limit).read(reader).decode("utf-8")
        except UnicodeDecodeError as error:
            raise RemoteProtocolError("text that is not UTF-8") from error

    def describe(self) -> str:
        return f"u16 length, ≤ {self.limit} bytes of UTF-8"


@record
class Many:
    """u8 count, then that many values of one kind, at most ``limit``."""

    of: Codec
    limit: int = 255

    def write(self, value: tuple[Any, ...]) -> bytes:
        if len(value) > self.limit:
            raise LocalProtocolError(f"{len(value)} values where at most {self.limit} belong")
        return bytes([len(value)]) + b"".join([self.of.write(one) for one in value])

    def read(self, reader: Reader) -> tuple[Any, ...]:
        count = reader.take(1)[0]
        if count > self.limit:
            raise RemoteProtocolError(f"{count} values, allowed are {self.limit}")
        return tuple([self.of.read(reader) for _ in range(count)])

    def describe(self) -> str:
        return f"u8 count ≤ {self.limit}, each: {self.of.describe()}"


Layout = tuple[tuple[str, Codec], ...]


class Record:
    """A frozen dataclass whose class attribute ``LAYOUT`` says its bytes."""

    LAYOUT: ClassVar[Layout] = ()

    def write_fields(self) -> bytes:
        """The fields one after another, without a kind."""
        return b"".join([codec.write(getattr(self, name)) for name, codec in self.LAYOUT])

    @classmethod
    def read_fields(cls: type[R], reader: Reader) -> R:
        """The record that stands next."""
        return cls(**{name: codec.read(reader) for name, codec in cls.LAYOUT})


R = TypeVar("R", bound=Record)


@record
class Nested:
    """A record inside a record."""

    record: type[Record]

    def write(self, value: Record) -> bytes:
        return value.write_fields()

    def read(self, reader: Reader) -> Record:
        return self.record.read_fields(reader)

    def describe(self) -> str:
        return self.record.__name__


class Family:
    """Records told apart by a first byte, their kind."""

    def __init__(self, kinds: dict[int, type[Record]]) -> None:
        self.kinds = kinds
        self._number = {record: kind for kind, record in kinds.items()}

    def write(self, record: Record) -> bytes:
        """u8 kind, then the fields."""
        return bytes([self._number[type(record)]]) + record.write_fields()

    def read(self, data: bytes) -> Record:
        """The one record that ``data`` is."""
        reader = Reader(data)
        kind = self.kinds.get(reader.take(1)[0])
        if kind is None:
            raise RemoteProtocolError("a message of unknown kind")
        record = kind.read_fields(reader)
        reader.finish()
        return record
