"""CLIP-T: prompt fidelity, and CLIPScore, which scales it."""

from bench.metrics.similarity import TextSimilarity


class ClipT(TextSimilarity):
    """Cosine between the CLIP embeddings of an image and of its prompt, without any prefix.

    In [-1, 1], raw: not CLIPScore's 2.5 times the positive part. Source: DreamBooth (Ruiz et al.
    2023), section 4.
    """

    name = "clip_t"
    encoder = "clip-vitb32-openai"
