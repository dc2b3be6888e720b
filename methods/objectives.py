"""Training objectives as pure functions of tensors; none of them knows a backbone."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def noised(clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x_0 + t eps, for t of shape (B,)."""
    t = t.view(-1, *[1] * (clean.dim() - 1))
    return (1 - t) * clean + t * noise


def squared_error(predicted: Tensor, clean: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the velocity eps - x_0 for each sample, (B,) in fp32."""
    return (predicted.float() - (noise - clean).float()).square().flatten(1).mean(dim=1)


@dataclass(frozen=True)
class Preference:
    """A pairwise loss and what to watch: how many pairs are ranked better than by the reference."""

    loss: Tensor
    accuracy: float
    delta_policy: float
    delta_reference: float


def preference(
    policy: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], beta: float
) -> Preference:
    """-log sigmoid(-beta (D_policy - D_reference)), D = error on positive - error on negative.

    ``policy`` and ``reference``: per-sample errors (B,) on positives and on negatives.
    Source: SFO (arXiv 2506.03621), Eq. 3 and Fig. C: means of squared errors and no factor 1/2.
    """
    delta_policy = policy[0] - policy[1]
    delta_reference = reference[0] - reference[1]
    margin = -beta * (delta_policy - delta_reference)
    return Preference(
        loss=-F.logsigmoid(margin).mean(),
        accuracy=float((margin > 0).float().mean()),
        delta_policy=float(delta_policy.detach().mean()),
        delta_reference=float(delta_reference.mean()),
    )


def logit_normal(n: int, generator: torch.Generator, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """n timesteps sigmoid(N(mean, std^2)), on the CPU."""
    return torch.sigmoid(mean + std * torch.randn(n, generator=generator))
