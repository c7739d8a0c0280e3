"""Fuzzing for minutes: ``python -m tests.fuzz [--target NAME …] [--minutes M]``.

With atheris installed inputs are chosen by coverage, otherwise by chance from
valid ones. A finding is written to ``--findings`` and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import subprocess
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

OURS = ["vc_core", "client", "audio", "video", "signaling", "relay", "tests.fuzz"]


def main() -> int:
    """Run what was asked for."""
    options = _options()
    if options.one:
        return _here(options)
    from tests.fuzz.targets import TARGETS

    failed = []
    for name in options.target or TARGETS:
        begun = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz", "--one", "--target", name]
        command += ["--minutes", str(options.minutes), "--findings", str(options.findings)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip().splitlines()
        runs = next((line for line in reversed(said) if " runs" in line.lower()), "")
        verdict = "ok" if done.returncode == 0 else "FINDING"
        print(f"{name:20} {verdict:8} {time.monotonic() - begun:6.0f} s  {runs}", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print("\n".join(said[-40:]), flush=True)
    return 1 if failed else 0


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", action="append", metavar="NAME")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--findings", type=Path, default=Path("findings"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _here(options: Any) -> int:
    """One target in this process."""
    (name,) = options.target
    seconds = options.minutes * 60
    if importlib.util.find_spec("atheris") is not None:
        return _guided(name, seconds, options.findings)
    return _blind(name, seconds, options.findings)


def _guided(name: str, seconds: float, findings: Path) -> int:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=OURS):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    findings.mkdir(exist_ok=True)
    with TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds()):
            Path(corpus, str(number)).write_bytes(seed)
        arguments = [
            "fuzz",
            f"-max_total_time={seconds:.0f}",
            "-max_len=4096",
            "-rss_limit_mb=400",
            "-timeout=20",
            f"-artifact_prefix={findings}/{name}-",
            corpus,
        ]
        atheris.Setup(arguments, target.try_one)
        atheris.Fuzz()
    return 0


def _blind(name: str, seconds: float, findings: Path) -> int:
    from tests.fuzz.mutate import mutate
    from tests.fuzz.targets import TARGETS

    target, seed = TARGETS[name], time.time_ns()
    chance, seeds, runs = random.Random(seed), target.seeds(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutate(chance, seeds)
        runs += 1
        try:
            target.try_one(data)
        except Exception:
            findings.mkdir(exist_ok=True)
            path = findings / f"{name}-{seed}"
            path.write_bytes(data)
            traceback.print_exc()
            print(f"found in {path} after {runs} runs")
            return 1
    print(f"done {runs} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
