"""CLIP-I: subject fidelity, more forgiving than DINO of another thing of the same class."""

import numpy as np

from bench.api import Scored


class ClipI:
    """Mean cosine between an image's CLIP embedding and those of the references that count.

    In [-1, 1], raw. Source: DreamBooth (Ruiz et al. 2023), section 4, after Textual Inversion (Gal
    et al. 2022).
    """

    name = "clip_i"
    version = 1
    higher_is_better = True
    unit = "cosine"
    needs_text = False

    def score(self, item: Scored) -> float:
        return float((item.references.astype(np.float64) @ item.image).mean())
