"""Drawing from text alone, under adapters or none."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL.Image import Image

from bench.methods.backbones.backbone import Backbone, Condition, Rule, Weights
from bench.methods.sampling import to_images


@dataclass(frozen=True)
class TextToImage:
    """A backbone and how it is sampled; no reference is seen."""

    backbone: Backbone
    steps: int
    guidance: float
    rule: Rule | None = None

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        weights: Weights,
        plain: Sequence[str] | None = None,
    ) -> list[Image]:
        """One image per prompt, each from the generator of its own seed, as many at once as fit.

        ``plain``: the prompts with the class's noun in place of the subject, where the rule asks.
        """
        images: list[Image] = []
        for start in range(0, len(prompts), self.backbone.spec.batch):
            group = slice(start, start + self.backbone.spec.batch)
            nouns = list(plain[group]) if plain else None
            images += self._together(list(prompts[group]), seeds[group], weights, nouns)
        return images

    def _together(
        self, prompts: list[str], seeds: Sequence[int], weights: Weights, plain: list[str] | None
    ) -> list[Image]:
        backbone = self.backbone
        nouns = backbone.encode_prompts(plain) if plain else None
        condition = Condition(backbone.encode_prompts(prompts), None, nouns)
        noise = backbone.noise([torch.Generator().manual_seed(seed) for seed in seeds])
        how = (self.steps, self.guidance, self.rule)
        latents = backbone.sample(condition, noise, weights, *how)
        return to_images(backbone.decode(latents))
