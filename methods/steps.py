"""The steps of samplers of first order: down to clean images and, where an answer is known, up.

Every such step is affine in the latent, the network's answer and fresh noise, whatever the network
predicts: so one form serves noise, v and velocities, and can be turned round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from bench.errors import UserError
from bench.methods.backbones.backbone import OFF, Backbone, Condition, Weights
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.unet import UnetBackbone


@dataclass(frozen=True)
class Level:
    """x = signal x_0 + noise eps, to which the network answers clean x_0 + dirt eps."""

    signal: float
    noise: float
    clean: float = 0.0
    dirt: float = 0.0


CLEAN = Level(1.0, 0.0)


@dataclass(frozen=True)
class Step:
    """x' = keep x + answer f(x, t) + fresh n, from a latent to a cleaner one; t in [0, 1]."""

    t: float
    keep: float
    answer: float
    fresh: float

    def down(self, x: Tensor, answer: Tensor, noise: Tensor) -> Tensor:
        return self.keep * x + self.answer * answer + self.fresh * noise

    def up(self, x: Tensor, answer: Tensor, noise: Tensor) -> Tensor:
        """What steps down to x, if this is what the network answers there."""
        return (x - self.answer * answer - self.fresh * noise) / self.keep


def make_step(t: float, at: Level, to: Level, ancestral: bool) -> Step:
    """From one level to a cleaner one, as DDIM and Euler go.

    ``ancestral``: as k-diffusion's ancestral Euler goes, which replaces part of the noise: of
    sigma = noise / signal that of the next step stays at sigma'^2 / sigma.
    """
    scale = at.signal * at.dirt - at.noise * at.clean
    stays = to.noise * at.signal / (to.signal * at.noise) if ancestral else 1.0
    left = to.noise * stays
    return Step(
        t,
        keep=(to.signal * at.dirt - left * at.clean) / scale,
        answer=(left * at.signal - to.signal * at.noise) / scale,
        fresh=to.noise * sqrt(max(0.0, 1 - stays**2)),
    )


def sampler_steps(
    backbone: Backbone, count: int, strength: float = 1.0, ancestral: bool = False
) -> list[Step]:
    """The last of a sampler's ``count`` steps: those that begin at t <= strength.

    UserError where none does, and for families whose sampler is none of first order.
    """
    times = [t for t in _times(backbone, count) if t <= strength + 1e-6]
    if not times:
        raise UserError(
            f"None of {count} sampling steps begins at or below a strength of {strength}; raise "
            "'strength' or 'steps'."
        )
    levels = [*(_level(backbone, t) for t in times), CLEAN]
    pairs = zip(times, levels, levels[1:], strict=False)
    return [make_step(t, at, to, ancestral) for t, at, to in pairs]


def walk(
    backbone: Backbone,
    steps: Sequence[Step],
    x: Tensor,
    noises: Sequence[Tensor],
    condition: Condition,
    weights: Weights = OFF,
    through: int = 0,
) -> Tensor:
    """From a noisy latent to a clean one; gradients flow through the last steps alone.

    ``noises``: one for each step, however much of it the step takes; ``through``: how many steps
    keep gradients.
    """
    for left, step, noise in zip(range(len(steps), 0, -1), steps, noises, strict=True):
        with torch.set_grad_enabled(left <= through):
            x = step.down(x, ask(backbone, step, x, condition, weights), noise)
    return x


def ask(
    backbone: Backbone, step: Step, x: Tensor, condition: Condition, weights: Weights = OFF
) -> Tensor:
    """The network's answer where a step begins."""
    t = torch.full((len(x),), step.t, device=x.device, dtype=x.dtype)
    return backbone.predict(x, t, condition, weights)


def _times(backbone: Backbone, count: int) -> list[float]:
    """Flows begin at their own schedule's levels, others at the last of ``count`` equal spans."""
    if isinstance(backbone, FluxBackbone):
        times: list[float] = backbone.schedule(count).sigmas[:-1].tolist()
        return times
    if (
        not isinstance(backbone, UnetBackbone)
        or backbone.timesteps(torch.ones(1)).is_floating_point()
    ):
        raise UserError(
            f"The backbone {backbone.spec.name} is sampled by no step that can be turned round; "
            "choose --backbone sd-turbo, sdxl-turbo, flux-schnell or mini."
        )
    total = int(backbone.timesteps(torch.ones(1)).item()) + 1
    return [1 - place / count - 0.5 / total for place in range(count)]


def _level(backbone: Backbone, t: float) -> Level:
    """Read off from how the backbone mixes one with nothing."""
    one, zero, at = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.tensor([t])
    mixed = [
        mix(*pair, at)
        for mix in (backbone.noised, backbone.target)
        for pair in ((one, zero), (zero, one))
    ]
    return Level(*(number.item() for number in mixed))
