"""MSE counts what was changed, and nothing else."""

import numpy as np
import pytest
from PIL import Image

from bench.metrics.comparers import PixelComparer
from bench.metrics.mse import Mse


def test_what_was_not_touched_is_at_0_and_a_half_that_was_inverted_at_one_half() -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    half = black.copy()
    half[:32] = 255
    metric = Mse(PixelComparer())
    untouched, inverted = metric(
        [Image.fromarray(black), Image.fromarray(half)], [Image.fromarray(black)]
    )
    assert untouched == 0
    assert inverted == pytest.approx(0.5, abs=0.01)
    assert not Mse.higher_is_better
