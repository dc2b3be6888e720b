"""RPO's judge of images: how like the subject's photographs, and how like the text."""

from collections.abc import Sequence

import numpy as np
from PIL.Image import Image

from bench.api import Encoder
from bench.methods.rpo_objective import Numbers, harmonic, similarity


class Reward:
    """The lambda-harmonic reward against one subject's photographs.

    ``reader`` compares images with texts, ``looker`` with photographs; RPO has ALIGN for both.
    """

    def __init__(self, reader: Encoder, looker: Encoder, photographs: Sequence[Image]) -> None:
        self._reader, self._looker = reader, looker
        self._photographs = _seen(looker, photographs)

    def __call__(self, images: Sequence[Image], texts: Sequence[str], share: float) -> Numbers:
        """One reward per image and its own text, (N,) in [0, 1]; ``share`` is lambda."""
        likeness = _seen(self._looker, images) @ self._photographs.T
        texts_read = _unit(self._reader.encode_texts(texts))
        accord = (_seen(self._reader, images) * texts_read).sum(axis=1)
        return harmonic(similarity(likeness.mean(axis=1)), similarity(accord), share)


def _seen(encoder: Encoder, images: Sequence[Image]) -> Numbers:
    return _unit(encoder.encode_images([encoder.prepare(image) for image in images]))


def _unit(features: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> Numbers:
    rows: Numbers = features.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
