"""CLIP-T and CLIPScore from embeddings."""

import numpy as np
import pytest

from bench.api import Scored
from bench.metrics.clip_t import ClipScore, ClipScoreBare, ClipT
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.similarity import cosines, embed
from tests.networks import picture

NOTHING = np.zeros((0, 0), np.float32)
IMAGES = [picture((40, 32), seed) for seed in range(4)]
TEXTS = ["a dog", "a cat in the snow", "a mug", "a purple backpack"]


def scored(metric: ClipT, image: list[float], text: list[float]) -> float:
    rows = np.array(image, np.float32), np.array(text, np.float32)
    item = Scored(rows[0], references=NOTHING, gallery=NOTHING, text=rows[1])
    found: float = metric.score(item)
    return found


@pytest.mark.parametrize(
    ("text", "cosine"), [([0.8, 0.6], 0.96), ([1.6, -1.2], 0.0), ([-0.6, -0.8], -1.0)]
)
def test_clip_t_is_the_raw_cosine_and_clip_score_two_and_a_half_times_its_positive_part(
    text: list[float], cosine: float
) -> None:
    image = [0.6, 0.8]
    assert scored(ClipT(), image, text) == pytest.approx(cosine, abs=1e-6)
    for metric in (ClipScore(), ClipScoreBare()):
        assert scored(metric, image, text) == pytest.approx(2.5 * max(cosine, 0), abs=1e-6)


def test_only_clip_score_puts_its_prefix_before_the_prompt() -> None:
    assert ClipScore().text("a dog") == "A photo depicts a dog"
    assert ClipScoreBare().text("a dog") == ClipT().text("a dog") == "a dog"


def test_clip_score_of_images_is_the_formula_of_its_paper(clip: NetworkEncoder) -> None:
    for metric, prefix in ((ClipScore(clip), "A photo depicts "), (ClipScoreBare(clip), "")):
        texts = clip.encode_texts([prefix + text for text in TEXTS])
        expected = 2.5 * np.clip(np.diag(cosines(embed(clip, IMAGES), texts)), 0, None)
        np.testing.assert_allclose(metric(IMAGES, TEXTS), expected, atol=1e-12)
    assert not np.allclose(ClipScore(clip)(IMAGES, TEXTS), ClipScoreBare(clip)(IMAGES, TEXTS))


def test_each_says_what_its_number_is() -> None:
    assert ClipT.unit == "cosine"
    assert ClipScore.unit == ClipScoreBare.unit == "2.5 x positive cosine"
    assert len({ClipT.name, ClipScore.name, ClipScoreBare.name}) == 3


def test_clip_t_without_the_prompt_is_a_mistake_of_the_caller() -> None:
    row = np.ones(1, np.float32)
    with pytest.raises(ValueError, match="prompt"):
        ClipT().score(Scored(row, references=NOTHING, gallery=NOTHING, text=None))
