"""How references are made worse."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from bench.methods.corpora import Triplet
from bench.methods.degradations import Degradation, blurred, degraded, noisy


def photograph(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def triplet() -> Triplet:
    return Triplet(photograph(64, 64), Image.new("RGB", (64, 64), "red"), "a mug in snow", "a mug")


@pytest.mark.parametrize(
    ("size", "radius"), [((512, 512), 5.0), ((1024, 1024), 10.0), ((640, 256), 2.5)]
)
def test_the_blur_is_pils_at_radius_5_for_512_pixels(size: tuple[int, int], radius: float) -> None:
    image = photograph(*size)
    expected = image.filter(ImageFilter.GaussianBlur(radius))
    assert blurred(image, 5.0).tobytes() == expected.tobytes() != image.tobytes()


def test_a_radius_of_zero_leaves_the_reference_sharp() -> None:
    image = photograph(64, 64)
    assert blurred(image, 0.0).tobytes() == image.tobytes()


def test_the_noise_has_the_deviation_asked_for_and_no_bias() -> None:
    grey = Image.new("RGB", (128, 128), (128, 128, 128))
    added = np.asarray(noisy(grey, 0.1, seed=1), dtype=float) / 255 - 128 / 255
    assert added.std() == pytest.approx(0.1, abs=0.002)
    assert added.mean() == pytest.approx(0.0, abs=0.002)


def test_the_noise_follows_from_its_seed() -> None:
    image = photograph(32, 32)
    assert noisy(image, 0.3, 1).tobytes() == noisy(image, 0.3, 1).tobytes()
    assert noisy(image, 0.3, 1).tobytes() != noisy(image, 0.3, 2).tobytes()


def test_noisy_pixels_are_clipped_and_do_not_wrap_around() -> None:
    white = np.asarray(noisy(Image.new("RGB", (64, 64), "white"), 0.2, seed=0), dtype=float)
    black = np.asarray(noisy(Image.new("RGB", (64, 64), "black"), 0.2, seed=0), dtype=float)
    assert (white == 255).mean() == pytest.approx(0.5, abs=0.03) and white.min() > 0
    assert (black == 0).mean() == pytest.approx(0.5, abs=0.03) and black.max() < 255


@pytest.mark.parametrize(("kind", "part"), [("semantic", "target"), ("none", "reference")])
def test_other_kinds_are_images_of_the_triplet(kind: Degradation, part: str) -> None:
    given = triplet()
    assert degraded(given, kind, 5.0, 0.3, seed=0) is getattr(given, part)


@pytest.mark.parametrize("kind", ["blur", "noise"])
def test_a_degradation_takes_its_own_strength_alone(kind: Degradation) -> None:
    given = triplet()
    expected = {"blur": blurred(given.reference, 9.0), "noise": noisy(given.reference, 0.4, 7)}
    assert degraded(given, kind, 9.0, 0.4, seed=7).tobytes() == expected[kind].tobytes()
