"""What pictures look like in a real terminal and in the window, drawn by real programs on Xvfb.

    python -m tests.calls.portrait PLACE OUT.png        PLACE: sixel, kitty, blocks or window

Ada shares a desktop with a terminal on it (with ``window`` the test pattern, which moves), Bob
watches. Needs Xvfb, xterm and
xdotool; ``kitty`` needs kitty. ``docs/pictures.png`` was made so (kitty).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

from tests.calls.engines import ROOT, environment
from tests.calls.stage import Stage
from tests.video.desk import xvfb

# Implementation
DESKTOP = (960, 540)
SCREEN = (980, 640)
LOOKS = 6.0  # s until everything is drawn
FONT = ("-fa", "DejaVu Sans Mono")
COLOURS = ("-bg", "#10141c", "-fg", "#d8dee9")
PAGE = "nl -ba -w3 -s'  ' vc_core/packet.py | sed -n 5,28p"


@contextmanager
def running(command: list[str], display: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program in front of a display, with a home of its own."""
    variables = {**environment(folder), "DISPLAY": display, "COLORTERM": "truecolor"}
    variables.pop("NO_COLOR", None)
    for name in ("TMUX", "WAYLAND_DISPLAY", "TERM"):
        variables.pop(name, None)
    variables["LIBGL_ALWAYS_SOFTWARE"] = "1"
    one = subprocess.Popen(command, env=variables, cwd=ROOT, start_new_session=True)
    try:
        yield one
    finally:
        one.terminate()
        one.wait(10)


def terminal(place: str, command: list[str]) -> list[str]:
    """A terminal that runs a program."""
    width, height = SCREEN
    if place == "kitty":
        size = (f"initial_window_width={width}", f"initial_window_height={height}")
        options = ("remember_window_size=no", "font_size=11", "background=#10141c", *size)
        return ["kitty", *(word for one in options for word in ("-o", one)), *command]
    graphics = ["-ti", "vt340"] if place == "sixel" else []
    more = ["-xrm", "*numColorRegisters: 1024", "-xrm", f"*maxGraphicSize: {width}x{height}"]
    return [
        *("xterm", *graphics, *more, *FONT, "-fs", "11", *COLOURS, "-b", "6"),
        *("-geometry", "107x33+0+0", "-e", *command),
    ]


def keys(display: str, text: str) -> None:
    """Type it, where the pointer is."""
    variables = {**os.environ, "DISPLAY": display}
    for words in (["mousemove", "300", "300"], ["type", "--delay", "20", text], ["key", "Return"]):
        subprocess.run(["xdotool", *words], env=variables, check=True)


def shot(display: str, out: Path) -> None:
    """The whole screen as a PNG."""
    size = f"{SCREEN[0]}x{SCREEN[1]}"
    options = {"video_size": size, "draw_mouse": "0"}
    with av.open(display, "r", format="x11grab", options=options) as container:
        seen = next(container.decode(video=0)).to_ndarray(format="rgb24")
    fewer = (seen.astype(np.uint8) & np.uint8(0xF0)) | np.uint8(8)  # colours: small enough
    frame = av.VideoFrame.from_ndarray(fewer, "rgb24")
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = *SCREEN, "rgb24"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"compression_level": "9", "pred": "mixed"}
    frame.pts = 0
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    out.write_bytes(b"".join(map(bytes, packets)))


def portray(place: str, out: Path) -> None:
    """One picture."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="vc-")))
        desktop, _ = stack.enter_context(xvfb(*DESKTOP))
        front, _ = stack.enter_context(xvfb(*SCREEN, "+extension", "GLX"))
        page = ["xterm", *FONT, "-fs", "12", *COLOURS, "-geometry", "92x25+16+12"]
        shell = ["-e", "sh", "-c", f"{PAGE}; sleep 600"]
        stack.enter_context(running([*page, *shell], desktop, folder / "page"))
        stage = stack.enter_context(Stage(folder))
        variables = {"DISPLAY": desktop, "WAYLAND_DISPLAY": ""}
        ada = stage.host(name="ada", variables=variables)
        ada.wait("audio")
        ada.say("share", source="test" if place == "window" else "screen", fps=30)
        ada.wait("stream-offered")
        join = [sys.executable, "-m", "client", "join", ada.code, "--name", "bob"]
        devices = ["--mic", "none", "--speaker", "none"]
        if place == "window":
            bob = stage.join(ada.code, name="bob", variables={"DISPLAY": front})
            bob.wait("stream-offered")
            bob.say("watch", member=ada.member, stream=1, to="window")
            bob.wait("stream-started")
        else:
            face = terminal(place, [*join, *devices])
            stack.enter_context(running(face, front, folder / "bob"))
            ada.wait("path", rung="direct")
            ada.say("chat", text="rule 3 is the one that matters")
            time.sleep(2.0)
            keys(front, "/watch ada terminal")
            time.sleep(1.0)
            keys(front, "I see it: never twice under one CTR")
            ada.wait("chat")
        time.sleep(LOOKS)
        shot(front, out)


if __name__ == "__main__":
    portray(sys.argv[1], Path(sys.argv[2]))
