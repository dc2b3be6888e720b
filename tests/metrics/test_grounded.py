"""How often the subject was found."""

import numpy as np
import pytest

from bench.api import Scored
from bench.metrics.grounded import Grounded

ROW = np.ones(4, np.float32)


def scored(found: bool | None) -> float:
    item = Scored(image=ROW, references=ROW[None], gallery=ROW[None], text=None, found=found)
    share: float = Grounded().score(item)
    return share


def test_an_image_counts_when_its_subject_was_found() -> None:
    assert [scored(True), scored(False)] == [1.0, 0.0]


def test_where_nobody_looked_there_is_no_number() -> None:
    with pytest.raises(ValueError, match="a region that is looked for"):
        scored(None)
