"""``vchat doctor``: what works here, one line each, with one line of advice.

Each look is a function that gives findings and raises nothing: what it meets is
a finding. ``fail`` is kept for what a call cannot do without.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import locale
import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from client import config as configuration
from client import words
from client.commands import doctor_network
from client.commands.finding import Finding
from client.refused import Refused
from vc_core.clean import clean_text
from vc_core.errors import RemoteProtocolError, VchatError

# Implementation
LIBRARIES = ("aioice", "aioquic", "av", "nacl", "numpy", "soxr", "websockets")
LISTEN_SECONDS = 0.5  # of the microphone
MIC_PATIENCE = 4.0  # seconds that a microphone may take to begin, as those of Bluetooth do
QUIET = -75.0  # dB of full scale; below it a microphone is most likely muted
UDP_LIMIT = 1.0  # seconds for a datagram to oneself
NARROW, LOW = 40, 10  # columns and lines that the full screen needs


def run(folder: Path, flags: Mapping[str, Any]) -> int:
    """Print all findings; 1 if one is ``fail``. ``flags`` are servers that were named."""
    worst = 0
    for finding in findings(folder, flags):
        print(_line(finding), flush=True)
        if finding.advice:
            print(f"      {finding.advice}", flush=True)
        worst |= finding.verdict == "fail"
    return int(worst)


def findings(folder: Path, flags: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything that is looked at, as it is found."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _opus,
        _audio,
        _pictures,
        _system_sound,
        _terminal,
        _udp,
        _networks,
        lambda: _settings(folder),
        lambda: _identity(folder),
        lambda: doctor_network.look(folder, flags),
    )
    for look in looks:
        try:
            yield from look()
        except ImportError as error:
            yield Finding("fail", "libraries", *words.of_import(error))


def _line(finding: Finding) -> str:
    colours = {"ok": "32", "warn": "33", "fail": "31"}
    verdict = f"{finding.verdict:4s}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        verdict = f"\x1b[{colours[finding.verdict]}m{verdict}\x1b[0m"
    return f"{verdict}  {finding.what}: {finding.said}"


def _python() -> Iterator[Finding]:
    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("ok", "python", said)
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding("fail", "libraries", f"missing: {', '.join(missing)}", words.AGAIN)
    else:
        yield Finding("ok", "libraries", "all there")


def _opus() -> Iterator[Finding]:
    from audio.libopus import OpusMissing, load, locate

    try:
        version = ctypes.CFUNCTYPE(ctypes.c_char_p)(("opus_get_version_string", load()))
        yield Finding("ok", "opus", f"{version().decode()} ({locate()})")
    except OpusMissing as error:
        yield Finding("fail", "opus", str(error), error.hint)


def _audio() -> Iterator[Finding]:
    from audio import devices

    name = devices.backend_name()
    if name == "none":
        advice = "install libportaudio2 for voice; writing works without"
        yield Finding("warn", "sound library", "none works here", advice)
        return
    yield Finding("ok", "sound library", name)
    yield from _microphone()
    speakers = devices.speakers()
    if speakers:
        yield Finding("ok", "speaker", devices.choose(speakers, "default", "speaker").name)
    else:
        yield Finding("warn", "speaker", "none found", "you can write, and be heard")


def _microphone() -> Iterator[Finding]:
    from audio import devices

    found = devices.microphones()
    if not found:
        yield Finding("warn", "microphone", "none found", "you can write, and hear the others")
        return
    name = devices.choose(found, "default", "microphone").name
    try:
        loudness = asyncio.run(_listen())
    except VchatError as error:
        yield Finding("warn", "microphone", f"{name}: {error}", "see vchat devices")
        return
    if loudness is None:
        advice = "another program may hold it; choose another with --mic"
        yield Finding("warn", "microphone", f"{name} gives no sound", advice)
    elif loudness < QUIET:
        advice = "is it muted in the system's settings?"
        yield Finding("warn", "microphone", f"{name} gives silence ({loudness:.0f} dB)", advice)
    else:
        yield Finding("ok", "microphone", f"{name}, now at {loudness:.0f} dB of full scale")


async def _listen() -> float | None:
    """The loudest frame of half a second, in dB of full scale; None if none came."""
    from audio.level import level
    from audio.microphone import open_microphone

    heard: list[float] = []
    microphone = await open_microphone("default", lambda frame, _at: heard.append(level(frame)))
    until = time.monotonic() + MIC_PATIENCE
    try:
        while not heard and time.monotonic() < until:
            await asyncio.sleep(0.05)
        await asyncio.sleep(LISTEN_SECONDS)
    finally:
        microphone.close()
    return max(heard, default=None)


def _pictures() -> Iterator[Finding]:
    """What there is to share; watching needs none of it."""
    from video import shelf

    screens, cameras = shelf.screens(), shelf.cameras()
    if screens.items:
        said = ", ".join(clean_text(one.name) for one in screens.items)
        yield Finding("ok", "screen", f"{_screen_backend()}: {said}")
    else:
        yield Finding("warn", "screen", screens.hint, "a camera or a file can be shared")
    if cameras.items:
        yield Finding("ok", "camera", ", ".join(clean_text(one.name) for one in cameras.items))
    else:
        yield Finding("warn", "camera", "none found", "a screen or a file can be shared")


def _screen_backend() -> str:
    """How a screen would be looked at."""
    from video.screen import is_wayland

    if not sys.platform.startswith("linux"):
        return platform.system()
    return "Wayland (screen portal)" if is_wayland() else f"X11 ({os.environ.get('DISPLAY')})"


def _system_sound() -> Iterator[Finding]:
    """Whether ``/share screen audio`` finds what this machine plays."""
    from audio.system import SystemSound
    from audio.unavailable import AudioUnavailable

    try:
        asyncio.run(SystemSound().open())
    except AudioUnavailable as error:
        yield Finding("warn", "system sound", error.message, error.hint)
    else:
        yield Finding("ok", "system sound", "what other programs play can be shared")


def _terminal() -> Iterator[Finding]:
    encoding = (getattr(sys.stdout, "encoding", None) or locale.getpreferredencoding()).lower()
    if encoding.replace("-", "") != "utf8":
        advice = "set a UTF-8 locale, e.g. LANG=C.UTF-8"
        yield Finding("warn", "terminal", f"writes {encoding}, not UTF-8", advice)
        return
    if not sys.stdout.isatty():
        yield Finding("ok", "terminal", "none: vchat writes line by line")
        return
    columns, lines = shutil.get_terminal_size()
    colours = os.environ.get("COLORTERM") or os.environ.get("TERM", "unknown")
    said = f"{columns}×{lines}, {colours}, UTF-8"
    if columns < NARROW or lines < LOW or os.environ.get("TERM") == "dumb":
        yield Finding("warn", "terminal", said, "too small for the full screen: use --plain")
    else:
        yield Finding("ok", "terminal", said)


def _udp() -> Iterator[Finding]:
    """A question to our own STUN responder, over loopback."""
    from vc_core import stun_binding

    transaction = os.urandom(stun_binding.TRANSACTION_SIZE)
    try:
        with _bound() as asker, _bound() as server:
            asker.sendto(stun_binding.write_request(transaction), server.getsockname())
            question, (host, port) = server.recvfrom(stun_binding.MAX_SIZE)
            responder = stun_binding.StunResponder(time.monotonic())
            address = (socket.inet_aton(host), port)
            answer = responder.receive_datagram(question, address, time.monotonic())
            server.sendto(answer or b"", (host, port))
            back, seen = stun_binding.read_answer(asker.recv(stun_binding.MAX_SIZE))
        fine = back == transaction and seen == address
    except (OSError, RemoteProtocolError) as error:
        advice = "something on this machine blocks udp: look at its firewall"
        yield Finding("fail", "udp", f"a datagram to oneself got lost ({error})", advice)
        return
    if fine:
        yield Finding("ok", "udp", "works on this machine")
    else:
        yield Finding("fail", "udp", "datagrams come back changed", "look at its firewall")


def _bound() -> socket.socket:
    """A UDP socket on loopback that waits for a while."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(UDP_LIMIT)
    one.bind(("127.0.0.1", 0))
    return one


