"""Making what a network takes for noise look like noise: uncorrelated, and of its usual spread.

Source: pix2pix-zero (Parmar et al., arXiv 2302.03027) for the correlations, ReNoise (Garibi et al.,
arXiv 2403.14602, Sec. 3.4) for the patches.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

COARSEST = 8
"""Side at and below which noise is not halved again."""
PATCH = 4
TINY = 1e-6
LIMIT = 100.0
"""Slopes of the divergence are clipped to it: patches of nearly no variance have enormous ones."""


@dataclass(frozen=True)
class Whitening:
    """Gradient steps on predicted noise (1, C, H, W).

    ``correlation``, ``divergence``: how far a step goes; 0 leaves one out. ``turns``: how often
    both are taken; ``rolls``: random shifts of a turn.
    """

    correlation: float = 20.0
    divergence: float = 0.065
    turns: int = 4
    rolls: int = 5

    def __call__(self, noise: Tensor, usual: Tensor, generator: torch.Generator) -> Tensor:
        """The noise, moved; ``usual`` is what the network answers to noise that was just added."""
        for _ in range(self.turns):
            if self.divergence:
                slope = _slope(lambda x: patch_divergence(x, usual), noise)
                noise = noise - self.divergence * slope.clamp(-LIMIT, LIMIT)
            for _ in range(self.rolls if self.correlation else 0):
                slope = _slope(lambda x: autocorrelation(x, generator), noise)
                noise = noise - self.correlation / self.rolls * slope
        return noise


def autocorrelation(noise: Tensor, generator: torch.Generator) -> Tensor:
    """The squared mean products of (1, C, H, W) noise with itself, shifted; at every scale summed.

    Each channel and scale has a shift of its own, below half the side; it may be none.
    """
    total = noise.new_zeros(())
    for channel in noise.split(1, dim=1):
        while True:
            side = channel.shape[2]
            shift = int(torch.randint(0, side // 2, (1,), generator=generator))
            for axis in (2, 3):
                total = total + (channel * channel.roll(shift, axis)).mean() ** 2
            if side <= COARSEST:
                break
            channel = avg_pool2d(channel, 2)
    return total


def patch_divergence(noise: Tensor, usual: Tensor) -> Tensor:
    """Twice the divergence between Gaussians fitted to patches of 4 x 4 in each channel, summed."""
    (mean, variance), (other_mean, other_variance) = map(_moments, (noise, usual))
    spread = (variance + (mean - other_mean) ** 2) / (other_variance + TINY)
    ratio = torch.log((other_variance + TINY) / (variance + TINY))
    return (ratio + spread - 1).abs().sum()


def _moments(noise: Tensor) -> tuple[Tensor, Tensor]:
    patches = noise.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).flatten(-2)
    return patches.mean(-1), patches.var(-1)


def _slope(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    with torch.enable_grad():
        place = at.detach().requires_grad_()
        [slope] = torch.autograd.grad(function(place), place)
    return slope
