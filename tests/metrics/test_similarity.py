"""What the cosine metrics share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.api import Scored
from bench.metrics.clip_i import ClipI
from bench.metrics.clip_t import ClipT
from bench.metrics.dino import Dino
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.similarity import cosines, directions, embed
from tests.networks import picture

ROWS = arrays(np.float32, (3, 5), elements=st.floats(0.125, 8, width=32))


@given(ROWS, st.floats(0.01, 100))
def test_cosines_do_not_depend_on_length(rows: np.ndarray, factor: float) -> None:
    found = cosines((factor * rows).astype(np.float64), rows)
    np.testing.assert_allclose(found, cosines(rows, rows), atol=1e-12)
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-12)


@given(ROWS)
def test_cosines_are_float64_of_the_rows_as_given(rows: np.ndarray) -> None:
    expected = [np.dot(rows[0].astype(float), row) for row in rows.astype(float)]
    lengths = np.linalg.norm(rows.astype(float), axis=1)
    np.testing.assert_allclose(cosines(rows[0], rows), expected / lengths / lengths[0], atol=1e-12)


def test_a_row_of_zeros_has_no_direction() -> None:
    with pytest.raises(ValueError, match="length zero"):
        directions(np.zeros((1, 3), np.float32))


def test_images_are_compared_with_all_references(clip: NetworkEncoder) -> None:
    images = [picture((40, 32), seed) for seed in range(3)]
    references = [picture((32, 50), seed) for seed in range(5, 9)]
    found = ClipI(clip)(images, references)
    known = embed(clip, references)
    for number, row in zip(found, embed(clip, images), strict=True):
        item = Scored(image=row, references=known, gallery=known, text=None)
        assert number == pytest.approx(ClipI().score(item), abs=1e-12)
    assert found == pytest.approx(Dino(clip)(images, references))


def test_images_are_compared_each_with_its_own_text(clip: NetworkEncoder) -> None:
    images = [picture((40, 32), seed) for seed in range(3)]
    texts = ["a dog", "a cat", "a mug"]
    expected = np.diag(cosines(embed(clip, images), clip.encode_texts(texts)))
    np.testing.assert_allclose(ClipT(clip)(images, texts), expected, atol=1e-12)


def test_images_and_texts_of_unequal_number_are_a_mistake(clip: NetworkEncoder) -> None:
    with pytest.raises(ValueError):
        ClipT(clip)([picture((32, 32))], ["a dog", "a cat"])


def test_a_metric_made_without_an_encoder_says_how_to_make_it() -> None:
    with pytest.raises(ValueError, match=r"dino\(encoder\)"):
        Dino()([picture((32, 32))], [picture((32, 32))])
