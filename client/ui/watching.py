"""From what a person typed about pictures to commands of the JSON interface.

Pure. What was typed knows names; here members, streams, places and the quality that
was chosen are put in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from client.ui.model import Model
from client.ui.streams import Stream

# Specification
QUALITY = {"width": 1280, "height": 720, "fps": 30}
"""Of what is shared, until another is chosen."""

Command = Mapping[str, Any]


class Watching:
    """What a person chose, and what follows from it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._quality = dict(QUALITY)

    def commands(self, typed: Command) -> list[dict[str, Any]] | str:
        """What goes to the engine, or a sentence on why nothing does."""
        if not self._model.opened:
            return "you are not in the room yet"
        return self._READ[typed["do"]](self, typed)

    def _watch(self, typed: Command) -> list[dict[str, Any]] | str:
        """``to`` stays empty when nothing was said; the face knows its places.

        Of several streams the first one that is not watched yet.
        """
        member, kind = self._member(typed), str(typed.get("kind", ""))
        found = self._model.streams.of(member, kind)
        if not found:
            mine = member == self._model.own
            who = "you" if mine else self._model.people[member].name
            what = f"no {kind}" if kind else "nothing"
            return f"{who} share{'' if mine else 's'} {what}"
        fresh = next((stream for stream in found if not stream.watched), found[0])
        return [_about(fresh, "watch", to=str(typed.get("to", "")))]

    def _unwatch(self, typed: Command) -> list[dict[str, Any]] | str:
        watched = self._model.streams.watched
        if "member" in typed:
            member = self._member(typed)
            watched = [stream for stream in watched if stream.member == member]
        return [_about(stream, "unwatch") for stream in watched] or "you watch nothing"

    def _share(self, typed: Command) -> list[dict[str, Any]] | str:
        chosen = {key: typed[key] for key in QUALITY if key in typed}
        return [{**(chosen or self._quality), **typed}]

    def _unshare(self, _typed: Command) -> list[dict[str, Any]] | str:
        own = self._model.streams.of(self._model.own)
        commands = [{"do": "unshare", "stream": stream.number} for stream in own]
        return commands or "you share nothing"

    def _change(self, typed: Command) -> list[dict[str, Any]] | str:
        self._quality = {key: typed[key] for key in QUALITY if key in typed}
        own = self._model.streams.of(self._model.own)
        if not own:
            size = "{width}×{height}" if "width" in typed else "its own size"
            about = size.format(**typed)
            return f"what you share next will have {about} at {typed['fps']}"
        return [{**typed, "stream": stream.number} for stream in own]

    def _member(self, typed: Command) -> str:
        member = str(typed["member"])
        return self._model.own if member == "me" else member

    _READ: Mapping[str, Callable[[Watching, Command], list[dict[str, Any]] | str]] = {
        "watch": _watch,
        "unwatch": _unwatch,
        "share": _share,
        "unshare": _unshare,
        "quality": _change,
    }


DOINGS = frozenset(Watching._READ)


def _about(stream: Stream, do: str, **more: Any) -> dict[str, Any]:
    return {"do": do, "member": stream.member, "stream": stream.number, **more}
