"""What a process costs, from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

# Implementation
TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds of one unit of utime and stime
SCHED_CLOCK = 2  # Linux: of the clocks of a process, the one of its scheduler


def cpu_seconds(pid: int) -> float:
    """CPU time so far, kernel and user, of all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def run_seconds(pid: int) -> float:
    """The same to the nanosecond: the clock of that process (clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | SCHED_CLOCK)


def wait_seconds(pid: int) -> float:
    """Time that its living threads were ready and had no core: what a busy machine takes."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((one / "schedstat").read_text().split()[1]) for one in threads) / 1e9


def resident_mb(pid: int) -> float:
    """Memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_shares(pids: list[int], seconds: float) -> list[float]:
    """Share of one core that each uses during the next ``seconds``."""
    before, began = [run_seconds(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    return [(run_seconds(pid) - was) / passed for pid, was in zip(pids, before, strict=True)]


def wait_until_quiet(pid: int, limit: float = 5.0) -> None:
    """Wait until a process that warms up has done nothing for 0.3 s."""
    deadline, before = time.monotonic() + limit, -1.0
    while time.monotonic() < deadline and (now := cpu_seconds(pid)) != before:
        before = now
        time.sleep(0.3)
