"""Inversion: the noisy latent from which a sampler comes back to a given image.

A step down asks the network where it starts, which going up is what is looked for: a fixed point.
ReNoise iterates towards it, averages the last answers, keeps them noise-like, and moves the fresh
noise of ancestral samplers to what the way down needs.
Source: ReNoise (Garibi et al., arXiv 2403.14602), Alg. 1, with the numbers of its released
configuration, which SISO (arXiv 2503.16025) takes over.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.methods.backbones.backbone import Backbone, Condition, Weights
from bench.methods.steps import Step, ask, walk
from bench.methods.whitening import Whitening

Change = Callable[[Tensor], Tensor]
WHITENING = Whitening()


@dataclass(frozen=True)
class Rounds:
    """How often an answer is sought again after the first, and which answers are averaged."""

    again: int
    averaged: range


@dataclass(frozen=True)
class Renoise:
    """How a sampler is inverted.

    ``near``: what is done below ``low``, where little noise is left; ``whitening``: None leaves
    answers as they are, which are no noise where velocities are predicted; ``corrected``: whether
    the fresh noise is moved; ``ancestral``: the sampler.
    """

    far: Rounds = Rounds(9, range(8, 10))
    near: Rounds = Rounds(5, range(5))
    low: float = 0.25
    whitening: Whitening | None = WHITENING
    corrected: bool = True
    ancestral: bool = True

    def rounds(self, t: float) -> Rounds:
        return self.near if t < self.low else self.far


SDXL_TURBO = Renoise()
SD_TURBO = Renoise(whitening=Whitening(correlation=0.0), corrected=False, ancestral=False)
FLOW = Renoise(whitening=None, corrected=False, ancestral=False)
PLAIN = Rounds(0, range(1))
"""The network is asked once, at the cleaner end of a step: DDIM's and Euler's usual inversion."""


@dataclass(frozen=True)
class Inverted:
    """A latent, and the steps and noises that lead from it back to the image."""

    start: Tensor
    steps: Sequence[Step]
    noises: Sequence[Tensor]

    def redrawn(
        self, backbone: Backbone, condition: Condition, weights: Weights, through: int = 0
    ) -> Tensor:
        """The clean latent at the other end; gradients as in ``walk``."""
        return walk(backbone, self.steps, self.start, self.noises, condition, weights, through)


@torch.no_grad()
def invert(
    backbone: Backbone,
    clean: Tensor,
    steps: Sequence[Step],
    condition: Condition,
    how: Renoise,
    generator: torch.Generator,
) -> Inverted:
    """A clean latent (1, ...) back up its sampler's steps, under no adapter.

    ``generator``: of the fresh noises, on the CPU.
    """
    usual, *noises = (backbone.noise([generator]).to(clean) for _ in range(len(steps) + 1))
    x = clean
    for place, step in reversed(list(enumerate(steps))):

        def answer(guess: Tensor, step: Step = step) -> Tensor:
            return ask(backbone, step, guess, condition)

        t = torch.tensor([step.t], device=clean.device)
        settled = _settled(how.whitening, answer, backbone.noised(clean, usual, t), generator)
        guess = fixed_point(step, x, noises[place], answer, how.rounds(step.t), settled)
        if how.corrected and step.fresh:
            rest = x - step.down(guess, answer(guess), torch.zeros_like(x))
            noises[place] = corrected(noises[place], rest / step.fresh)
        x = guess
    return Inverted(x, steps, noises)


def fixed_point(
    step: Step,
    x: Tensor,
    noise: Tensor,
    answer: Change,
    rounds: Rounds,
    settled: Change = lambda answer: answer,
) -> Tensor:
    """What steps down to x: the answers to ever better guesses, in the end their mean.

    ``settled`` is applied from the first answer that is averaged, and to the mean.
    """
    guess, kept = x / step.keep, []
    for turn in range(rounds.again + 1):
        found = answer(guess)
        if turn in rounds.averaged:
            kept.append(found)
        if turn >= rounds.averaged.start:
            found = settled(found)
        guess = step.up(x, found, noise)
    return step.up(x, settled(torch.stack(kept).mean(0)), noise)


def corrected(noise: Tensor, wanted: Tensor, turns: int = 10, stride: float = 1.8) -> Tensor:
    """Noise moved straight towards what is wanted, ``stride`` at a time, and so at most by 18.

    It does not stop where it would go past.
    """
    for _ in range(turns):
        gap = noise - wanted
        noise = noise - stride * gap / gap.norm().clamp_min(1e-12)
    return noise


def _settled(
    whitening: Whitening | None, answer: Change, added: Tensor, generator: torch.Generator
) -> Change:
    if not whitening:
        return lambda found: found
    usual = answer(added)
    return lambda found: whitening(found, usual, generator)
