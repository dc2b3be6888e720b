"""CLIP-T from embeddings."""

import numpy as np
import pytest

from bench.api import Scored
from bench.metrics.clip_t import ClipT

NOTHING = np.zeros((0, 0), np.float32)


def test_clip_t_is_the_raw_cosine_of_image_and_prompt() -> None:
    image, text = np.array([0.6, 0.8], np.float32), np.array([0.8, -0.6], np.float32)
    found = ClipT().score(Scored(image=image, references=NOTHING, text=text))
    assert found == pytest.approx(0.0, abs=1e-7)
    assert ClipT().score(Scored(image=image, references=NOTHING, text=-image)) == pytest.approx(-1)


def test_clip_t_without_the_prompt_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="prompt"):
        ClipT().score(Scored(image=np.ones(1, np.float32), references=NOTHING, text=None))
