"""Random schedules keep the promises of ``tests.sim.schedule``.

More of them: ``python -m tests.sim.soak --schedules 5000 --seed 1``.
"""

from __future__ import annotations

import pytest

from client.net.kem import MlKem
from tests.sim.schedule import Schedule

BATCH = 10


@pytest.mark.parametrize("first", range(0, 20, BATCH))
def test_a_room_keeps_its_promises_through_any_schedule(first: int) -> None:
    for seed in range(first, first + BATCH):
        schedule = Schedule(seed)
        try:
            schedule.run()
        except Exception as error:
            error.add_note("\n".join([f"seed {seed}", *schedule.log]))
            raise


def test_the_same_with_mlkem_itself() -> None:
    for seed in range(900, 903):
        Schedule(seed, MlKem()).run()


def test_halves_keep_the_promises_however_often_the_room_is_parted() -> None:
    for seed in range(8):
        schedule = Schedule(seed, torn=True)
        try:
            schedule.run()
        except Exception as error:
            error.add_note("\n".join([f"seed {seed}", *schedule.log]))
            raise


def test_a_schedule_can_be_run_again_exactly() -> None:
    one, two = Schedule(7), Schedule(7)
    one.run()
    two.run()
    assert one.log == two.log
    assert one.heard == two.heard
    assert one.bottle.clock.done == two.bottle.clock.done
