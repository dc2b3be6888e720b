"""Regions: where the subject is in an image, and what of the image an encoder is shown.

Importing this module imports no torch, and making a grounder or masker builds no network: findings
that are cached need neither. Weights are only ever read from this machine (``bench.weights``).

Sources: SISO (Shpitzer et al. 2025), utils/detection_utils.py for boxes and crops; Grounding DINO
(Liu et al. 2023) and SAM (Kirillov et al. 2023) through transformers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling, fromarray

from bench import weights
from bench.api import Region
from bench.identity import identity

if TYPE_CHECKING:
    from bench.metrics.regions_network import Detector, Outliner

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; may reach beyond the image."""
Mask = NDArray[np.bool_]
"""(H, W) True where the subject is."""
Colour = tuple[int, int, int]

REVISION = 1
"""Raised whenever the same image, box and mask are shown otherwise: part of a region's recipe."""
OUTLINED: frozenset[Region] = frozenset({"subject", "background"})
"""Regions that take a mask besides the box."""
PREPARATION = "pil"
"""Which of transformers' preparations: the one whose resizing is that of every encoder here."""
QUESTION = "a {}."
THRESHOLD = 0.35
WHITE: Colour = (255, 255, 255)
"""Around a cut-out subject, as around every transparent picture."""
NEUTRAL: Colour = (124, 116, 104)
"""In a hidden subject's place: ImageNet's mean, which DINO, CLIP and LPIPS subtract, so that what
is hidden is about zero to all of them."""


@dataclass(frozen=True)
class Grounding:
    """The best box and its confidence in [0, 1]; no box where the confidence is too low."""

    box: Box | None
    score: float


class _Finder:
    """Weights by their name, or in a folder. UserError for weights that are not here."""

    name: str

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or weights.find(self.name)

    @cached_property
    def digest(self) -> str:
        return weights.digest(self.path)


class Grounder(_Finder):
    """Finds subjects by their noun: the best-scoring box of Grounding DINO above 0.35.

    The question is "a NOUN." in lower case. A text threshold names boxes and chooses none, so there
    is none. UserError for weights that are not here or belong to another network.
    """

    name = "grounding-dino-tiny"

    @cached_property
    def recipe(self) -> str:
        """Identity of all that a grounding follows from, the image and the noun aside."""
        return identity([self.name, self.digest, PREPARATION, QUESTION, THRESHOLD])

    @cached_property
    def network(self) -> "Detector":
        """The network, built on first use."""
        from bench.metrics.regions_network import Detector

        return Detector(self.name, self.path)

    def ground(self, images: Sequence[Image], nouns: Sequence[str]) -> list[Grounding]:
        """One grounding per RGB image, each by its own noun."""
        pairs = zip(images, nouns, strict=True)
        best = [self.network.best(image, QUESTION.format(noun).lower()) for image, noun in pairs]
        return [Grounding(box if score > THRESHOLD else None, score) for box, score in best]


class Masker(_Finder):
    """Outlines what is in a box: of SAM's three masks the one that it holds to be the best.

    SISO's loss joins the three and fills their holes; a metric that is to hide or to show a subject
    wants its outline. UserError for weights that are not here or belong to another network.
    """

    name = "sam-vit-base"

    @cached_property
    def recipe(self) -> str:
        """Identity of all that a mask follows from, the image and the box aside."""
        return identity([self.name, self.digest, PREPARATION, "best predicted IoU"])

    @cached_property
    def network(self) -> "Outliner":
        """The network, built on first use."""
        from bench.metrics.regions_network import Outliner

        return Outliner(self.name, self.path)

    def mask(self, images: Sequence[Image], boxes: Sequence[Box]) -> list[Mask]:
        """One mask of its image's size per RGB image and box."""
        return [self.network.mask(*pair) for pair in zip(images, boxes, strict=True)]


