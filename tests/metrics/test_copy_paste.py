"""The copy-paste probe from embeddings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from bench.api import Scored
from bench.metrics.copy_paste import AboveCeiling, BackgroundSimilarity, ceiling
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.similarity import Similarity, cosines, embed
from tests.networks import picture

Rows = NDArray[np.float32]
Metric = type[Similarity]
ENTRIES = st.floats(0.125, 8, width=32)
PHOTOGRAPHS = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=6), elements=ENTRIES
)
FAN = np.array([[1, 0], [0.8, 0.6], [0.6, -0.8]], np.float32)
"""Three photographs: the first is the most central, at 0.8 and 0.6 from the others."""


def scored(metric: Metric, image: Rows, references: Rows, gallery: Rows) -> float:
    item = Scored(image=image, references=references, gallery=gallery, text=None)
    told: float = metric().score(item)
    return told


def above(image: Rows, photographs: Rows) -> float:
    return scored(AboveCeiling, image, photographs, photographs)


def test_the_background_nearest_counts() -> None:
    image = np.array([3, 0], np.float32)
    told = scored(BackgroundSimilarity, image, FAN[1:], gallery=FAN)
    assert told == pytest.approx(0.8, abs=1e-6)


@given(PHOTOGRAPHS, st.integers(0, 2), st.floats(0.25, 4))
def test_a_copied_background_is_found_wherever_it_comes_from(
    references: Rows, copied: int, factor: float
) -> None:
    image = (factor * references[copied]).astype(np.float32)
    told = scored(BackgroundSimilarity, image, references, references)
    assert told == pytest.approx(1, abs=1e-6)


@given(PHOTOGRAPHS)
def test_a_further_background_never_lowers_the_number(references: Rows) -> None:
    image, others = references[0], references[1:]
    fewer = scored(BackgroundSimilarity, image, others[:-1], others)
    assert scored(BackgroundSimilarity, image, others, others) >= fewer - 1e-12


def test_the_ceiling_is_the_largest_mean_of_one_photograph_with_the_others() -> None:
    assert ceiling(FAN) == pytest.approx((0.8 + 0.6) / 2, abs=1e-6)


@given(PHOTOGRAPHS)
def test_the_ceiling_is_the_plain_formula(photographs: Rows) -> None:
    means = [
        cosines(row, np.delete(photographs, index, axis=0)).mean()
        for index, row in enumerate(photographs)
    ]
    assert ceiling(photographs) == pytest.approx(max(means), abs=1e-12)


@given(PHOTOGRAPHS)
def test_no_photograph_is_above_its_own_ceiling(photographs: Rows) -> None:
    for index, row in enumerate(photographs):
        others = np.delete(photographs, index, axis=0)
        assert scored(AboveCeiling, row, others, gallery=photographs) == 0


def test_a_copy_of_the_central_photograph_is_above() -> None:
    assert above(FAN[0], FAN) == 1


def test_a_copy_of_an_unusual_photograph_may_stay_below() -> None:
    # (1 + 0.6 + 0) / 3 against a ceiling of 0.7.
    assert above(FAN[2], FAN) == 0


def test_an_image_in_the_midst_of_the_photographs_is_above_and_another_is_not() -> None:
    assert above(FAN.mean(axis=0), FAN) == 1
    assert above(np.array([-1, 0.2], np.float32), FAN) == 0


def beside_the_ceiling(moved: float) -> float:
    """The verdict on an image that exceeds the cosine of two photographs by ``moved``."""
    pair = np.array([[1, 0], [0.6, 0.8]], np.float32)
    angle = np.arccos(0.6 + moved)
    image = np.array([np.cos(angle), np.sin(angle)], np.float32)
    return scored(AboveCeiling, image, pair[:1], gallery=pair)


@given(st.floats(-8e-7, 8e-7))
def test_what_a_batch_may_move_is_above_nothing(moved: float) -> None:
    assert beside_the_ceiling(moved) == 0


def test_more_than_that_is_above() -> None:
    assert beside_the_ceiling(2e-6) == 1


@given(PHOTOGRAPHS, arrays(np.float32, 6, elements=ENTRIES), st.sampled_from([0.25, 0.5, 2, 4]))
def test_neither_lengths_nor_the_order_of_photographs_matter(
    photographs: Rows, image: Rows, factor: float
) -> None:
    image = image[: photographs.shape[1]]
    turned = (factor * photographs[::-1]).astype(np.float32)
    told = scored(BackgroundSimilarity, image, photographs, photographs)
    assert scored(BackgroundSimilarity, image, turned, turned) == pytest.approx(told, abs=1e-12)
    assert ceiling(turned) == pytest.approx(ceiling(photographs), abs=1e-12)


def test_one_photograph_has_no_ceiling_rather_than_a_number() -> None:
    with pytest.raises(ValueError, match="at least two photographs of the subject, and there is 1"):
        above(FAN[0], FAN[:1])


@pytest.mark.parametrize("metric", [BackgroundSimilarity, AboveCeiling])
def test_as_functions_they_say_the_same(metric: Metric, clip: NetworkEncoder) -> None:
    references = [picture((32, 50), seed) for seed in range(4)]
    images = [*references[:2], picture((40, 32), 9)]
    known = embed(clip, references)
    told = metric(clip)(images, references)
    assert told.shape == (3,)
    for number, row in zip(told, embed(clip, images), strict=True):
        assert number == pytest.approx(scored(metric, row, known, known), abs=1e-6)


@pytest.mark.parametrize("metric", [BackgroundSimilarity, AboveCeiling])
def test_less_is_better(metric: Metric) -> None:
    assert not metric().higher_is_better
    assert metric().text("a dog") is None


def test_without_an_encoder_they_say_how_to_make_them() -> None:
    with pytest.raises(ValueError, match=r"above_ceiling\(encoder\)"):
        AboveCeiling()([picture((32, 32))], [picture((32, 32))])
