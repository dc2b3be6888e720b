"""Rounds of on-policy training: draw groups of images, have them judged, learn from the steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from bench.errors import UserError
from bench.identity import seed_of
from bench.methods.backbones.backbone import (
    Backbone,
    BackboneSpec,
    Condition,
    Generators,
    Text,
    Weights,
)
from bench.methods.corpora import Corpus
from bench.methods.policy_gradient import (
    Dynamics,
    Transition,
    advantages,
    clipped,
    divergence,
    transition,
)
from bench.methods.reward import RewardModel
from bench.methods.sampling import to_tensor


@runtime_checkable
class Scheduled(Protocol):
    """A backbone whose sampler's noise levels are known: a flow's t, from 1 to 0."""

    def schedule(self, steps: int) -> Any: ...


def noise_levels(backbone: Backbone, steps: int) -> list[float]:
    """t of every sampling step, and 0. UserError for a backbone that is no flow."""
    if not isinstance(backbone, Scheduled):
        spec: BackboneSpec = backbone.spec
        raise UserError(
            f"Policy gradients here need a flow, and the backbone {spec.name} is none; use one of "
            "FLUX or mini."
        )
    levels: list[float] = backbone.schedule(steps).sigmas.tolist()
    return levels


@dataclass(frozen=True)
class Policy:
    """A backbone whose first ``trained`` sampling steps are random, and have a probability.

    The others are Euler's, so that what is judged is free of the last steps' noise.
    """

    backbone: Backbone
    weights: Weights
    times: Sequence[float]
    trained: int
    level: float
    dynamics: Dynamics
    guidance: float

    def transition(
        self, x: Tensor, step: int, condition: Condition, weights: Weights | None = None
    ) -> Transition:
        """Where sampling step ``step`` leads from x, under the policy's or other adapters."""
        t, t_next = self.times[step], self.times[step + 1]
        x_in = x.to(self.backbone.dtype)
        adapters = self.weights if weights is None else weights
        velocity = self.backbone.predict(
            x_in, x_in.new_full((len(x),), t), condition, adapters, self.guidance
        )
        level = self.level if step < self.trained else 0.0
        return transition(x, velocity, t, t_next, level, self.dynamics)

    @torch.no_grad()
    def draw(self, condition: Condition, generators: Generators) -> "Paths":
        """One image for each condition, each from its own generator."""
        x = self.backbone.noise(generators).float()
        path, log_probs = [x], []
        for step in range(len(self.times) - 1):
            leads = self.transition(x, step, condition)
            if step < self.trained:
                x = leads.drawn(self.backbone.noise(generators))
                path.append(x)
                log_probs.append(leads.log_prob(x))
            else:
                x = leads.mean
        images = self.backbone.decode(x.to(self.backbone.dtype))
        return Paths(torch.stack(path), torch.stack(log_probs), images)


@dataclass(frozen=True)
class Paths:
    """What was passed: ``x`` (T + 1, N, ...), ``log_probs`` (T, N), ``images`` (N, 3, H, W)."""

    x: Tensor
    log_probs: Tensor
    images: Tensor


def joined(parts: Sequence[Paths]) -> Paths:
    """All of them as one."""
    return Paths(
        torch.cat([part.x for part in parts], dim=1),
        torch.cat([part.log_probs for part in parts], dim=1),
        torch.cat([part.images for part in parts]),
    )


def picked(condition: Condition, rows: Sequence[int]) -> Condition:
    """Some rows of a condition, in this order and as often as they are named."""
    text, reference, places = condition.text, condition.reference, list(rows)
    return Condition(
        Text(text.tokens[places], text.pooled[places]),
        None if reference is None else reference[places],
    )


@dataclass(frozen=True)
class Plan:
    """``updates`` optimiser steps of ``batch`` images a round; groups of ``group`` images."""

    batch: int
    micro_batch: int
    updates: int
    group: int
    least: int
    clip: float
    beta: float
    seed: int

    @property
    def images(self) -> int:
        """In a round."""
        return self.batch * self.updates

    @property
    def groups(self) -> int:
        return self.images // self.group


@dataclass(frozen=True)
class Round:
    """What was drawn: a condition for each group, the paths, what they were worth."""

    condition: Condition
    paths: Paths
    advantages: Tensor
    order: list[int]
    figures: Mapping[str, float]


