"""DINO: subject fidelity."""

import numpy as np

from bench.api import Scored


class Dino:
    """Mean cosine between an image's DINO embedding and those of the references that count.

    In [-1, 1], raw: neither clipped at zero nor multiplied by 100. Source: DreamBooth (Ruiz et al.
    2023), section 4; which references count differs between papers, so the protocol says it.
    """

    name = "dino"
    version = 1
    higher_is_better = True
    unit = "cosine"
    needs_text = False

    def score(self, item: Scored) -> float:
        return float((item.references.astype(np.float64) @ item.image).mean())
