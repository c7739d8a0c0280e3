"""Orders about pictures, from the JSON interface to the room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from client.interface.orders import BadCommand, Order
from vc_core.ids import Member, member_word

if TYPE_CHECKING:
    from client.room import Room

# Specification
MOST: Mapping[str, int] = {"width": 16384, "height": 16384, "fps": 240, "bitrate": 1_000_000_000}


class Picturing:
    """Of one room."""

    def __init__(self, room: Room, named: Callable[[str], Member]) -> None:
        """``named`` finds another member; ``BadCommand`` if there is none."""
        self._room = room
        self._named = named

    def obey(self, order: Order) -> None:
        """One order; ``BadCommand`` or ``LocalProtocolError`` for what cannot be."""
        PICTURING[order.do](self, order)

    def _share(self, order: Order) -> None:
        from client.pictures.shows import Wish
        from video.pipe import CODECS
        from video.sources import kind_of
        from video.unavailable import PictureUnavailable

        source = order.fields["source"]
        try:
            kind_of(source)
        except PictureUnavailable as error:
            raise BadCommand(f"{error.message}; {error.hint}") from error
        width, height, fps, bitrate = (
            _number(order, key) for key in ("width", "height", "fps", "bitrate")
        )
        audio, codec = order.fields.get("audio") is True, order.fields.get("codec", "h264")
        if codec not in CODECS:
            raise BadCommand(f"'codec' is {', '.join(CODECS)}")
        self._room.pictures.share(Wish(source, width, height, fps, bitrate, audio, codec))

    def _unshare(self, order: Order) -> None:
        stream = order.fields.get("stream")
        if stream is None:
            self._room.pictures.unshare_all()
        else:
            self._room.pictures.unshare(stream)

    def _quality(self, order: Order) -> None:
        size = (_number(order, key) for key in ("width", "height", "fps"))
        self._room.pictures.resize(order.fields["stream"], *size)

    def _watch(self, order: Order) -> None:
        from client.pictures.viewing import is_place

        to = order.fields["to"]
        if not is_place(to):
            raise BadCommand("'to' is window, none, terminal:SOCKET, file:PATH or player:COMMAND")
        self._room.pictures.watch(self._member(order), order.fields["stream"], to)

    def _unwatch(self, order: Order) -> None:
        self._room.pictures.unwatch(self._member(order), order.fields["stream"])

    def _list(self, order: Order) -> None:
        self._room.pictures.list_sources(order.do)

    def _member(self, order: Order) -> Member:
        """Ourselves as well: one may look at one's own pictures."""
        text = order.fields["member"]
        own = self._room.member
        return own if text == member_word(own) else self._named(text)


def _number(order: Order, key: str) -> int:
    value: float = order.fields.get(key) or 0
    if not 0 <= value <= MOST[key]:
        raise BadCommand(f"'{key}' of '{order.do}' is out of range")
    return round(value)


PICTURING: Mapping[str, Callable[[Picturing, Order], None]] = {
    "share": Picturing._share,
    "unshare": Picturing._unshare,
    "quality": Picturing._quality,
    "watch": Picturing._watch,
    "unwatch": Picturing._unwatch,
    "screens": Picturing._list,
    "cameras": Picturing._list,
}
