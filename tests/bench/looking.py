"""What it costs to look: decoding, the window, half blocks in a terminal.

The test pattern scrolls at 1920×1080. The face runs in a terminal of 120×46 that
this process plays (it answers at once and throws the bytes away): 120×40 half blocks are
asked for, with the viewing process behind them as in a call.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
from dataclasses import replace

import av
import numpy as np

from tests.bench.process import cpu_seconds
from tests.bench.table import Row
from tests.rules.source import ROOT
from tests.video.encoded import encoder
from tests.video.test_window import Display
from tests.video.viewing import Child
from video.cells import Cells, Depth
from video.decode import Decoder
from video.pattern import Mark, Pattern
from video.pipe import Codec, FrameRecord
from video.window import Window

# Implementation
SIZE = (1920, 1080)
FRAMES = 90
FPS = 30
LASTS = 8.0  # s of half blocks
ROWS, COLUMNS = 46, 120  # six rows stay for texts
WARM = 15  # frames that do not count


def page() -> list[av.VideoFrame]:
    """The pattern."""
    pattern = Pattern(*SIZE)
    drawn = (pattern.draw(Mark(number, 0)) for number in range(FRAMES))
    return [av.VideoFrame.from_ndarray(one, "yuv420p") for one in drawn]


def encoded(frames: list[av.VideoFrame]) -> list[FrameRecord]:
    """The same as a stream."""
    context, found = encoder(*SIZE), []
    context.bit_rate = 8_000_000
    for number, frame in enumerate(frames):
        frame.pts = number
        for packet in context.encode(frame):
            key = bool(packet.is_keyframe)
            found.append(FrameRecord(number, 0, key, Codec.H264, *SIZE, bytes(packet)))
    return found


def now(frame: FrameRecord) -> FrameRecord:
    """As if it had been taken now."""
    return replace(frame, captured=int(time.monotonic() * 1e6))


def decoding(stream: list[FrameRecord]) -> list[Row]:
    """Alone, and in the process with its pipe."""
    decoder, took = Decoder(Codec.H264), []
    for frame in stream:
        began = time.thread_time()
        decoder.decode(frame.data)
        took.append(time.thread_time() - began)
    with Child("none") as child:
        for frame in stream[:WARM]:
            child.frames([now(frame)])
        child.hear("started")
        before, began = cpu_seconds(child.process.pid), time.monotonic()
        for frame in stream[WARM:]:
            child.frames([now(frame)])
            time.sleep(1 / FPS)
        share = (cpu_seconds(child.process.pid) - before) / (time.monotonic() - began)
        child.hear("shown")
        ages = child.hear("shown")["latency_ms"]["decoded"]
    return [
        Row("decode 1080p, CPU of our thread", 1e3 * sorted(took)[len(took) // 2], None, "ms"),
        Row("viewing process, 1080p30", 100 * share, None, "% of a core"),
        Row("written to the pipe → decoded, p50", ages["p50"], None, "ms"),
        Row("written to the pipe → decoded, p95", ages["p95"], None, "ms"),
    ]


def window(frames: list[av.VideoFrame]) -> list[Row]:
    """Upload and drawing of one picture, on an X server without a graphics card."""
    if shutil.which("Xvfb") is None:
        return []
    display = Display()
    os.environ.update(display.environment)
    try:
        one = Window("bench", lambda _: None, lambda: os._exit(1))
        took = []
        blank = FrameRecord(0, 0, True, Codec.H264, *SIZE, b"-")
        for frame in frames[:60]:
            began = time.perf_counter()
            one.picture(frame, blank)
            one.turn()
            took.append(time.perf_counter() - began)
        one.close()
    finally:
        display.server.kill()
        display.server.wait()
    return [Row("window: upload and draw 1080p", 1e3 * sorted(took)[30], None, "ms")]


def cells(frames: list[av.VideoFrame]) -> list[Row]:
    """One picture of 120×40 cells, all of whose pixels move."""
    small = [f.reformat(COLUMNS, 80, "rgb24").to_ndarray().astype(np.uint8) for f in frames[:40]]
    one, took, size = Cells(40, COLUMNS, Depth.TRUE), [], 0
    for rgb in small:
        began = time.thread_time()
        size += len(one.draw(rgb, 0, 0))
        took.append(time.thread_time() - began)
    return [
        Row("half blocks 120×40: thinking", 1e3 * sorted(took)[20], None, "ms"),
        Row("half blocks 120×40: a picture", size / len(small) / 1e3, None, "kB"),
    ]


def terminal() -> list[Row]:
    """Pictures a second and CPU, of the face and of the viewing process."""
    controller, tty = pty.openpty()
    fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    face = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.looking"],
        cwd=ROOT,
        env=environment,
        stdin=tty,
        stdout=tty,
        stderr=subprocess.PIPE,
    )
    os.close(tty)
    counts = [0, 0]

    def play() -> None:
        tail = b""
        while True:
            try:
                data = os.read(controller, 65536)
            except OSError:
                return
            seen = tail + data
            for question, answer in ((b"\x1b[c", b"\x1b[?62;22c"), (b"\x1b[5n", b"\x1b[0n")):
                found = seen.count(question)
                os.write(controller, answer * found)
                counts[0] += found * (question == b"\x1b[5n")
            counts[1] += len(data)
            tail = seen[-3:] if seen[-3:].startswith(b"\x1b") else b""

    threading.Thread(target=play, daemon=True).start()
    assert face.stderr is not None
    told = face.stderr.readlines()
    assert face.wait() == 0, b"".join(told).decode()
    pictures, face_cpu, child_cpu, lasted = map(float, told[-1].split())
    return [
        Row("half blocks 120×40 in the face", pictures / lasted, 15, "a second", more=True),
        Row("the face's CPU meanwhile", 100 * face_cpu / lasted, 40, "% of a core"),
        Row("the viewing process's CPU meanwhile", 100 * child_cpu / lasted, None, "% of a core"),
        Row("bytes for the terminal", counts[1] / lasted / 1e3, None, "kB a second"),
    ]


async def face(lasts: float = LASTS) -> None:
    """The face in the terminal of ``terminal``; its last line of stderr are the figures."""
    from client.ui.screen import Screen
    from tests.client.ui import story
    from tests.client.ui.glass import Orders

    stream, orders = encoded(page()), Orders()
    screen = Screen(orders)
    for event in (story.ROOM, story.joined()):
        screen.receive(event)
    offer = {"event": "stream-offered", "member": "m1", "stream": 1, "kind": "screen"}
    screen.receive({**offer, "width": 1920, "height": 1280, "fps": FPS})
    running = asyncio.create_task(screen.app.run_async(handle_sigint=False))
    await asyncio.sleep(0.3)
    screen._typed.line("/watch bob terminal")
    while not orders.sent:
        await asyncio.sleep(0.01)
    started = {"event": "stream-started", "member": "m1", "stream": 1, "codec": "h264"}
    screen.receive({**started, "width": 1920, "height": 1280})
    with Child(str(orders.sent[0]["to"])) as child:
        done = threading.Event()

        def feed() -> None:
            number = 0
            while not done.is_set():
                child.frames([replace(now(stream[number % FRAMES]), number=number)])
                number += 1
                time.sleep(1 / FPS)

        feeding = asyncio.create_task(asyncio.to_thread(feed))
        await asyncio.sleep(2.0)
        before = (screen._picture.drawings, time.process_time(), cpu_seconds(child.process.pid))
        began = time.monotonic()
        await asyncio.sleep(lasts)
        lasted = time.monotonic() - began
        after = (screen._picture.drawings, time.process_time(), cpu_seconds(child.process.pid))
        done.set()
        await feeding
    screen.app.exit()
    await running
    screen.close()
    print(*(b - a for a, b in zip(before, after, strict=True)), lasted, file=sys.stderr)


def looking() -> list[Row]:
    """All of it."""
    frames = page()
    return [*terminal(), *cells(frames), *decoding(encoded(frames)), *window(frames)]


if __name__ == "__main__":
    asyncio.run(face(*map(float, sys.argv[1:])))
