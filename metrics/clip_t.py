"""CLIP-T: prompt fidelity, and CLIPScore, which scales it."""

from bench.metrics.similarity import TextSimilarity

WEIGHT = 2.5
"""Hessel et al. chose it to stretch usual cosines over [0, 1]."""


class ClipT(TextSimilarity):
    """Cosine between the CLIP embeddings of an image and of its prompt, without any prefix.

    In [-1, 1], raw: not CLIPScore's 2.5 times the positive part. Source: DreamBooth (Ruiz et al.
    2023), section 4.
    """

    name = "clip_t"
    encoder = "clip-vitb32-openai"


class ClipScoreBare(ClipT):
    """2.5 times the positive part of CLIP-T's cosine, the prompt as it is; in [0, 2.5].

    Source: custom-diffusion's evaluation (Kumari et al. 2023), whose default adds no prefix.
    """

    name = "clip_score_bare"
    unit = "2.5 x positive cosine"

    def scale(self, cosine: float) -> float:
        """2.5 x max(cosine, 0)."""
        return WEIGHT * max(cosine, 0.0)


class ClipScore(ClipScoreBare):
    """2.5 times the positive part of the cosine with "A photo depicts" and the prompt; in [0, 2.5].

    Source: Hessel et al. 2021, section 3 (reference-free).
    """

    name = "clip_score"

    def text(self, prompt: str) -> str | None:
        """The prompt after CLIPScore's prefix."""
        return f"A photo depicts {prompt}"
