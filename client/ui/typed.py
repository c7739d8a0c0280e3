"""What happens to a line that somebody typed: to the engine, to the log, to the face.

The same for the plain face and the full screen; what differs (help on a page or in
lines, a clipboard or none) is a method of ``Surface``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from client.ui.log import Kind
from client.ui.model import Model
from client.ui.slash import PATHS, Do, Local, Say, Send, parse
from client.ui.watching import DOINGS, Watching

GOES_ON = "the call goes on; vchat attach shows it again"


class Hold(Protocol):
    """What is needed of ``client.interface.attach.Engine``."""

    def send(self, command: Mapping[str, Any]) -> None:
        """Give one command."""

    def leave(self) -> None:
        """Leave the room."""

    def interrupt(self) -> None:
        """Leave it; the second time at once."""

    def detach(self) -> None:
        """Go, and let the call run."""


class Surface(Protocol):
    """What a face does in its own way."""

    def show_help(self) -> None:
        """Show commands and keys."""

    def copy(self, text: str) -> bool:
        """Put ``text`` into the clipboard; False when there is no way."""

    def watch(self, command: Mapping[str, Any]) -> str:
        """Give ``watch`` to the engine, with a place for the pictures.

        ``to`` is terminal, empty, or a place of the interface; a sentence if there is none such.
        """


class Typed:
    """Obeys lines and keys."""

    def __init__(
        self, model: Model, engine: Hold, surface: Surface, clock: Callable[[], str]
    ) -> None:
        self._model = model
        self._engine = engine
        self._surface = surface
        self._clock = clock
        self._watching = Watching(model)

    def line(self, text: str) -> None:
        """A whole line."""
        meaning = parse(text, self._model.others)
        if isinstance(meaning, Send):
            self._send(meaning.command)
        elif isinstance(meaning, Do):
            self.do(meaning.what)
        elif isinstance(meaning, Say):
            self._say(meaning.message)

    def do(self, what: Local) -> None:
        """A command without words, or a key."""
        self._DOINGS[what](self)

    def _say(self, message: str) -> None:
        self._model.say(Kind.ANSWER, message, self._clock())

    def _send(self, command: Mapping[str, Any]) -> None:
        if command["do"] == "chat":
            if not self._model.opened:
                return self._say("you are not in the room yet")
            if not self._model.others:
                return self._say("nobody is here yet to read that")
        if command["do"] in DOINGS:
            return self._about_pictures(command)
        self._engine.send(self._model.send(command, self._clock()))
        self._tell(command)

    def _tell(self, command: Mapping[str, Any]) -> None:
        """Of what is obeyed without an event that shows it."""
        names = {member: name for name, member in self._model.others.items()}
        if command["do"] == "volume":
            self._say(f"you hear {names[command['member']]} at {command['percent']} %")
        elif command["do"] == "save":
            self._say(f"{names[command['member']]} is a contact now: another key is refused")
        elif command["do"] == "deputies" and self._model.hosting:
            heirs = " or else ".join(names[member] for member in command["members"])
            self._say(f"{heirs} takes over when you go" if heirs else "the room ends when you go")

    def _about_pictures(self, command: Mapping[str, Any]) -> None:
        commands = self._watching.commands(command)
        if isinstance(commands, str):
            return self._say(commands)
        for one in map(_with_whole_path, commands):
            if one["do"] != "watch":
                self._engine.send(one)
                continue
            if sentence := self._surface.watch(one):
                self._say(sentence)
            elif stream := self._model.streams.find(one):
                stream.watched = True

    def _unshare(self) -> None:
        self._about_pictures({"do": "unshare"})

    def _help(self) -> None:
        self._surface.show_help()

    def _who(self) -> None:
        self._model.show_people(self._clock())

    def _code(self) -> None:
        code = self._model.code
        if code is not None and code.ended:
            self._engine.send({"do": "invite"})
        else:
            self._model.show_code(self._clock())

    def _copy_code(self) -> None:
        code = self._model.code
        if code is None or code.ended:
            self._code()
        elif self._surface.copy(code.code):
            self._say("the code is in the clipboard, if your terminal allows that")
        else:
            self._model.show_code(self._clock())

    def _mute(self) -> None:
        self._engine.send({"do": "mute", "on": not self._model.muted})

    def _deafen(self) -> None:
        self._engine.send({"do": "deafen", "on": not self._model.deafened})

    def _detach(self) -> None:
        self._engine.detach()

    def _leave(self) -> None:
        self._engine.leave()

    _DOINGS: Mapping[Local, Callable[[Typed], None]] = {
        Local.HELP: _help,
        Local.WHO: _who,
        Local.CODE: _code,
        Local.COPY_CODE: _copy_code,
        Local.MUTE: _mute,
        Local.DEAFEN: _deafen,
        Local.UNSHARE: _unshare,
        Local.DETACH: _detach,
        Local.LEAVE: _leave,
    }


def _with_whole_path(command: Mapping[str, Any]) -> dict[str, Any]:
    """A path as a shell would have it: the engine may run in another folder."""
    whole = dict(command)
    for key in ("source", "to"):
        kind, colon, path = str(command.get(key, "")).partition(":")
        if colon and kind in PATHS:
            whole[key] = f"{kind}:{os.path.abspath(os.path.expanduser(path))}"
    return whole
