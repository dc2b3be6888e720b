"""The one trainer of comparative methods: they differ in their pairs and their objective alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from bench.identity import seed_of
from bench.methods.backbones.backbone import Condition, Weights
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.corpora import Corpus
from bench.methods.objectives import logit_normal, noised, preference, squared_error
from bench.methods.sampling import to_tensor


@dataclass(frozen=True)
class Batch:
    """Encoded triplets: a condition and targets (B, N, C); negatives for comparative methods."""

    condition: Condition
    positives: Tensor
    negatives: Tensor | None = None


class Examples:
    """Triplets of a corpus, with or without a negative each, in a seeded endless order."""

    def __init__(
        self,
        backbone: FluxBackbone,
        corpus: Corpus,
        indices: Sequence[int],
        negatives: Sequence[Image.Image] | None = None,
        seed: int = 0,
    ) -> None:
        self.backbone, self.corpus, self.indices = backbone, corpus, list(indices)
        self.negatives, self.seed = negatives, seed

    def batch(self, number: int, size: int) -> Batch:
        """Batch ``number``: every example once before any comes again."""
        chosen = [self._position(number * size + i) for i in range(size)]
        triplets = [self.corpus[self.indices[position]] for position in chosen]
        text = self.backbone.encode_prompts([triplet.prompt for triplet in triplets])
        reference = self._encode([triplet.reference for triplet in triplets], "reference", number)
        positives = self._encode([triplet.target for triplet in triplets], "target", number)
        negatives = None
        if self.negatives is not None:
            negatives = self._encode([self.negatives[p] for p in chosen], "negative", number)
        return Batch(Condition(text, reference), positives, negatives)

    def _position(self, count: int) -> int:
        epoch, place = divmod(count, len(self.indices))
        generator = torch.Generator().manual_seed(seed_of(self.seed, "order", epoch))
        return int(torch.randperm(len(self.indices), generator=generator)[place])

    def _encode(self, images: Sequence[Image.Image], what: str, number: int) -> Tensor:
        generators = [
            torch.Generator().manual_seed(seed_of(self.seed, what, number, i))
            for i in range(len(images))
        ]
        return self.backbone.encode_images(
            to_tensor(images, self.backbone.spec.resolution), generators
        )


def doubled(condition: Condition) -> Condition:
    """The same condition for a batch of positives followed by negatives."""
    reference = condition.reference
    return Condition(
        type(condition.text)(
            torch.cat([condition.text.tokens] * 2), torch.cat([condition.text.pooled] * 2)
        ),
        None if reference is None else torch.cat([reference] * 2),
    )


@dataclass(frozen=True)
class FlowMatching:
    """Plain supervised training: the mean squared error of the velocity on positives."""

    weights: Weights

    def __call__(
        self, backbone: FluxBackbone, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        clean = batch.positives
        t = logit_normal(len(clean), generator).to(clean)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        predicted = backbone.predict(noised(clean, noise, t), t, batch.condition, self.weights)
        return squared_error(predicted, clean, noise).mean(), {}


@dataclass(frozen=True)
class Comparison:
    """The pairwise objective: positives over negatives, more than the reference model has it.

    ``reference`` and ``policy``: the adapters of the frozen and of the trained model. Timestep and
    noise are shared within a pair; the reference pass comes first and keeps no gradient.
    """

    reference: Weights
    policy: Weights
    beta: float
    t_mean: float = 0.0
    t_std: float = 1.0

    def __call__(
        self, backbone: FluxBackbone, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        if batch.negatives is None:
            raise ValueError("a comparison needs negatives")
        half = logit_normal(len(batch.positives), generator, self.t_mean, self.t_std)
        clean = torch.cat([batch.positives, batch.negatives])
        t = torch.cat([half, half]).to(clean)
        noise = torch.randn(batch.positives.shape, generator=generator).to(clean)
        noise = torch.cat([noise, noise])
        x, condition = noised(clean, noise, t), doubled(batch.condition)
        with torch.no_grad():
            frozen = backbone.predict(x, t, condition, self.reference)
            before = squared_error(frozen, clean, noise).chunk(2)
        trained = backbone.predict(x, t, condition, self.policy)
        after = squared_error(trained, clean, noise).chunk(2)
        result = preference((after[0], after[1]), (before[0], before[1]), self.beta)
        return result.loss, {
            "accuracy": result.accuracy,
            "delta_policy": result.delta_policy,
            "delta_reference": result.delta_reference,
        }
