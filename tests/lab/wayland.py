"""A Wayland desktop of our own: sway without a screen, PipeWire, the portal, and what they need.

    mpv ──► sway (headless, drawn by the processor) ──► screencopy ──► xdg-desktop-portal-wlr
    xdg-desktop-portal-wlr ──► PipeWire ──► gst-launch of the engine
    pipewire-pulse: null sink "ear", null sink "mouth" ──monitor──► the default microphone

Everything is in one folder, with a bus of its own; nothing of the machine's desktop is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.calls.engines import ROOT
from tests.calls.sounds import wait_until

# Implementation
TOOLS = (
    *("dbus-daemon", "gst-launch-1.0", "gst-inspect-1.0", "mpv", "pactl", "pipewire"),
    *("pipewire-pulse", "setpriv", "sway", "swaymsg", "wireplumber"),
)
PARTS = ("xdg-desktop-portal", "xdg-desktop-portal-wlr", "xdg-permission-store")
LIBEXEC = (Path("/usr/libexec"), Path("/usr/lib"))
NOBODY = 65534  # sway will not run as root
PATIENCE = 20.0  # s for each part to be there
BUS = """<busconfig><type>session</type><listen>unix:path={bus}</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/>
<allow own="*"/></policy></busconfig>"""
SWAY = "output HEADLESS-1 resolution {width}x{height} position 0 0\ndefault_border none\n"
PORTAL = "[screencast]\nmax_fps=60\nchooser_type=simple\nchooser_cmd={person}\n"
PERSON = "#!/bin/sh\necho asked >>{folder}/asked\ncat {folder}/answer\n"
OUTPUT = "HEADLESS-1"


def _part(name: str) -> Path | None:
    return next((folder / name for folder in LIBEXEC if (folder / name).exists()), None)


def why_impossible() -> str | None:
    """What is missing; None if nothing is."""
    missing = [one for one in TOOLS if shutil.which(one) is None]
    missing += [one for one in PARTS if _part(one) is None]
    if "gst-inspect-1.0" not in missing:
        for plugin in ("pipewiresrc", "y4menc"):
            if subprocess.run(
                ["gst-inspect-1.0", plugin], stdout=subprocess.DEVNULL, check=False
            ).returncode:
                missing.append(f"GStreamer's {plugin}")
    return f"{', '.join(missing)} missing" if missing else None


class Mouse:
    """A client of the compositor's that moves a pointer (wlr-virtual-pointer-unstable-v1.xml)."""

    def __init__(self, display: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(display))
        self._send(1, 1, 2)  # wl_display.get_registry
        told, interface = b"", b"zwlr_virtual_pointer_manager_v1\0"
        while interface not in told:
            told += self._socket.recv(1 << 16)
        at = told.index(interface) - 8  # behind the number of this global and a length
        (number,) = struct.unpack_from("=I", told, at)
        text = struct.pack("=I", len(interface)) + interface
        body = struct.pack("=I", number) + text + struct.pack("=II", 1, 3)
        self._socket.sendall(struct.pack("=IHH", 2, 0, 8 + len(body)) + body)  # wl_registry.bind
        self._send(3, 0, 0, 4)  # create_virtual_pointer, of no certain seat

    def _send(self, to: int, opcode: int, *words: int) -> None:
        body = struct.pack(f"={len(words)}I", *words)
        self._socket.sendall(struct.pack("=IHH", to, opcode, 8 + len(body)) + body)

    def move(self, x: int, y: int, width: int, height: int) -> None:
        """``motion_absolute`` and ``frame``."""
        self._send(4, 1, 0, x, y, width, height)
        self._send(4, 4)

    def close(self) -> None:
        """The pointer goes."""
        self._socket.close()


