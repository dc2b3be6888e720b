"""The objectives of the one trainer of comparative methods, over any backbone."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.methods.backbones.backbone import Backbone, Weights
from bench.methods.examples import Batch
from bench.methods.objectives import (
    LOGIT_NORMAL,
    Convention,
    Timesteps,
    preference,
    squared_error,
)


@dataclass(frozen=True)
class FlowMatching:
    """Plain supervised training: the mean squared error of what is predicted, on positives."""

    weights: Weights
    timesteps: Timesteps = LOGIT_NORMAL

    def __call__(
        self, backbone: Backbone, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        clean = batch.positives
        t = self.timesteps.draw(len(clean), generator).to(clean)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        x = backbone.noised(clean, noise, t)
        predicted = backbone.predict(x, t, batch.condition, self.weights)
        return squared_error(predicted, backbone.target(clean, noise, t)).mean(), {}


@dataclass(frozen=True)
class Comparison:
    """The pairwise objective: positives over negatives, more than the reference model has it.

    ``reference`` and ``policy``: the adapters of the frozen and of the trained model. Timestep and
    noise are shared within a pair; the reference pass comes first and keeps no gradient.
    """

    reference: Weights
    policy: Weights
    beta: float
    timesteps: Timesteps = LOGIT_NORMAL
    convention: Convention = "sfo"

    def __call__(
        self, backbone: Backbone, batch: Batch, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        if batch.negatives is None:
            raise ValueError("a comparison needs negatives")
        half = self.timesteps.draw(len(batch.positives), generator)
        clean = torch.cat([batch.positives, batch.negatives])
        t = torch.cat([half, half]).to(clean)
        noise = torch.randn(batch.positives.shape, generator=generator).to(clean)
        noise = torch.cat([noise, noise])
        x, target = backbone.noised(clean, noise, t), backbone.target(clean, noise, t)
        condition = batch.condition.repeated(2)
        with torch.no_grad():
            frozen = backbone.predict(x, t, condition, self.reference)
            before = squared_error(frozen, target).chunk(2)
        trained = backbone.predict(x, t, condition, self.policy)
        after = squared_error(trained, target).chunk(2)
        result = preference(
            (after[0], after[1]), (before[0], before[1]), self.beta, self.convention
        )
        return result.loss, {
            "accuracy": result.accuracy,
            "delta_policy": result.delta_policy,
            "delta_reference": result.delta_reference,
        }
