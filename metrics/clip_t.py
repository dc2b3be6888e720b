"""CLIP-T: prompt fidelity."""

import numpy as np

from bench.api import Scored


class ClipT:
    """Cosine between the CLIP embeddings of an image and of its prompt, without any prefix.

    In [-1, 1], raw: not CLIPScore's 2.5 times the positive part. Source: DreamBooth (Ruiz et al.
    2023), section 4.
    """

    name = "clip_t"
    version = 1
    higher_is_better = True
    unit = "cosine"
    needs_text = True

    def score(self, item: Scored) -> float:
        """ValueError when the prompt's embedding was not made."""
        if item.text is None:
            raise ValueError("clip_t needs the embedding of the prompt")
        return float(item.text.astype(np.float64) @ item.image)
