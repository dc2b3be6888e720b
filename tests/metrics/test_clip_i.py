"""CLIP-I from embeddings."""

import numpy as np
import pytest

from bench.api import Scored
from bench.metrics.clip_i import ClipI


def scored(image: list[float], references: list[list[float]]) -> float:
    rows = np.array(references, np.float32)
    item = Scored(np.array(image, np.float32), rows, gallery=-rows, text=None)
    found: float = ClipI().score(item)
    return found


def test_clip_i_is_the_mean_raw_cosine_to_the_references_counted() -> None:
    found = scored([2.0, 0.0], [[0.8, 0.6], [-3.0, 0.0], [0.0, 1.0]])
    assert found == pytest.approx((0.8 - 1.0 + 0.0) / 3, abs=1e-7)


def test_clip_i_is_not_clipped_at_zero() -> None:
    assert scored([1.0, 0.0], [[-2.0, 0.0]]) == -1.0


def test_clip_i_reads_no_prompt() -> None:
    assert ClipI().text("a dog") is None
