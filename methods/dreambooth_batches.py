"""What DreamBooth trains on: photographs of a subject beside images of its class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from PIL.Image import Image
from torch import Tensor

from bench.api import Material
from bench.identity import seed_of
from bench.methods.backbones.backbone import Backbone, Condition, Text, Weights
from bench.methods.objectives import Timesteps, squared_error
from bench.methods.sampling import to_tensor

Photographs = Literal["all", "given"]


def shown(material: Material, which: Photographs) -> list[Image]:
    """All of a subject's photographs, or the one that the protocol gives."""
    photographs = material.photographs
    return [photographs[material.given]] if which == "given" else list(photographs.values())


class Album:
    """Images encoded once, in a seeded endless order: each once before any comes again."""

    def __init__(self, backbone: Backbone, images: Sequence[Image], what: str, seed: int) -> None:
        side = backbone.spec.resolution
        alone = [backbone.moments(to_tensor([image], side)) for image in images]
        self.backbone, self.moments = backbone, torch.cat(alone)
        self.what, self.seed = what, seed

    def latents(self, number: int, size: int) -> Tensor:
        """Batch ``number``; it follows from the number and the seed alone."""
        chosen = [self._position(number * size + place) for place in range(size)]
        generators = [
            torch.Generator().manual_seed(seed_of(self.seed, self.what, number, place))
            for place in range(size)
        ]
        return self.backbone.latents(self.moments[chosen], generators)

    def _position(self, count: int) -> int:
        epoch, place = divmod(count, len(self.moments))
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.what, "order", epoch))
        return int(torch.randperm(len(self.moments), generator=generator)[place])


@dataclass(frozen=True)
class Lot:
    """Latents (B, ...) with the prompt of each."""

    clean: Tensor
    text: Text

    def beside(self, other: "Lot") -> "Lot":
        """Both as one."""
        tokens = torch.cat([self.text.tokens, other.text.tokens])
        pooled = torch.cat([self.text.pooled, other.text.pooled])
        return Lot(torch.cat([self.clean, other.clean]), Text(tokens, pooled))


@dataclass(frozen=True)
class PriorPreserving:
    """DreamBooth's objective under the adapters of ``weights``; timesteps are each image's own.

    Source: DreamBooth (arXiv 2208.12242), Eq. 2; the factors w_t are left out, as in practice.
    """

    weights: Weights
    prior: float
    timesteps: Timesteps

    def __call__(
        self, backbone: Backbone, own: Lot, kept: Lot | None, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of photographs, and ``prior`` times that of class images where there are any."""
        if kept is None:
            return self._errors(backbone, own, generator).mean(), {}
        errors = self._errors(backbone, own.beside(kept), generator)
        fidelity, prior = errors[: len(own.clean)].mean(), errors[len(own.clean) :].mean()
        figures = {"fidelity": fidelity.item(), "prior": prior.item()}
        return fidelity + self.prior * prior, figures

    def _errors(self, backbone: Backbone, lot: Lot, generator: torch.Generator) -> Tensor:
        """Squared errors (B,)."""
        clean = lot.clean
        t = self.timesteps.draw(len(clean), generator).to(clean)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        x = backbone.noised(clean, noise, t)
        predicted = backbone.predict(x, t, Condition(lot.text, None), self.weights)
        return squared_error(predicted, backbone.target(clean, noise, t))
