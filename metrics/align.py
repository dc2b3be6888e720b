"""ALIGN: an image tower and a text tower that meet in 640 numbers, the judge of RPO's reward.

Source: Jia et al. 2021 (arXiv 2102.05918); the weights are Kakao Brain's, trained on COYO-700M.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Image, Resampling

from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import GREY

if TYPE_CHECKING:
    from bench.api import Pixels


@dataclass(frozen=True)
class SquashThenCrop:
    """The whole image to a square of ``side`` (bilinear, antialiased), of it the central ``crop``.

    Source: transformers, convert_align_tf_to_hf.py: the processor that lies beside the weights.
    """

    side: int = 346
    crop: int = 289

    def __call__(self, image: Image) -> "Pixels":
        """RGB image to (crop, crop, 3) uint8."""
        square = image.resize((self.side, self.side), Resampling.BILINEAR)
        first = (self.side - self.crop) // 2
        return np.asarray(square.crop((first, first, first + self.crop, first + self.crop)))


align_base = partial(
    NetworkEncoder,
    "align-base",
    "bench.metrics.align_network:align_base",
    SquashThenCrop(),
    GREY,
    batch=8,
)
