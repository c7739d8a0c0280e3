"""Wayland: the ScreenCast portal asks the person, PipeWire brings the pictures.

    CreateSession -> SelectSources -> Start (the person chooses) -> OpenPipeWireRemote
    gst-launch-1.0 pipewiresrc fd=… path=… ! I420 ! y4menc ! fdsink        (our child)

What was chosen once is remembered by a token of the portal's, so that it asks
only the first time. https://flatpak.github.io/xdg-desktop-portal/
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import av
import numpy as np
from numpy.typing import NDArray

from video.picture import Size
from video.source import Shot, Wish
from video.unavailable import PictureUnavailable
from video.y4m import FRAME, LONGEST_LINE, MAGIC, NoFilm, picture_bytes, read_header

if TYPE_CHECKING:
    from jeepney.io.blocking import DBusConnection

# Specification (org.freedesktop.portal.ScreenCast)
_NAME = "org.freedesktop.portal.Desktop"
_PATH = "/org/freedesktop/portal/desktop"
_CAST = "org.freedesktop.portal.ScreenCast"
_REQUEST = "org.freedesktop.portal.Request"
_MONITOR = 1
_CURSOR_HIDDEN, _CURSOR_DRAWN = 1, 2
_UNTIL_REVOKED = 2
_DONE, _REFUSED = 0, 1

# Implementation
ANSWER, CHOICE = 5.0, 120.0  # seconds for the portal, and for the person
FIRST_PICTURE = 10.0  # seconds
TURN = 0.1  # seconds that one read waits at most
PIPE = 1 << 20  # bytes that may wait in the pipe
_F_SETPIPE_SZ = 1031
GSTREAMER = "gst-launch-1.0"


def _missing(what: str, hint: str) -> PictureUnavailable:
    return PictureUnavailable("picture-wayland", what, hint)


NO_GSTREAMER = (
    "this Wayland desktop shows its screen through GStreamer, which is missing",
    "install gst-launch-1.0 with its pipewire and good plugins "
    "(Debian: gstreamer1.0-tools gstreamer1.0-pipewire gstreamer1.0-plugins-good)",
)
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
            raise _missing(*NO_PORTAL) from error
        self._cast = DBusAddress(_PATH, _NAME, _CAST)
        self._count = 0

    def choose(self, *, cursor: bool) -> tuple[int, int]:
        """Let the person choose: a descriptor of PipeWire, and the number of a node in it."""
        told = self._ask("CreateSession", "", (), {"session_handle_token": ("s", "vchat")})
        session = str(told["session_handle"][1])
        wishes: dict[str, tuple[str, Any]] = {
            "types": ("u", _MONITOR),
            "cursor_mode": ("u", _CURSOR_DRAWN if cursor else _CURSOR_HIDDEN),
            "persist_mode": ("u", _UNTIL_REVOKED),
        }
        if token := _remembered():
            wishes["restore_token"] = ("s", token)
        self._ask("SelectSources", "o", (session,), wishes)
        told = self._ask("Start", "os", (session, ""), {}, CHOICE)
        if "restore_token" in told:
            _remember(str(told["restore_token"][1]))
        streams = told.get("streams", ("", []))[1]
        if not streams:
            raise _missing("the desktop offers no screen", NO_PORTAL[1])
        (remote,) = self._call("OpenPipeWireRemote", "oa{sv}", (session, {}))
        return remote.to_raw_fd(), int(streams[0][0])

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
                raise _missing("nobody chose a screen in time", "share it again") from error
        if status == _REFUSED:
            raise _missing("the screen was not released", "share it again and choose one")
        if status != _DONE:
            raise _missing(f"the desktop's {method} failed", NO_PORTAL[1])
        return dict(told)

    def _call(self, method: str, signature: str, body: tuple[Any, ...]) -> tuple[Any, ...]:
        from jeepney import MessageType, new_method_call

        message = new_method_call(self._cast, method, signature, body)
        try:
            reply = self._bus.send_and_get_reply(message, timeout=ANSWER)
        except (OSError, TimeoutError) as error:
            raise _missing(*NO_PORTAL) from error
        if reply.header.message_type is MessageType.error:
            raise _missing(*NO_PORTAL)
        return tuple(reply.body)

    def close(self) -> None:
        """The session ends with the connection."""
        self._bus.close()


def pipeline(descriptor: int, node: int) -> list[str]:
    """The child's command line."""
    return [
        *(GSTREAMER, "-q", "pipewiresrc", f"fd={descriptor}", f"path={node}"),
        *("do-timestamp=true", "!", "queue", "leaky=downstream", "max-size-buffers=1"),
        *("!", "videoconvert", "!", "video/x-raw,format=I420", "!", "y4menc"),
        *("!", "fdsink", "fd=1", "sync=false"),
    ]