def found(region: Region, grounding: Grounding, mask: Mask | None = None) -> bool:
    """Whether there is a box and, where the region takes one, a mask of at least one pixel.

    ValueError when there is a box and the mask that the region takes is not given.
    """
    if grounding.box is None or region not in OUTLINED:
        return grounding.box is not None
    if mask is None:
        raise ValueError(f"the region '{region}' takes a mask besides the box")
    return bool(mask.any())


def apply(region: Region, image: Image, grounding: Grounding, mask: Mask | None = None) -> Image:
    """What of an RGB image is shown; the whole of it where its subject was not ``found``.

    ``box``: cropped to the box. ``subject``: the same, white outside the mask. ``background``: the
    whole frame, ``NEUTRAL`` inside the mask, whose outline therefore still shows. ValueError for a
    mask that is missing or of another size than the image.
    """
    if region == "whole" or grounding.box is None or not found(region, grounding, mask):
        return image
    crop = pixels(grounding.box, image.size)
    if mask is None or region == "box":
        return image.crop(crop)
    if region == "background":
        return blank(image, mask, NEUTRAL)
    return blank(image, ~mask, WHITE).crop(crop)


def pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The crop that holds both corners' pixels, at least one, inside an image of (W, H)."""
    low = [min(max(floor(at), 0), side - 1) for at, side in zip(box[:2], size, strict=True)]
    high = [
        min(max(floor(at), least) + 1, side)
        for at, least, side in zip(box[2:], low, size, strict=True)
    ]
    return low[0], low[1], high[0], high[1]


def blank(image: Image, mask: Mask, colour: Colour) -> Image:
    """A copy of an RGB image with one colour where the mask is. ValueError for unequal sizes."""
    _check_fit(mask, image)
    copy = image.copy()
    copy.paste(colour, mask=fromarray(mask))
    return copy


def background_pair(
    image: Image, mask: Mask | None, other: Image, other_mask: Mask | None
) -> tuple[Image, Image]:
    """Two RGB images at the size of the first, ``NEUTRAL`` wherever either hides its subject.

    The second is resized bicubic, its mask to the nearest pixel; None hides nothing. What is hidden
    is alike in both: a mean distance over all pixels counts it as equal. ValueError for a mask of
    another size than its image.
    """
    hidden = _resized(mask, image, image.size) | _resized(other_mask, other, image.size)
    if other.size != image.size:
        other = other.resize(image.size, Resampling.BICUBIC)
    return blank(image, hidden, NEUTRAL), blank(other, hidden, NEUTRAL)


def _resized(mask: Mask | None, image: Image, size: tuple[int, int]) -> Mask:
    if mask is None:
        return np.zeros(size[::-1], np.bool_)
    _check_fit(mask, image)
    return np.asarray(fromarray(mask).resize(size, Resampling.NEAREST))


def _check_fit(mask: Mask, image: Image) -> None:
    if mask.shape[::-1] != image.size:
        raise ValueError(f"a mask of {mask.shape[::-1]} does not fit an image of {image.size}")


def to_vector(grounding: Grounding) -> NDArray[np.float32]:
    """(5,) box and score, the box NaN where there is none: lossless for a network's float32."""
    box = grounding.box or (np.nan,) * 4
    return np.array([*box, grounding.score], np.float32)


def from_vector(vector: NDArray[np.float32]) -> Grounding:
    """The grounding that ``to_vector`` was given."""
    left, top, right, bottom, score = vector.tolist()
    return Grounding(None if np.isnan(left) else (left, top, right, bottom), score)


def packed(mask: Mask) -> NDArray[np.uint8]:
    """Height and width in four bytes each, then eight pixels a byte."""
    shape = np.array(mask.shape, ">u4").view(np.uint8)
    return np.concatenate([shape, np.packbits(mask)])


def unpacked(bits: NDArray[np.uint8]) -> Mask:
    """The mask that ``packed`` was given."""
    height, width = bits[:8].view(">u4").tolist()
    return np.unpackbits(bits[8:], count=height * width).reshape(height, width).astype(np.bool_)
