"""Copy-paste: has a method repeated a photograph instead of drawing its subject anew?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Image

from bench.api import Region, Scored
from bench.metrics.similarity import Floats, Similarity, cosines, embed, given

if TYPE_CHECKING:
    from bench.api import Embeddings

MARGIN = 1e-6
"""What batches and caches may move a cosine by: less is not above anything."""


class BackgroundSimilarity(Similarity):
    """Highest cosine between an image's background and those of the references that count.

    In [-1, 1], raw; higher is more copying, since a prompt asks for a scene of its own. The highest
    and not the mean, because one copied photograph is a copy. The protocol hides the subjects
    (region ``background``); as a function it takes images whose subjects are hidden. Their outline
    still shows, so compare with the number of the photographs among themselves.
    """

    name = "background_similarity"
    encoder = "dino-vits16"
    region: Region = "background"
    higher_is_better = False

    def score(self, item: Scored) -> float:
        return float(cosines(item.image, item.references).max())

    def __call__(self, images: Sequence[Image], references: Sequence[Image]) -> Floats:
        """(N,) one number per RGB background, each against all ``references``."""
        own = given(self._encoder, self.name)
        highest: Floats = cosines(embed(own, images), embed(own, references)).max(axis=1)
        return highest


class AboveCeiling(Similarity):
    """Share of images that are closer to the photographs than any photograph is to the others.

    1.0 when an image's mean cosine with the references that count exceeds the ceiling, else 0.0.
    The ceiling is the largest leave-one-out mean among the subject's photographs: no real one
    passes it, while a mean over them would be passed by about half of them. A method that draws
    the subject in new scenes stays below; a copy of the most central photograph is above, a copy of
    an unusual one may not be. Meant for protocols where all references count. ValueError for
    subjects with one photograph, which have no ceiling.
    """

    name = "above_ceiling"
    encoder = "dino-vits16"
    higher_is_better = False
    unit = "share"

    def score(self, item: Scored) -> float:
        mean = cosines(item.image, item.references).mean()
        return float(mean > ceiling(item.gallery) + MARGIN)

    def __call__(self, images: Sequence[Image], references: Sequence[Image]) -> Floats:
        """(N,) 0.0 or 1.0 per RGB image; ``references`` are all photographs of the subject."""
        own = given(self._encoder, self.name)
        known = embed(own, references)
        means = cosines(embed(own, images), known).mean(axis=1)
        return (means > ceiling(known) + MARGIN).astype(np.float64)


def ceiling(photographs: "Embeddings") -> float:
    """Largest mean cosine of one of (G, D) photographs with the others.

    ValueError for fewer than two.
    """
    count = len(photographs)
    if count < 2:
        raise ValueError(
            f"a ceiling takes at least two photographs of the subject, and there is {count}"
        )
    among = cosines(photographs, photographs)
    np.fill_diagonal(among, 0)
    return float((among.sum(axis=1) / (count - 1)).max())