def open_portal(wish: Wish) -> Cast:
    """The screen that the person chooses; blocks until then."""
    if shutil.which(GSTREAMER) is None:
        raise _missing(*NO_GSTREAMER)
    portal = Portal()
    try:
        descriptor, node = portal.choose(cursor=wish.cursor)
        try:
            return Cast(portal, pipeline(descriptor, node), descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        portal.close()
        raise


class Cast:
    """Pictures from PipeWire; they come when something has changed."""

    name = "screen"
    glance = 0.0
    fps = 0.0
    ended = False

    def __init__(self, portal: Portal, command: list[str], descriptor: int) -> None:
        """``command`` writes YUV4MPEG2 to its stdout; it inherits ``descriptor``."""
        self._portal = portal
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            bufsize=0,  # so that waiting sees all that has come
            pass_fds=[descriptor],
        )
        assert self._child.stdout is not None
        self._out: IO[bytes] = self._child.stdout
        self._latest: Shot | None = None
        self._again = False
        try:
            self._widen()
            self.size = self._begin()
        except BaseException:
            self._end_child()
            raise

    def _widen(self) -> None:
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(self._out.fileno(), _F_SETPIPE_SZ, PIPE)

    def _begin(self) -> Size:
        ready, _, _ = select.select([self._out], [], [], FIRST_PICTURE)
        try:
            return read_header(self._line() if ready else b"")
        except NoFilm as error:
            raise _missing("no pictures come from PipeWire", NO_GSTREAMER[1]) from error

    def _line(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self._out.read(1)
            if not piece or len(line) > LONGEST_LINE:
                raise _missing("the screen is gone: its pictures ended", "share it again")
            line += piece
        return bytes(line)

    def read(self) -> Shot | None:
        """The next picture; None if none comes for a moment."""
        if not select.select([self._out], [], [], TURN)[0]:
            again, self._again = self._again, False
            return self._latest if again and self._latest else None
        self._again = False
        try:
            line = self._line()
            if line.startswith(MAGIC):
                self.size = read_header(line)
                line = self._line()
        except NoFilm as error:
            raise _missing(f"the screen's pictures are {error}", "share it again") from error
        if not line.startswith(FRAME):
            raise _missing("the screen's pictures are damaged", "share it again")
        captured = time.monotonic_ns() // 1000
        data = np.empty(picture_bytes(self.size), np.uint8)
        if self._fill(data.data) < len(data):
            raise _missing("the screen is gone: its pictures ended", "share it again")
        self._latest = Shot(self._frame(data), captured)
        return self._latest

    def _fill(self, into: memoryview) -> int:
        filled = 0
        while filled < len(into):
            count = self._out.readinto(into[filled:])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
        return filled

    def _frame(self, data: NDArray[np.uint8]) -> av.VideoFrame:
        width, height = self.size.width, self.size.height
        if width % 2 == height % 2 == 0:
            return av.VideoFrame.from_numpy_buffer(
                data.reshape(height * 3 // 2, width), format="yuv420p"
            )
        frame = av.VideoFrame(width, height, "yuv420p")
        sides = ((width, height), *[((width + 1) // 2, (height + 1) // 2)] * 2)
        begin = 0
        for plane, (wide, high) in zip(frame.planes, sides, strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            rows[:high, :wide] = data[begin : begin + wide * high].reshape(high, wide)
            begin += wide * high
        return frame

    def forget(self) -> None:
        """Let the next read give the last picture, if no new one comes."""
        self._again = True

    def _end_child(self) -> None:
        self._child.kill()
        self._child.wait()
        self._out.close()

    def close(self) -> None:
        """End the pictures and the portal's session."""
        self._end_child()
        self._portal.close()
