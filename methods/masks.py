"""Where the thing is that an edit replaces, and how far the rest of an image has changed.

Source: SISO (arXiv 2503.16025), Eq. 3, and its released code, which asks Grounding DINO for a box
and SAM for what is in it.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from PIL.Image import Image
from scipy import ndimage
from torch import Tensor

from bench.identity import identity
from bench.metrics.mini_regions import MiniSubject, segment
from bench.metrics.regions import PREPARATION, QUESTION, Grounder, Mask, Masker

THRESHOLD = 0.3
"""Lower than where subjects are scored: a mask that is missed costs an edit its background."""
TOUCHING = np.ones((3, 3), np.bool_)
"""Pixels that meet at a corner belong together, as contours have it."""


class Outlines:
    """Finds things by their noun; UserError for weights that are not here."""

    def __init__(self) -> None:
        self._grounder, self._masker = Grounder(), Masker()

    @cached_property
    def recipe(self) -> str:
        """Identity of all that a mask follows from, the image and the noun aside."""
        found = [self._grounder.digest, self._masker.digest, PREPARATION, QUESTION, THRESHOLD]
        return identity([*found, "all of SAM's masks, the largest part, filled"])

    def __call__(self, image: Image, noun: str) -> Mask | None:
        """The mask (H, W) of the best box in an RGB image; None where nothing is found."""
        box, score = self._grounder.network.best(image, QUESTION.format(noun).lower())
        if score <= THRESHOLD:
            return None
        left, top, right, bottom = map(float, map(int, box))
        masks = self._masker.network.masks(image, (left, top, right, bottom))
        return filled(masks.any(axis=0)) if masks.any() else None


class MiniOutlines:
    """Finds the subject of a scene of the mini world, where a noun has nothing to add."""

    @cached_property
    def recipe(self) -> str:
        return MiniSubject().findings

    def __call__(self, image: Image, noun: str) -> Mask | None:
        return segment(image)[1]


def filled(mask: Mask) -> Mask:
    """The largest connected part of a mask that is not empty, its holes closed."""
    parts, count = ndimage.label(ndimage.binary_fill_holes(mask), TOUCHING)
    sizes: Sequence[float] = ndimage.sum_labels(parts > 0, parts, range(1, count + 1))
    largest: Mask = parts == 1 + int(np.argmax(sizes))
    return largest


def change_outside(mask: Mask, source: Tensor) -> Callable[[Tensor], Tensor]:
    """The mean squared change of an image (1, 3, H, W) in [0, 1] where the mask (H, W) is not.

    ``source``: what it is held against, of the same form. 0 for a mask of everything.
    """
    outside = torch.from_numpy(~mask).to(source)
    counted = (3 * outside.sum()).clamp_min(1)

    def change(images: Tensor) -> Tensor:
        difference = (images - source.to(images)).square()
        return (difference * outside.to(images)).sum() / counted.to(images)

    return change
