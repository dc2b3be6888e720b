"""CLIP-I: subject fidelity, more forgiving than DINO of another thing of the same class."""

from bench.metrics.similarity import Similarity


class ClipI(Similarity):
    """Mean cosine between an image's CLIP embedding and those of the references that count.

    In [-1, 1], raw. Source: DreamBooth (Ruiz et al. 2023), section 4, after Textual Inversion (Gal
    et al. 2022).
    """

    name = "clip_i"
    encoder = "clip-vitb32-openai"
