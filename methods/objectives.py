"""Training objectives as pure functions of tensors; none of them knows a backbone."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Convention = Literal["sfo", "diffusion-dpo"]
"""How beta is written; the same loss at twice the beta in Diffusion-DPO's."""


def noised(clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x_0 + t eps, for t of shape (B,)."""
    t = t.view(-1, *[1] * (clean.dim() - 1))
    return (1 - t) * clean + t * noise


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each sample, (B,) in fp32."""
    return (predicted.float() - target.float()).square().flatten(1).mean(dim=1)


@dataclass(frozen=True)
class Preference:
    """A pairwise loss and what to watch: how many pairs are ranked better than by the reference."""

    loss: Tensor
    accuracy: float
    delta_policy: float
    delta_reference: float


def preference(
    policy: tuple[Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
    beta: float,
    convention: Convention = "sfo",
) -> Preference:
    """-log sigmoid(-beta (D_policy - D_reference)), D = error on positive - error on negative.

    ``policy`` and ``reference``: per-sample errors (B,) on positives and on negatives. Diffusion-
    DPO's convention has a factor 1/2 before beta.
    Source: SFO (arXiv 2506.03621), Eq. 3 and Fig. C: means of squared errors and no factor 1/2;
    Diffusion-DPO (arXiv 2311.12908), its released training code.
    """
    beta = beta / 2 if convention == "diffusion-dpo" else beta
    delta_policy = policy[0] - policy[1]
    delta_reference = reference[0] - reference[1]
    margin = -beta * (delta_policy - delta_reference)
    return Preference(
        loss=-F.logsigmoid(margin).mean(),
        accuracy=float((margin > 0).float().mean()),
        delta_policy=float(delta_policy.detach().mean()),
        delta_reference=float(delta_reference.mean()),
    )


@dataclass(frozen=True)
class Timesteps:
    """p(t): uniform on [0, 1], or sigmoid(N(mean, std^2)).

    Source: SFO (arXiv 2506.03621), Sec. 3.2 and Table C, where N(0, 0.25) names a variance.
    """

    kind: Literal["logit-normal", "uniform"] = "logit-normal"
    mean: float = 0.0
    std: float = 1.0

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n timesteps (n,) in [0, 1], on the CPU."""
        if self.kind == "uniform":
            return torch.rand(n, generator=generator)
        return torch.sigmoid(self.mean + self.std * torch.randn(n, generator=generator))


LOGIT_NORMAL = Timesteps()
"""What SFT and SFO train on."""
