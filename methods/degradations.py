"""How a reference is made worse before a negative is drawn from it.

Source: SFO (arXiv 2506.03621), Sec. 3.3 and Table 5.
"""

from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from bench.methods.corpora import Triplet

Degradation = Literal["blur", "noise", "semantic", "none"]


def blurred(image: Image.Image, radius: float) -> Image.Image:
    """PIL's Gaussian blur; ``radius`` is meant at 512 pixels and scales with the resolution."""
    return image.filter(ImageFilter.GaussianBlur(radius * min(image.size) / 512))


def noisy(image: Image.Image, deviation: float, seed: int) -> Image.Image:
    """Gaussian noise of this standard deviation on pixels in [0, 1], clipped."""
    pixels = np.asarray(image, dtype=np.float64) / 255
    draw = np.random.default_rng(seed).normal(0.0, deviation, pixels.shape)
    return Image.fromarray(((pixels + draw).clip(0, 1) * 255).round().astype(np.uint8))


def degraded(
    triplet: Triplet, kind: Degradation, radius: float, deviation: float, seed: int
) -> Image.Image:
    """The reference of a triplet, made worse.

    ``semantic`` puts the target, in its scene, in the reference's place.
    """
    if kind == "blur":
        return blurred(triplet.reference, radius)
    if kind == "noise":
        return noisy(triplet.reference, deviation, seed)
    return triplet.target if kind == "semantic" else triplet.reference
