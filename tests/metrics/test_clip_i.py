"""CLIP-I from embeddings."""

import numpy as np
import pytest

from bench.api import Scored
from bench.metrics.clip_i import ClipI


def test_clip_i_is_the_mean_raw_cosine_to_the_references_counted() -> None:
    references = np.array([[0.8, 0.6], [-1.0, 0.0], [0.0, 1.0]], np.float32)
    item = Scored(image=np.array([1.0, 0.0], np.float32), references=references, text=None)
    assert ClipI().score(item) == pytest.approx((0.8 - 1.0 + 0.0) / 3, abs=1e-7)


def test_clip_i_is_not_clipped_at_zero() -> None:
    image = np.array([1.0, 0.0], np.float32)
    assert ClipI().score(Scored(image=image, references=-image[None], text=None)) == -1.0
