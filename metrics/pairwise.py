"""Metrics of pairs: what LPIPS and the diversities share."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from bench.api import Comparer

Floats = NDArray[np.float64]


class Pairwise:
    """Mean distance between an image and others, as a comparer measures it."""

    name: str
    encoder: str
    unit: str
    version = 1
    kind: Literal["pair"] = "pair"
    higher_is_better: bool

    def __init__(self, comparer: Comparer | None = None) -> None:
        self._comparer = comparer

    def distances(self, pairs: Sequence[tuple[Image, Image]]) -> list[float]:
        """ValueError when the metric was made without a comparer."""
        if self._comparer is None:
            raise ValueError(f"{self.name} was made without a comparer: pass one")
        return self._comparer.distances(pairs)


class FromReferences(Pairwise):
    """Mean distance between an image and the references that count."""

    others: Literal["references"] = "references"

    def __call__(self, images: Sequence[Image], references: Sequence[Image]) -> Floats:
        """(N,) one number per RGB image, each against all ``references`` at its own size."""
        if not references:
            raise ValueError(f"{self.name} needs at least one reference")
        pairs = [(image, _sized(other, image.size)) for image in images for other in references]
        return np.array(self.distances(pairs)).reshape(len(images), -1).mean(axis=1)


class AmongSiblings(Pairwise):
    """Mean distance between an image and the others of the same subject and prompt."""

    others: Literal["siblings"] = "siblings"

    def __call__(self, images: Sequence[Image]) -> Floats:
        """(N,) one number per RGB image, each against all others, all of one size."""
        count = len(images)
        if count < 2:
            raise ValueError(f"{self.name} needs at least two images, not {count}")
        table = np.zeros((count, count))
        table[np.triu_indices(count, 1)] = self.distances(list(combinations(images, 2)))
        means: Floats = (table + table.T).sum(axis=1) / (count - 1)
        return means


def _sized(image: Image, size: tuple[int, int]) -> Image:
    return image if image.size == size else image.resize(size, Resampling.BICUBIC)