class Rounds:
    """The loss of micro-step after micro-step; a round is drawn before its first update.

    Everything follows from (seed, round) and the weights at its beginning.
    """

    def __init__(
        self,
        policy: Policy,
        reference: Weights,
        reward: RewardModel,
        corpus: Corpus,
        indices: Sequence[int],
        plan: Plan,
    ) -> None:
        self.policy, self.reference, self.reward = policy, reference, reward
        self.corpus, self.indices, self.plan = corpus, list(indices), plan
        self._held: tuple[int, Round] | None = None

    def __call__(
        self, index: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        plan, trained = self.plan, self.policy.trained
        update, micro = divmod(index, plan.batch // plan.micro_batch * trained)
        number, part = divmod(update, plan.updates)
        place, step = divmod(micro, trained)
        now = self.round(number)
        start = part * plan.batch + place * plan.micro_batch
        return self._loss(now, now.order[start : start + plan.micro_batch], step)

    def round(self, number: int) -> Round:
        """Round ``number``, drawn when it is first asked for."""
        if self._held is None or self._held[0] != number:
            self._held = (number, self._draw(number))
        return self._held[1]

    def _draw(self, number: int) -> Round:
        plan, policy = self.plan, self.policy
        prompts, references = self._asked(number)
        condition = self._encoded(number, prompts, references)
        groups = [image // plan.group for image in range(plan.images)]
        parts = []
        for start in range(0, plan.images, plan.micro_batch):
            rows = range(start, start + plan.micro_batch)
            own = [self._generator("image", number, row) for row in rows]
            parts.append(policy.draw(picked(condition, [groups[row] for row in rows]), own))
        paths = joined(parts)
        rewards = self._judged(prompts, references, groups, paths.images)
        relative = advantages(rewards, torch.tensor(groups), plan.least)
        figures = {"reward": float(rewards.mean()), "reward_std": float(rewards.std(correction=0))}
        shuffle = self._generator("shuffle", number, 0)
        order: list[int] = torch.randperm(plan.images, generator=shuffle).tolist()
        return Round(condition, paths, relative, order, figures)

    def _asked(self, number: int) -> tuple[list[str], Tensor]:
        """The prompts and references (G, 3, H, W) of a round's groups."""
        first, n = number * self.plan.groups, len(self.indices)
        chosen = [self.indices[(first + group) % n] for group in range(self.plan.groups)]
        triplets = [self.corpus[index] for index in chosen]
        size = self.policy.backbone.spec.resolution
        references = to_tensor([triplet.reference for triplet in triplets], size)
        return [triplet.prompt for triplet in triplets], references

    def _encoded(self, number: int, prompts: list[str], references: Tensor) -> Condition:
        backbone = self.policy.backbone
        own = [self._generator("reference", number, group) for group in range(len(prompts))]
        return Condition(
            backbone.encode_prompts(prompts), backbone.encode_references(references, own)
        )

    def _judged(
        self, prompts: list[str], references: Tensor, groups: Sequence[int], images: Tensor
    ) -> Tensor:
        found = []
        for start in range(0, len(groups), self.plan.micro_batch):
            own = groups[start : start + self.plan.micro_batch]
            seen = images[start : start + len(own)]
            found.append(self.reward.score([prompts[g] for g in own], references[list(own)], seen))
        return torch.cat(found)

    def _loss(self, now: Round, rows: list[int], step: int) -> tuple[Tensor, Mapping[str, float]]:
        """Of one sampling step of some images, all of which led from x to x_next."""
        policy, plan = self.policy, self.plan
        condition = picked(now.condition, [row // plan.group for row in rows])
        x, x_next = now.paths.x[step, rows], now.paths.x[step + 1, rows]
        with torch.no_grad():
            held = policy.transition(x, step, condition, self.reference) if plan.beta else None
        leads = policy.transition(x, step, condition)
        relative = now.advantages[rows].to(x.device)
        result = clipped(
            leads.log_prob(x_next), now.paths.log_probs[step, rows], relative, plan.clip
        )
        figures = {"ratio": result.ratio, "clip_fraction": result.clip_fraction, **now.figures}
        if held is None:
            return result.loss, figures
        apart = divergence(leads, held).mean()
        return result.loss + plan.beta * apart, {**figures, "kl": float(apart.detach())}

    def _generator(self, *what: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(seed_of(self.plan.seed, *what))