class Wayland:
    """One running desktop."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        """``folder``: a short path that others may pass through."""
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._mouse: Mouse | None = None
        self._log = (folder / "log").open("ab")
        self._own = folder / "sway"  # of whoever sway runs as
        self._display = self._own / "wayland-1"
        self.answer(OUTPUT)
        self._write(width, height)

    @property
    def variables(self) -> dict[str, str]:
        """What a program needs to be on this desktop; its runtime folder may be another one."""
        return {
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.folder / 'bus'}",
            "WAYLAND_DISPLAY": str(self._display),
            "PULSE_SERVER": f"unix:{self.folder / 'pulse' / 'native'}",
            "XDG_STATE_HOME": str(self.folder / "state"),
            "DISPLAY": "",
        }

    @property
    def token(self) -> Path:
        """Where the portal's token is kept."""
        return self.folder / "state" / "vchat" / "screencast-token"

    def _environment(self, **more: str) -> dict[str, str]:
        names = ("CACHE_HOME", "CONFIG_HOME", "DATA_HOME")
        own = {f"XDG_{name}": str(self.folder / name.lower()) for name in names}
        own |= {"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)}
        desktop = {"XDG_CURRENT_DESKTOP": "sway", "PYTHONPATH": str(ROOT)}
        return {**os.environ, **self.variables, **own, **desktop, **more}

    def _write(self, width: int, height: int) -> None:
        person = self.folder / "person"
        person.write_text(PERSON.format(folder=self.folder))
        person.chmod(0o755)
        portal = self.folder / "config_home" / "xdg-desktop-portal-wlr" / "config"
        portal.parent.mkdir(parents=True)
        portal.write_text(PORTAL.format(person=person))
        (self.folder / "bus.conf").write_text(BUS.format(bus=self.folder / "bus"))
        self._own.mkdir(mode=0o700)
        (self._own / "config").write_text(SWAY.format(width=width, height=height))
        if os.geteuid() == 0:
            for one in (self._own, self._own / "config"):
                os.chown(one, NOBODY, NOBODY)

    def start(self) -> None:
        """Start everything."""
        bus = f"--config-file={self.folder / 'bus.conf'}"
        self._run("bus", ["dbus-daemon", bus, "--nofork", "--nopidfile"])
        self._there(self.folder / "bus")
        self._run_sway()
        self._there(self._display)
        self._run("pipewire", ["pipewire"])
        self._there(self.folder / "pipewire-0")
        self._run("wireplumber", ["wireplumber"])
        self._run("pipewire-pulse", ["pipewire-pulse"])
        self._there(self.folder / "pulse" / "native")
        between = self.folder / "between"
        module = [sys.executable, "-m", "tests.lab.screencopy"]
        self._run("screencopy", [*module, str(between), str(self._display)])
        self._there(between)
        self._run("permissions", [str(_part("xdg-permission-store"))])
        self._named("org.freedesktop.impl.portal.PermissionStore")
        # it gives tokens only where it is told to
        more = {"WAYLAND_DISPLAY": str(between), "XDPW_PERSIST_MODE": "permanent"}
        self._run("backend", [str(_part("xdg-desktop-portal-wlr"))], **more)
        self._named("org.freedesktop.impl.portal.desktop.wlr")
        self._run("portal", [str(_part("xdg-desktop-portal"))])
        self._named("org.freedesktop.portal.Desktop")

    def _run_sway(self) -> None:
        command = ["sway", "--config", str(self._own / "config")]
        if os.geteuid() == 0:
            ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            command = ["setpriv", *ids, *command]
        more = {"WLR_BACKENDS": "headless", "WLR_RENDERER": "pixman"}
        more |= {"WLR_LIBINPUT_NO_DEVICES": "1", "XDG_RUNTIME_DIR": str(self._own)}
        self._run("sway", ["env", "--unset=WAYLAND_DISPLAY", *command], **more)

    def _run(self, name: str, command: list[str], **more: str) -> None:
        self._running[name] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=self._environment(**more),
            cwd=ROOT,
            start_new_session=True,
        )

    def _there(self, path: Path) -> None:
        wait_until(path.is_socket, PATIENCE)

    def _named(self, name: str) -> None:
        """Wait until somebody on the bus has that name."""
        ask = ["dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"]
        ask += ["org.freedesktop.DBus.NameHasOwner", f"string:{name}"]

        def there() -> bool:
            done = subprocess.run(ask, env=self._environment(), capture_output=True, check=False)
            return b"boolean true" in done.stdout

        wait_until(there, PATIENCE)

    # ---- What happens on it ----------------------------------------------------------

    def play(self, film: Path, *, still: bool = False) -> None:
        """Show a film, again and again, or its first picture, over the whole screen."""
        options = ("--no-config", "--vo=wlshm", "--fullscreen", "--keepaspect=no", "--no-osc")
        quiet = ("--really-quiet", "--osd-level=0", "--no-audio", "--loop", "--cursor-autohide=no")
        self.end("mpv")
        self._run("mpv", ["mpv", *options, *quiet, *(["--pause"] if still else []), str(film)])
        wait_until(lambda: b'"app_id": "mpv"' in self.sway("-t", "get_tree"), PATIENCE)

    def sway(self, *what: str) -> bytes:
        """``swaymsg``; its answer."""
        (socket,) = self._own.glob("sway-ipc*.sock")
        command = ["swaymsg", "--raw", "--socket", str(socket), *what]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    def resize(self, width: int, height: int) -> None:
        """Another size of the screen."""
        self.sway("output", OUTPUT, "resolution", f"{width}x{height}")

    def point(self, x: int, y: int, width: int, height: int) -> None:
        """Put a mouse's pointer there, on a screen of that size; it stays until the end."""
        if self._mouse is None:
            self._mouse = Mouse(self._display)
        self._mouse.move(x, y, width, height)

    def answer(self, output: str) -> None:
        """What the person says from now on; nothing: no."""
        (self.folder / "answer").write_text(output)

    @property
    def asked(self) -> int:
        """How often the person was asked."""
        path = self.folder / "asked"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def end(self, name: str) -> None:
        """Kill a part, if it runs."""
        one = self._running.pop(name, None)
        if one is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()

    def close(self) -> None:
        """End everything."""
        if self._mouse is not None:
            self._mouse.close()
        for name in reversed(list(self._running)):
            self.end(name)
        self._log.close()


@contextmanager
def wayland(width: int = 1280, height: int = 720) -> Iterator[Wayland]:
    """A desktop for as long as it is needed."""
    folder = Path(mkdtemp(prefix="vc-", dir="/tmp"))
    folder.chmod(0o711)
    desktop = Wayland(folder, width, height)
    try:
        desktop.start()
        yield desktop
    finally:
        desktop.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":  # to look at it: its variables, until Ctrl-C
    with wayland(1920, 1080) as shown:
        for name, value in shown.variables.items():
            print(f"export {name}={value}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
