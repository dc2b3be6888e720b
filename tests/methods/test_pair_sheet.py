"""Pictures of pairs: where things stand on them."""

import numpy as np
import pytest
from PIL import Image

from bench.methods.pair_sheet import (
    BINS,
    CELL,
    WIDTH,
    Candidate,
    Row,
    Source,
    draw_sheet,
    histogram,
)
from bench.methods.similarity import Similarity

GREEN = Image.new("RGB", (700, 700), (0, 200, 0))


def row(prompt: str, candidates: int) -> Row:
    likeness = [Similarity(0, number, 0.5, 0.25) for number in range(candidates)]
    return Row(prompt, GREEN, GREEN, [Candidate(GREEN, 0, one) for one in likeness])


@pytest.mark.parametrize("candidates", [1, 2, 3])
def test_a_row_holds_reference_positive_and_every_candidate(candidates: int) -> None:
    sheet = draw_sheet([row("a mug", candidates)] * 4, [Source(["cdns"], [0.5])])
    green = (np.asarray(sheet) == (0, 200, 0)).all(axis=-1)
    assert green.sum() == 4 * (2 + candidates) * CELL**2


def test_a_long_prompt_is_shortened_and_reaches_no_candidate() -> None:
    short, long = (
        np.asarray(draw_sheet([row(prompt, 1)], [Source(["cdns"], [0.5])]))
        for prompt in ("a mug", "a mug on a mat " * 20)
    )
    differing = np.flatnonzero((short != long).any(axis=(0, 2)))
    assert differing.max() < 3 * CELL


def test_the_histogram_holds_its_bars_where_the_cosines_are() -> None:
    plot = np.asarray(histogram([[-0.5] * 3 + [0.95] * 6]), dtype=int)
    blue = (plot[..., 2] - plot[..., 0] > 60)[:200]
    columns = np.flatnonzero(blue.any(axis=0))
    heights = blue.sum(axis=0)
    left, right = heights[columns.min()], heights[columns.max()]
    assert left == pytest.approx(right / 2, abs=12)
    assert np.diff(columns).max() > 250


def test_sources_lie_over_each_other_and_are_shares_of_their_own_pairs() -> None:
    few, many = [0.2] * 2 + [0.9] * 2, [0.2] * 200 + [0.9] * 200
    assert np.array_equal(np.asarray(histogram([few])), np.asarray(histogram([many])))
    both = np.asarray(histogram([few, [0.5] * 9]))
    assert both.shape[1] == WIDTH and BINS == 30
    assert not np.array_equal(both, np.asarray(histogram([[0.5] * 9, few])))


@pytest.mark.parametrize("cosine", [1.0, -1.0])
def test_a_histogram_of_one_value_is_drawn(cosine: float) -> None:
    assert len(histogram([[cosine] * 3]).getcolors(1_000_000) or []) > 2
