"""DINO: subject fidelity."""

from bench.metrics.similarity import Similarity


class Dino(Similarity):
    """Mean cosine between an image's DINO embedding and those of the references that count.

    In [-1, 1], raw: neither clipped at zero nor multiplied by 100. Source: DreamBooth (Ruiz et al.
    2023), section 4; which references count differs between papers, so the protocol says it.
    """

    name = "dino"
    encoder = "dino-vits16"
