"""The stage of a story: starts engines and servers, and clears everything away at its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.calls.engines import ROOT, EngineProcess, Program, environment

LOOPBACK = "127.0.0.1:0"


class Stage:
    """All processes of one story; ``prefix`` of a method puts one elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs: list[Program] = []

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            program.kill()
        bugs = [one.story() for one in self._programs if "(a bug in vchat)" in one.errors()]
        assert not bugs, bugs[0]

    def host(
        self,
        *options: str,
        name: str = "Hilda",
        mic: str = "none",
        speaker: str = "none",
        signal: str | None = None,
        listen: str = LOOPBACK,
        **where: Any,
    ) -> EngineProcess:
        """``vchat host``, with a server inside unless ``signal`` names one."""
        server = ["--signal", signal] if signal else ["--listen", listen]
        return self.engine(
            "host", [*server, *options], name=name, mic=mic, speaker=speaker, **where
        )

    def join(
        self,
        code: str,
        *options: str,
        name: str = "Gustav",
        mic: str = "none",
        speaker: str = "none",
        **where: Any,
    ) -> EngineProcess:
        """``vchat join CODE``."""
        return self.engine("join", [code, *options], name=name, mic=mic, speaker=speaker, **where)

    def pair(self, **host: Any) -> tuple[EngineProcess, EngineProcess]:
        """A host and a guest with a road between them."""
        one = self.host(**host)
        two = self.join(one.code)
        two.meets(one)
        one.meets(two)
        return one, two

    def engine(
        self,
        command: str,
        options: Sequence[str] = (),
        *,
        name: str = "Gustav",
        mic: str = "none",
        speaker: str = "none",
        folder: str | None = None,
        prefix: Sequence[str] = (),
        variables: dict[str, str] | None = None,
        start: Sequence[str] = ("-m", "client"),
    ) -> EngineProcess:
        """``vchat COMMAND`` with ``options``; ``folder`` may be that of another engine."""
        sound = ["--mic", mic, "--speaker", speaker]
        engine = EngineProcess(
            [command, *options, "--name", name, *sound],
            self.folder / (folder or f"{len(self._programs)}"),
            prefix=prefix,
            variables=variables,
            start=start,
        )
        self._programs.append(engine)
        return engine

    def impatient(self, code: str, patience: float) -> EngineProcess:
        """A guest that leaves ``patience`` seconds after its face has vanished."""
        module = f"import client.engine as e; e.FACE_PATIENCE = {patience}"
        start = f"{module}; from client.cli import main; main()"
        engine = EngineProcess(
            ["join", code, "--mic", "none", "--speaker", "none"],
            self.folder / f"{len(self._programs)}",
            start=("-c", start),
        )
        self._programs.append(engine)
        return engine

    def server(
        self, *options: str, listen: str = LOOPBACK, prefix: Sequence[str] = ()
    ) -> tuple[Program, str]:
        """``vchat signal`` and where it listens, ``HOST:PORT``."""
        command = ["-m", "client", "signal", "--json", "--listen", listen, *options]
        folder = self.folder / f"server{len(self._programs)}"
        program = Program(command, folder, prefix=prefix)
        self._programs.append(program)
        return program, f"{listen.rpartition(':')[0]}:{program.wait('listening')['port']}"

    def program(
        self, command: Sequence[str], *, prefix: Sequence[str] = (), folder: Path | None = None
    ) -> Program:
        """Any Python program beside the engines."""
        home = folder or self.folder / f"{len(self._programs)}"
        program = Program(command, home, prefix=prefix)
        self._programs.append(program)
        return program


def vchat(*arguments: str, folder: Path, timeout: float = 20.0) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "client", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env=environment(folder),
        check=False,
    )
