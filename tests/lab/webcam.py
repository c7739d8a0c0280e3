"""Cameras of our own: sources of PipeWire, which ``pw-v4l2`` gives to a program as V4L2 devices.

    videotestsrc ──► pipewiresink ──► PipeWire ──► libpw-v4l2 in the engine's child ──► FFmpeg

Everything is in one folder, with a bus of its own; no device of the machine is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.calls.sounds import wait_until

# Implementation
TOOLS = ("dbus-daemon", "gst-inspect-1.0", "gst-launch-1.0", "pipewire", "pw-cli", "pw-v4l2")
PLUGINS = ("pipewiresink", "jpegenc", "videotestsrc")
PATIENCE = 20.0  # s for each part to be there
RAW = "format=YUY2"
JPEG = "format=Y42B,colorimetry=1:4:0:0"
"""What a camera compresses: full range, BT.601, colours of every second column."""


def why_impossible() -> str | None:
    """What is missing; None if nothing is."""
    missing = [one for one in (*TOOLS, "wireplumber") if shutil.which(one) is None]
    if "gst-inspect-1.0" not in missing:
        for plugin in PLUGINS:
            command = ["gst-inspect-1.0", plugin]
            if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
                missing.append(f"GStreamer's {plugin}")
    return f"{', '.join(missing)} missing" if missing else None


class Webcams:
    """A PipeWire with the cameras that are plugged in."""

    def __init__(self, folder: Path) -> None:
        """``folder``: a short path."""
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def variables(self) -> dict[str, str]:
        """What a program needs to see them; its runtime folder may be another one."""
        return {"PIPEWIRE_REMOTE": str(self.folder / "pipewire-0")}

    def start(self) -> None:
        """Start everything but the cameras."""
        bus = self.folder / "bus"
        self._run(
            "bus",
            "dbus-daemon",
            "--session",
            "--nofork",
            "--nopidfile",
            f"--address=unix:path={bus}",
        )
        wait_until(bus.is_socket, PATIENCE)
        self._run("pipewire", "pipewire")
        wait_until((self.folder / "pipewire-0").is_socket, PATIENCE)
        self._run("wireplumber", "wireplumber")

    def plug(
        self, name: str, width: int, height: int, *, fps: int = 30, jpeg: bool = False
    ) -> None:
        """A camera that shows the bars of television, the last of them in noise."""
        pictures = f"width={width},height={height},framerate={fps}/1"
        draw = ("videotestsrc", "is-live=true", "pattern=smpte")
        code = ("!", "jpegenc", "!", f"image/jpeg,{pictures}") if jpeg else ()
        about = f"props,media.class=Video/Source,node.name={name},node.description={name}"
        self._run(
            name,
            *(
                "gst-launch-1.0",
                "-q",
                *draw,
                "!",
                "video/x-raw,format=RGBx",
                "!",
                "videoconvert",
                "!",
            ),
            *(f"video/x-raw,{JPEG if jpeg else RAW},{pictures}", *code),
            *("!", "pipewiresink", "mode=provide", f"stream-properties={about}"),
        )
        wait_until(lambda: self._shows(name), PATIENCE)

    def freeze(self, name: str) -> None:
        """From now on no pictures come from it."""
        self._running[name].send_signal(signal.SIGSTOP)

    def unplug(self, name: str) -> None:
        """Take it away."""
        one = self._running.pop(name)
        one.kill()
        one.wait()

    def _shows(self, name: str) -> bool:
        command = ["pw-cli", "list-objects", "Node"]
        done = subprocess.run(command, env=self._environment(), capture_output=True, check=False)
        return f'node.name = "{name}"'.encode() in done.stdout

    def _environment(self) -> dict[str, str]:
        bus = f"unix:path={self.folder / 'bus'}"
        own = {"XDG_RUNTIME_DIR": str(self.folder), "DBUS_SESSION_BUS_ADDRESS": bus}
        return {**os.environ, **self.variables, **own, "HOME": str(self.folder)}

    def _run(self, name: str, *command: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment()
            )

    def close(self) -> None:
        """End everything."""
        for name in reversed(list(self._running)):
            self.unplug(name)


@contextmanager
def webcams(folder: Path) -> Iterator[Webcams]:
    """A PipeWire for as long as it is needed."""
    one = Webcams(folder)
    try:
        one.start()
        yield one
    finally:
        one.close()
