"""Policy gradients on a flow: steps that have a probability, advantages, the clipped objective.

Pure functions of tensors; t runs from 1 (noise) to 0 (clean), and everything is kept in fp32.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Dynamics = Literal["sde", "cps"]
"""How a step is made random: Flow-GRPO's SDE, or coefficients that keep the noise level."""
BOUND = 5.0
"""Advantages beyond this are cut."""
EPSILON = 1e-6


@dataclass(frozen=True)
class Transition:
    """Where a sampling step leads: Normal(``mean``, ``std``^2).

    ``diffusion``: sigma_t, which the divergence of two policies is measured in. ``weighted``: the
    log-probability is that of the normal distribution; otherwise minus the squared distance.
    """

    mean: Tensor
    std: float
    diffusion: float
    weighted: bool = True

    def drawn(self, noise: Tensor) -> Tensor:
        """The next x, for standard normal noise."""
        return self.mean + self.std * noise.float()

    def log_prob(self, x_next: Tensor) -> Tensor:
        """Of each sample (B,), averaged over its dimensions."""
        squared = (x_next.float() - self.mean).square().flatten(1).mean(dim=1)
        if not self.weighted:
            return -squared
        return -squared / (2 * self.std**2) - math.log(self.std * math.sqrt(2 * math.pi))


def transition(
    x: Tensor, velocity: Tensor, t: float, t_next: float, level: float, dynamics: Dynamics = "sde"
) -> Transition:
    """The step from t to t_next, 0 <= t_next < t <= 1, at noise level a.

    Level 0 is Euler's step. Source: Flow-GRPO (arXiv 2505.05470), Eq. 9, its released code for
    t = 1, where the SDE has no finite diffusion, and for cps (arXiv 2509.05952).
    """
    x, velocity = x.float(), velocity.float()
    if dynamics == "cps":
        return _preserving(x, velocity, t, t_next, level)
    finite = t_next if t == 1 else t
    diffusion = level * math.sqrt(t / (1 - finite))
    dt, half = t_next - t, diffusion**2 / (2 * t)
    mean = x * (1 + half * dt) + velocity * (1 + half * (1 - t)) * dt
    return Transition(mean, diffusion * math.sqrt(-dt), diffusion)


def _preserving(x: Tensor, velocity: Tensor, t: float, t_next: float, level: float) -> Transition:
    std = t_next * math.sin(level * math.pi / 2)
    clean, noise = x - t * velocity, x + (1 - t) * velocity
    mean = (1 - t_next) * clean + math.sqrt(t_next**2 - std**2) * noise
    return Transition(mean, std, std, weighted=False)


def divergence(policy: Transition, reference: Transition) -> Tensor:
    """How far the policy's mean has moved from the reference's, (B,), in units of sigma_t."""
    squared = (policy.mean - reference.mean).square().flatten(1).mean(dim=1)
    return squared / (2 * reference.diffusion**2)


def advantages(rewards: Tensor, groups: Tensor, least: int) -> Tensor:
    """Rewards (N,) less their group's mean, over its standard deviation.

    ``groups`` (N,): which condition a sample is of. Groups of fewer than ``least`` samples are
    measured against the whole batch. Source: DDPO (arXiv 2305.13301), per-prompt statistics.
    """
    rewards = rewards.float()
    found = torch.empty_like(rewards)
    for group in groups.unique():
        own = groups == group
        peers = rewards[own] if int(own.sum()) >= least else rewards
        spread = peers.std(correction=0) + EPSILON
        found[own] = (rewards[own] - peers.mean()) / spread
    return found


@dataclass(frozen=True)
class Clipped:
    """The objective, and what to watch: the mean ratio and the share that the clip cuts."""

    loss: Tensor
    ratio: float
    clip_fraction: float


def clipped(log_prob: Tensor, before: Tensor, advantage: Tensor, clip: float = 1e-4) -> Clipped:
    """Mean of max(-A rho, -A clip(rho, 1 - c, 1 + c)); all (B,).

    rho is the probability of the step over what it was when it was drawn (``before``).
    Source: DDPO (arXiv 2305.13301), its importance-sampling estimator and released settings.
    """
    advantage = advantage.clamp(-BOUND, BOUND)
    ratio = torch.exp(log_prob - before)
    cut = ratio.clamp(1 - clip, 1 + clip)
    loss = torch.maximum(-advantage * ratio, -advantage * cut).mean()
    outside = ((ratio - 1).abs() > clip).float().mean()
    return Clipped(loss, float(ratio.detach().mean()), float(outside))
