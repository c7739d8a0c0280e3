"""A shared screen over a network that loses packets; ``make lab`` runs all of its kind."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lab import pictures
from tests.lab.film import Original, ssim
from tests.lab.meeting import scene
from tests.video.desk import MISSING
from video.pattern import Mark

SLACK = 3.0  # as in the other tests of the lab


@pytest.mark.live
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_a_screen_over_a_lossy_network_comes_soon_and_does_not_freeze(lab: None) -> None:
    with scene() as made:
        found = pictures.lossy(made, 0.050, 0.02, 0, settles=1.2, lasts=3.2)
    print("\n".join(found.lines()))
    assert found.shortfalls(SLACK) == []


def test_what_is_the_same_is_alike_and_what_is_coarse_is_less() -> None:
    one = Original(320, 180, 4).picture(Mark(3, 1_000))
    assert ssim(one, one) == pytest.approx(1.0)
    rough = np.asarray(one // 32 * 32, np.uint8)
    rougher = np.asarray(one // 96 * 96, np.uint8)
    assert 1.0 > ssim(one, rough) > ssim(one, rougher) > 0.0
    other = Original(320, 180, 4).picture(Mark(4, 1_000))
    assert ssim(one, other) < 0.9
