"""Cosine metrics: what DINO, CLIP-I, CLIP-T and their kin share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from bench.api import Encoder, Scored

if TYPE_CHECKING:
    from bench.api import Embeddings

Floats = NDArray[np.float64]


def cosines(image: "Embeddings", others: "Embeddings") -> Floats:
    """Cosines of (D,) or (N, D) features with (M, D) others: (M,) or (N, M) in [-1, 1], float64."""
    return directions(image) @ directions(others).T


def directions(features: "Embeddings") -> Floats:
    """Rows of unit length in float64. ValueError for a row of zeros, which has no direction."""
    rows = features.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not lengths.all():
        raise ValueError("a feature vector of length zero has no direction")
    directed: Floats = rows / lengths
    return directed


def embed(encoder: Encoder, images: Sequence[Image]) -> "Embeddings":
    """(N, D) features of RGB images."""
    return encoder.encode_images([encoder.prepare(image) for image in images])


class Cosine:
    """What every cosine metric says of itself."""

    name: str
    encoder: str
    version = 1
    kind: Literal["image"] = "image"
    higher_is_better = True
    unit = "cosine"

    def __init__(self, encoder: Encoder | None = None) -> None:
        self._encoder = encoder


class Similarity(Cosine):
    """Mean cosine between an image's embedding and those of the references that count.

    In [-1, 1], raw: neither clipped at zero nor multiplied by 100.
    """

    def text(self, prompt: str) -> str | None:
        """None: prompts are not looked at."""
        return None

    def score(self, item: Scored) -> float:
        return float(cosines(item.image, item.references).mean())

    def __call__(self, images: Sequence[Image], references: Sequence[Image]) -> Floats:
        """(N,) one number per RGB image, each against all ``references``."""
        own = given(self._encoder, self.name)
        return cosines(embed(own, images), embed(own, references)).mean(axis=1)


class TextSimilarity(Cosine):
    """Cosine between the embeddings of an image and of a text, in [-1, 1], raw."""

    def text(self, prompt: str) -> str | None:
        """The prompt as it is."""
        return prompt

    def score(self, item: Scored) -> float:
        """ValueError when the text's embedding was not made."""
        if item.text is None:
            raise ValueError(f"{self.name} needs the embedding of the prompt")
        return self.scale(float(cosines(item.image, item.text[None])[0]))

    def scale(self, cosine: float) -> float:
        """The number that the metric makes of a cosine: the cosine itself."""
        return cosine

    def __call__(self, images: Sequence[Image], texts: Sequence[str]) -> Floats:
        """(N,) one number per RGB image, each against its own text."""
        own = given(self._encoder, self.name)
        read = own.encode_texts([self.text(text) or "" for text in texts])
        pairs = zip(directions(embed(own, images)), directions(read), strict=True)
        return np.array([self.scale(float(image @ text)) for image, text in pairs])


def given(encoder: Encoder | None, metric: str) -> Encoder:
    """The encoder that a metric was made with. ValueError when it was made without one."""
    if encoder is None:
        raise ValueError(f"{metric} was made without an encoder: pass one, {metric}(encoder)")
    return encoder
