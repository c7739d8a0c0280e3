"""A sound server of our own, PulseAudio or PipeWire, with a virtual microphone and speaker.

    pacat ──► null sink "mouth" ──monitor──► remap source "microphone" ──► engine
    engine ──► null sink "ear" ──monitor──► parec

No device of the machine is touched, and no server that runs already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

from audio.pcm import RATE, Samples, to_int16
from tests.calls.sounds import HEADER, wait_until

TOOLS = ("pacat", "parec", "pactl")
SERVERS = {
    "pulseaudio": ("pulseaudio",),
    "pipewire": ("dbus-daemon", "pipewire", "wireplumber", "pipewire-pulse"),
}
FORMAT = ("--format=s16le", f"--rate={RATE}", "--latency-msec=10")
PLUGIN = "**/alsa-lib/libasound_module_pcm_pulse.so"
ALSA = "pcm.!default pulse\nctl.!default pulse\n"


def why_impossible(server: str = "pulseaudio") -> str | None:
    """What is missing; None if nothing is. PortAudio reaches PulseAudio through ALSA only."""
    missing = [tool for tool in (*TOOLS, *SERVERS[server]) if shutil.which(tool) is None]
    if find_library("portaudio") and not any(Path("/usr/lib").glob(PLUGIN)):
        missing.append("libasound2-plugins")
    return f"{', '.join(missing)} missing" if missing else None


class Pulse:
    """One running server."""

    def __init__(self, folder: Path, channels: int = 1) -> None:
        """``channels`` of the speaker."""
        self.folder = folder
        self._channels = f"--channels={channels}"
        self.address = f"unix:{folder / 'native'}"
        self._processes: list[subprocess.Popen[bytes]] = []
        sink = f"module-null-sink rate={RATE} channels="
        self._modules = (
            f"{sink}{channels} sink_name=ear",
            f"{sink}1 sink_name=mouth",
            "module-remap-source source_name=microphone master=mouth.monitor",
        )

    def start(self) -> None:
        """Start it, and make its devices the default ones."""
        self._serve()
        self.tell("set-default-sink", "ear")
        self.tell("set-default-source", "microphone")

    def _serve(self) -> None:
        place = f"module-native-protocol-unix socket={self.folder / 'native'} auth-anonymous=1"
        loaded = [part for module in (place, *self._modules) for part in ("-L", module)]
        daemon = ("--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm")
        self._run("pulseaudio", "-n", *daemon, *loaded)
        wait_until(self._answers, 10.0)

    @property
    def variables(self) -> dict[str, str]:
        """What a program needs to find this server, also through ALSA."""
        (self.folder / ".asoundrc").write_text(ALSA)
        return {"PULSE_SERVER": self.address, "HOME": str(self.folder)}

    def _answers(self) -> bool:
        return self.tell("info") == 0

    def tell(self, *what: str) -> int:
        """``pactl``; its exit code."""
        command = ["pactl", *what]
        done = subprocess.run(command, env=self._environment(), capture_output=True, check=False)
        return done.returncode

    def streams(self) -> list[str]:
        """The streams that programs play now, by number."""
        command = ["pactl", "list", "short", "sink-inputs"]
        done = subprocess.run(command, env=self._environment(), capture_output=True, check=True)
        return [line.split("\t")[0] for line in done.stdout.decode().splitlines()]

    def _environment(self) -> dict[str, str]:
        own = {"PULSE_SERVER": self.address, "HOME": str(self.folder)}
        bus = f"unix:path={self.folder / 'bus'}"
        own |= {"XDG_RUNTIME_DIR": str(self.folder), "DBUS_SESSION_BUS_ADDRESS": bus}
        return {**os.environ, **own}

    def _run(self, *command: str, output: Path | None = None) -> subprocess.Popen[bytes]:
        with (output or self.folder / "log").open("ab") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.DEVNULL,
                env=self._environment(),
            )
        self._processes.append(process)
        return process

    def say(self, samples: Samples) -> float:
        """Play into the microphone; the Unix time at which it begins."""
        return self._play("mouth", samples, "--channels=1")

    def play(self, samples: Samples) -> float:
        """Play to the speaker, as any program does; the Unix time at which it begins."""
        return self._play("ear", samples, self._channels)

    def _play(self, where: str, samples: Samples, channels: str) -> float:
        path = self.folder / f"for-{where}-{len(self._processes)}"
        path.write_bytes(to_int16(samples).tobytes())
        began = time.time()
        self._run("pacat", f"--device={where}", channels, *FORMAT, str(path))
        return began

    def record(self, path: Path, where: str = "ear") -> float:
        """Write what the speaker plays (after an empty head, as a WAV has); when that begins."""
        path.write_bytes(bytes(HEADER))
        channels = self._channels if where == "ear" else "--channels=1"
        self._run("parec", f"--device={where}.monitor", channels, *FORMAT, "--raw", output=path)
        wait_until(lambda: path.stat().st_size > HEADER, 10.0)
        sample = 2 * int(channels[-1])
        return time.time() - (path.stat().st_size - HEADER) / sample / RATE

    def close(self) -> None:
        """End it and everything that it started."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()


class PipeWire(Pulse):
    """PipeWire, as it serves PulseAudio's clients."""

    def __init__(self, folder: Path, channels: int = 1) -> None:
        super().__init__(folder, channels)
        self.address = f"unix:{folder / 'pulse' / 'native'}"

    def _serve(self) -> None:
        bus = self.folder / "bus"
        self._run(
            "dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address=unix:path={bus}"
        )
        wait_until(bus.is_socket, 10.0)
        self._run("pipewire")
        wait_until((self.folder / "pipewire-0").is_socket, 10.0)
        self._run("wireplumber")
        self._run("pipewire-pulse")
        wait_until(self._answers, 10.0)
        for module in self._modules:
            assert self.tell("load-module", *module.split()) == 0
        wait_until(lambda: self.tell("set-default-sink", "ear") == 0, 10.0)


@contextmanager
def pulse(folder: Path, channels: int = 1, server: str = "pulseaudio") -> Iterator[Pulse]:
    """A server for as long as it is needed."""
    folder.mkdir(parents=True)
    one = {"pulseaudio": Pulse, "pipewire": PipeWire}[server](folder, channels)
    try:
        one.start()
        yield one
    finally:
        one.close()
