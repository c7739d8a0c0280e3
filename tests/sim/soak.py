"""Many random schedules, one after another; the seed of each that fails is printed.

python -m tests.sim.soak --schedules 5000 --seed 1 [--torn] [--real-kem] [--log]
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from client.net.kem import MlKem
from tests.sim.schedule import Schedule


def main() -> int:
    """The exit code: 1 if any schedule failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.soak")
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--torn", action="store_true", help="partitions and kicks all the time")
    parser.add_argument("--real-kem", action="store_true", help="ML-KEM-768 itself")
    parser.add_argument("--log", action="store_true", help="print each story that fails")
    wanted = parser.parse_args()
    begun, failed, heard, said = time.monotonic(), 0, 0, 0
    for seed in range(wanted.seed, wanted.seed + wanted.schedules):
        schedule = Schedule(seed, MlKem() if wanted.real_kem else None, wanted.torn)
        try:
            schedule.run()
        except Exception:
            failed += 1
            last = traceback.format_exc().strip().splitlines()
            print(f"seed {seed} fails: {last[-1]}", flush=True)
            if wanted.log:
                print("\n".join([*schedule.log, *last]), flush=True)
        heard, said = heard + schedule.heard, said + len(schedule.said)
    spent = time.monotonic() - begun
    print(
        f"{wanted.schedules} schedules, {failed} failed, {heard} voice packets opened, "
        f"{said} texts said, {spent:.0f} s"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
