"""Metrics of two sets: what FID, KID and CMMD share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from bench.api import Encoder
from bench.metrics.similarity import embed, given

if TYPE_CHECKING:
    from bench.api import Embeddings, Labels

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Between = Callable[[Mask, Mask], float]
"""The number for the rows of either set that count."""


class SetDistance(ABC):
    """A distance between the features of generated and of real images, in float64."""

    name: str
    encoder: str
    unit: str
    bias: str
    version = 1
    kind: Literal["set"] = "set"
    higher_is_better = False
    least: int = 2
    """Fewer images than this on either side have no such distance."""

    def __init__(self, encoder: Encoder | None = None) -> None:
        self._encoder = encoder

    @abstractmethod
    def between(self, generated: Floats, real: Floats) -> Between:
        """What all subsets of two sets share, computed once."""

    def score(self, generated: "Embeddings", real: "Embeddings") -> float:
        """The number for (N, D) against (M, D).

        ValueError for too few rows, rows of unequal width and features that are not finite.
        """
        between = self._checked(generated, real)
        return between(np.ones(len(generated), bool), np.ones(len(real), bool))

    def leave_out(
        self,
        generated: "Embeddings",
        real: "Embeddings",
        groups: "Labels",
        real_groups: "Labels",
    ) -> dict[str, float]:
        """The number without each group of ``groups`` in turn, left out of both sets.

        A group without which too few rows remain is not in the answer. ValueError as for ``score``.
        """
        between = self._checked(generated, real)
        kept = {str(group): (groups != group, real_groups != group) for group in np.unique(groups)}
        return {
            group: between(*masks)
            for group, masks in kept.items()
            if min(mask.sum() for mask in masks) >= self.least
        }

    def __call__(self, images: Sequence[Image], real: Sequence[Image]) -> float:
        """The number for RGB images against real ones. ValueError as for ``score``."""
        own = given(self._encoder, self.name)
        return self.score(embed(own, images), embed(own, real))

    def _checked(self, generated: "Embeddings", real: "Embeddings") -> Between:
        counts = len(generated), len(real)
        if min(counts) < self.least:
            raise ValueError(
                f"{self.name} needs at least {self.least} images on each side, not {counts[0]} "
                f"generated and {counts[1]} real"
            )
        if generated.shape[1:] != real.shape[1:]:
            raise ValueError(
                f"{self.name} compares features of one width, not {generated.shape[1:]} and "
                f"{real.shape[1:]}"
            )
        if not (np.isfinite(generated).all() and np.isfinite(real).all()):
            raise ValueError(f"{self.name} was given features that are not finite")
        return self.between(generated.astype(np.float64), real.astype(np.float64))
