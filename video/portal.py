"""Wayland: the ScreenCast portal asks the person which screen may be seen.

    CreateSession -> SelectSources -> Start (the person chooses) -> OpenPipeWireRemote

What was chosen once is remembered by a token of the portal's, so that it asks
only the first time. https://flatpak.github.io/xdg-desktop-portal/
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video.unavailable import PictureUnavailable

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.blocking import DBusConnection

log = logging.getLogger(__name__)

# Specification (org.freedesktop.portal.ScreenCast)
_NAME = "org.freedesktop.portal.Desktop"
_PATH = "/org/freedesktop/portal/desktop"
_CAST = "org.freedesktop.portal.ScreenCast"
_REQUEST = "org.freedesktop.portal.Request"
_SESSION = "org.freedesktop.portal.Session"
_BUS = "org.freedesktop.DBus"
_BACKENDS = "org.freedesktop.impl.portal.desktop"
_MONITOR = 1
_CURSOR_HIDDEN, _CURSOR_DRAWN = 1, 2
_UNTIL_REVOKED = 2
_DONE, _REFUSED = 0, 1

# Implementation
ANSWER, CHOICE = 5.0, 120.0  # seconds for the portal, and for the person


class NotTaken(PictureUnavailable):
    """The portal answered a call with an error."""


def missing(what: str, hint: str = "") -> PictureUnavailable:
    """The error of a Wayland desktop."""
    return PictureUnavailable("picture-wayland", what, hint)


NO_PORTAL = (
    "this Wayland desktop has no ScreenCast portal, so nobody can look at its screen",
    "install xdg-desktop-portal and the backend of your desktop, or log in to an X11 session",
)


def token_file() -> Path:
    """Where the portal's token is kept."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "vchat" / "screencast-token"


def _remembered() -> str:
    try:
        return token_file().read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


def _remember(token: str) -> None:
    path = token_file()
    with contextlib.suppress(OSError):  # then it asks again
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(token, "utf-8")


class Portal:
    """A conversation with the portal; it lasts as long as the pictures."""

    def __init__(self) -> None:
        """``PictureUnavailable`` where there is no portal."""
        from jeepney import DBusAddress
        from jeepney.io.blocking import open_dbus_connection

        try:
            self._bus: DBusConnection = open_dbus_connection("SESSION", enable_fds=True)
        except (OSError, KeyError, ValueError) as error:
            raise missing(*NO_PORTAL) from error
        self._cast = DBusAddress(_PATH, _NAME, _CAST)
        self._count = 0
        self._session = ""
        self._closed: deque[Message] = deque()
        self._moves: deque[Message] = deque()

    def choose(self, *, cursor: bool) -> int:
        """Let the person choose: the number of a node of PipeWire."""
        told = self._ask("CreateSession", "", (), {"session_handle_token": ("s", "vchat")})
        self._session = session = str(told["session_handle"][1])
        self._hear_of_its_end()
        self._select(session, cursor=cursor)
        told = self._ask("Start", "os", (session, ""), {}, CHOICE)
        if "restore_token" in told:
            _remember(str(told["restore_token"][1]))
        streams = told.get("streams", ("", []))[1]
        if not streams:
            raise missing("the desktop offers no screen", NO_PORTAL[1])
        return int(streams[0][0])

    def remote(self) -> int:
        """A new descriptor of PipeWire, for who reads the node."""
        (remote,) = self._call("OpenPipeWireRemote", "oa{sv}", (self._session, {}))
        return int(remote.to_raw_fd())

    def fileno(self) -> int:
        """For ``select``."""
        return int(self._bus.sock.fileno())

    def ended(self) -> bool:
        """Whether the desktop has ended the session, as by a button in its panel."""
        try:
            while True:
                self._bus.recv_messages(timeout=0)
        except TimeoutError:
            return bool(self._closed)
        except OSError:  # the bus has gone
            return True

    def lost(self) -> bool:
        """Whether a part of the portal has died, as far as ``ended`` has heard; which one it is
        that gives our pictures, only they can tell."""
        gone = any(not new for _, _, new in (one.body for one in self._moves))
        self._moves.clear()
        return gone

    def _hear_of_its_end(self) -> None:
        from jeepney import MatchRule, message_bus

        rule = MatchRule(type="signal", interface=_SESSION, member="Closed", path=self._session)
        moves = MatchRule(type="signal", interface=_BUS, member="NameOwnerChanged")
        moves.add_arg_condition(0, _BACKENDS, kind="namespace")
        for wanted, heard in ((rule, self._closed), (moves, self._moves)):
            self._bus.filter(wanted, queue=heard)
            self._bus.send_and_get_reply(message_bus.AddMatch(wanted), timeout=ANSWER)

    def _select(self, session: str, *, cursor: bool) -> None:
        """Say what is wanted; wlroots desktops ask the person already here, others at the start."""
        wishes: dict[str, tuple[str, Any]] = {
            "types": ("u", _MONITOR),
            "cursor_mode": ("u", _CURSOR_DRAWN if cursor else _CURSOR_HIDDEN),
            "persist_mode": ("u", _UNTIL_REVOKED),
        }
        if token := _remembered():
            try:
                known = {**wishes, "restore_token": ("s", token)}
                self._ask("SelectSources", "o", (session,), known, CHOICE)
            except NotTaken:
                log.info("the portal does not take its token any more, so the person is asked")
            else:
                return
        self._ask("SelectSources", "o", (session,), wishes, CHOICE)

    def _ask(
        self,
        method: str,
        signature: str,
        before: tuple[str, ...],
        options: dict[str, tuple[str, Any]],
        patience: float = ANSWER,
    ) -> dict[str, tuple[str, Any]]:
        """Call what answers later, by a signal; what it tells."""
        from jeepney import MatchRule, message_bus

        self._count += 1
        token = f"vchat{self._count}"
        sender = self._bus.unique_name.removeprefix(":").replace(".", "_")
        path = f"{_PATH}/request/{sender}/{token}"
        rule = MatchRule(type="signal", interface=_REQUEST, member="Response", path=path)
        with self._bus.filter(rule) as answers:
            self._bus.send_and_get_reply(message_bus.AddMatch(rule), timeout=ANSWER)
            body = (*before, {**options, "handle_token": ("s", token)})
            self._call(method, f"{signature}a{{sv}}", body)
            try:
                status, told = self._bus.recv_until_filtered(answers, timeout=patience).body
            except TimeoutError as error:
                raise missing("nobody chose a screen in time", "share it again") from error
        if status == _REFUSED:
            raise missing("the screen was not released", "share it again and choose one")
        if status != _DONE:
            raise missing(f"the desktop's {method} failed", NO_PORTAL[1])
        return dict(told)

    def _call(self, method: str, signature: str, body: tuple[Any, ...]) -> tuple[Any, ...]:
        from jeepney import MessageType, new_method_call

        message = new_method_call(self._cast, method, signature, body)
        try:
            reply = self._bus.send_and_get_reply(message, timeout=ANSWER)
        except (OSError, TimeoutError) as error:
            raise missing(*NO_PORTAL) from error
        if reply.header.message_type is MessageType.error:
            log.info("%s: %s", method, reply.body)
            raise NotTaken("picture-wayland", *NO_PORTAL)
        return tuple(reply.body)

    def close(self) -> None:
        """The session ends with the connection."""
        self._bus.close()
