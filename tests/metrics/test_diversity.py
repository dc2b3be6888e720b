"""Diversity: the means over pairs that DreamBooth and SISO describe."""

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.api import Precision
from bench.metrics.comparers import PixelComparer, pixels
from bench.metrics.diversity import LpipsDiversity, MseDiversity


class Brightness:
    """A comparer that looks at one pixel."""

    name, digest, recipe = "brightness", "", ""
    precision: Precision = "fp32"

    def distances(self, pairs: Sequence[tuple[Image.Image, Image.Image]]) -> list[float]:
        reds = [[int(np.asarray(image)[0, 0, 0]) for image in pair] for pair in pairs]
        return [float(abs(one - other)) for one, other in reds]


def plain(red: int, size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new("RGB", size, (red, 0, 0))


def noise(seed: int, size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))


def test_image_counts_its_distance_to_every_sibling() -> None:
    assert LpipsDiversity(Brightness())([plain(0), plain(10), plain(40)]).tolist() == [25, 20, 35]


@given(st.lists(st.integers(0, 255), min_size=2, max_size=6))
def test_mean_over_images_is_the_mean_over_pairs(reds: list[int]) -> None:
    scores = LpipsDiversity(Brightness())([plain(red) for red in reds])

    expected = np.mean([abs(one - other) for one, other in combinations(reds, 2)])
    assert scores.mean() == pytest.approx(expected)


def test_one_image_has_no_siblings() -> None:
    with pytest.raises(ValueError, match="at least two images, not 1"):
        LpipsDiversity(Brightness())([plain(0)])


def test_mse_of_plain_colours_is_known() -> None:
    images = [plain(0), plain(255), plain(51)]

    scores = MseDiversity(pixels())(images, [plain(0)])

    assert scores == pytest.approx([0, 1 / 3, 0.2**2 / 3])


def test_mse_is_taken_at_512_pixels_over_all_references() -> None:
    image, references = noise(0, (600, 300)), [noise(1, (600, 300)), noise(2, (128, 128))]

    def at_512(picture: Image.Image) -> np.ndarray:
        return np.asarray(picture.resize((512, 512), Image.Resampling.BICUBIC)) / 255

    sized = [references[0], references[1].resize((600, 300), Image.Resampling.BICUBIC)]
    expected = np.mean([np.mean((at_512(image) - at_512(each)) ** 2) for each in sized])

    assert MseDiversity(pixels())([image], references) == pytest.approx([expected], rel=1e-12)


def test_pixels_are_compared_alike_both_ways_and_at_any_precision() -> None:
    images = [noise(seed, (20, 30)) for seed in range(3)]
    pairs = list(permutations(images, 2))

    distances = pixels().distances(pairs)

    assert distances == pixels().distances([(other, one) for one, other in pairs])
    assert pixels(precision="bf16").recipe == PixelComparer().recipe
    assert pixels(precision="bf16").distances(pairs) == distances


def test_unequal_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="unequal sizes"):
        pixels().distances([(plain(0), plain(0, (5, 4)))])