def _networks() -> Iterator[Finding]:
    from client.net.interfaces import interfaces

    addresses = interfaces(loopback=False).addresses
    if not addresses:
        advice = "only calls on this machine are possible"
        yield Finding("warn", "network", "no address that others could reach", advice)
        return
    yield Finding("ok", "network", ", ".join(addresses))


def _settings(folder: Path) -> Iterator[Finding]:
    try:
        configuration.load(folder)
    except Refused as error:
        yield Finding("fail", "settings", error.message, error.hint)
    else:
        there = (folder / configuration.FILE).exists()
        yield Finding("ok", "settings", str(folder) + ("" if there else " (no config.toml)"))


def _identity(folder: Path) -> Iterator[Finding]:
    """Looks only: the first call makes it, not the doctor."""
    from client.identity import FILE, is_sealed, kept_identity

    if not (folder / FILE).exists():
        yield Finding("ok", "identity", "none yet; the first call makes it")
        return
    try:
        if is_sealed(folder):
            yield Finding("ok", "identity", "there, sealed with a passphrase")
        else:
            yield Finding("ok", "identity", kept_identity(folder).public.fingerprint)
    except Refused as error:
        yield Finding("fail", "identity", error.message, error.hint)
    if os.name == "posix" and folder.stat().st_mode & 0o022:
        advice = f"chmod go-w {folder}"
        yield Finding("warn", "identity", f"others may write in {folder}", advice)
