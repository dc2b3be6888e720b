"""DDPO: reinforcement learning of SFT-base, on a reward model that was trained on CDNS pairs.

Each round draws groups of images of one condition by steps that have a probability, has them
judged, and makes those steps more probable that led to images better than their group's.
Sources: the baseline of SFO (arXiv 2506.03621), Table 6; DDPO (arXiv 2305.13301); Flow-GRPO
(arXiv 2505.05470) for flows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from bench.api import Card, Workspace
from bench.cost import Budget, Extent, Facts
from bench.digests import digest
from bench.errors import UserError
from bench.methods.backbones.backbone import Backbone
from bench.methods.budgets import rollout_budget, sft_budget
from bench.methods.cards import CDNS_OPEN, SFT_OPEN, SFT_STATED
from bench.methods.examples import Example
from bench.methods.loop import Recipe, Training
from bench.methods.policy_gradient import Dynamics
from bench.methods.reward import Quadruplets, RewardRecipe, fit_reward
from bench.methods.reward_network import RewardNetwork, for_mini, from_blip
from bench.methods.rollouts import Plan, Policy, Rounds, noise_levels
from bench.methods.sfo import Sfo, SfoOptions
from bench.methods.tuning import OVERRIDES

MEANINGLESS = ("convention", "timesteps", "t_mean", "t_std", "tune_drop_text", "tune_drop_image")
"""Options of the family that say how single timesteps are compared."""


class DdpoOptions(SfoOptions):
    """Published settings of DDPO and Flow-GRPO; pairs and adapter are SFO's."""

    beta: float = Field(0.0, ge=0, description="strength of the KL term; 0: none")
    iterations: int = Field(200, gt=0, description="optimiser steps")
    batch: int = Field(64, gt=0, description="images per optimiser step")
    updates: int = Field(2, gt=0, description="optimiser steps per round of sampling")
    group: int = Field(16, gt=1, description="images of one condition in a round")
    group_least: int = Field(
        8, gt=1, description="smaller groups are measured against the whole round"
    )
    sde_steps: int = Field(6, gt=1, description="sampling steps in training")
    dynamics: Dynamics = Field("sde", description="how they are random; cps: keeps noise levels")
    noise_level: float = Field(0.9, gt=0, lt=1, description="how random they are")
    fraction: float = Field(
        0.99, gt=0, le=1, description="share of the steps that are random and trained; the first"
    )
    clip: float = Field(1e-4, gt=0, description="how far the ratio of probabilities may go")
    optimiser: Literal["prodigy", "adamw"] = Field("adamw", description="AdamW as published")
    lr: float = Field(3e-4, gt=0, description="AdamW's rate, or Prodigy's factor")
    blip: Path | None = Field(
        None, description="folder of the BLIP that the reward model starts from; mini needs none"
    )
    reward_iterations: int = Field(740, gt=0, description="the reward model's optimiser steps")
    reward_batch: int = Field(64, gt=0, description="its pairs per step")
    reward_micro_batch: int = Field(8, gt=0, description="pairs at once; divides reward_batch")
    reward_lr: float = Field(1e-5, gt=0, description="its AdamW rate")
    reward_frozen: float = Field(
        0.7, ge=0, lt=1, description="share of its encoders' layers that are kept as they are"
    )


CARD = Card(
    source="SFO (arXiv 2506.03621), Table 6; DDPO (arXiv 2305.13301); Flow-GRPO (arXiv 2505.05470)",
    stated={
        **SFT_STATED,
        "reward": "ImageReward, modified to see a reference image, trained on the same quadruplets "
        "(SFO, Sec. 4.3)",
        "clip": "1e-4, advantages cut at 5, one pass over what was drawn (DDPO's code)",
        "lr": "AdamW, 3e-4, weight decay 1e-4, gradients clipped to 1 (DDPO's code)",
        "noise_level": "0.9 for FLUX, 6 sampling steps, no KL term (Flow-GRPO's code)",
    },
    choices={
        **SFT_OPEN,
        **CDNS_OPEN,
        "reward": "how the reference enters is not said; as further tokens beside the image's",
        "blip": "'from scratch' is not explained; not from ImageReward, but from BLIP, which "
        "ImageReward is made of",
        "reward_lr": "not said; 1e-5 as ImageReward, falling linearly where that falls as a cosine",
        "dynamics": "how DDPO, which is made for diffusion, samples a flow is not said; as "
        "Flow-GRPO. Steps that are not trained are Euler's, so that what is judged is not noisy",
        "group": "statistics per prompt or per condition is not said; per prompt and reference",
        "iterations": "not said; 100 rounds, as DDPO's published settings have 100 to 200",
        "rank": "not said; the adapter of SFO",
    },
)
SAVE_EVERY = 10
"""Optimiser steps between checkpoints, about."""
MINI: Mapping[str, Any] = {
    **OVERRIDES["mini"],
    "iterations": 60,
    "batch": 16,
    "micro_batch": 16,
    "group": 8,
    "lr": 3e-4,
    "reward_iterations": 300,
    "reward_batch": 16,
    "reward_micro_batch": 16,
    "reward_lr": 1e-3,
    "reward_frozen": 0.0,
}


class Ddpo(Sfo):
    """SFT-base plus an adapter that is rewarded for what a learned judge prefers."""

    name = "ddpo"
    card = CARD
    revision = 1
    Options: ClassVar = DdpoOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {**OVERRIDES, "mini": MINI}

    def __init__(self, backbone: Backbone, options: Any) -> None:
        check(backbone, options)
        super().__init__(backbone, options)
        self.times = noise_levels(backbone, options.sde_steps)
        self.trained = trained_steps(options)
        if options.blip:
            self.inputs["blip"] = digest(options.blip)

    @classmethod
    def budget(cls, options: Any, facts: Facts, extent: Extent) -> Budget:
        """What the SFT model, the pairs and the policy take; the reward model is left out."""
        sft = sft_budget(options, facts)
        return sft + rollout_budget(options, cls.draws(options), trained_steps(options))

    def recipe(self) -> Recipe:
        """A checkpoint falls between two rounds, as what a round drew is not kept."""
        updates, common = self.options.updates, super().recipe()
        return replace(
            common,
            weight_decay=1e-4,
            clip=1.0,
            accumulate=common.accumulate * self.trained,
            save_every=updates * math.ceil(SAVE_EVERY / updates),
            log_every=1,
        )

    def _fit(self, examples: Sequence[Example], workspace: Workspace) -> None:
        options = self.options
        reward = self.reward(examples, workspace)
        indices = [example.index for example in examples]
        rounds = Rounds(self.policy(), self.base.weights, reward, self.corpus, indices, self.plan())
        training = Training(
            self.backbone.adapter_parameters(self.name),
            self.recipe(),
            workspace.folder / self.name,
            options.seed,
        )
        training.run(rounds, workspace.log, workspace.progress, f"train {self.name}")

    def policy(self) -> Policy:
        """SFT-base and the adapter, sampled at random."""
        options = self.options
        return Policy(
            self.backbone,
            self.weights,
            self.times,
            self.trained,
            options.noise_level,
            options.dynamics,
            self.base.guidance,
        )

    def plan(self) -> Plan:
        options = self.options
        return Plan(
            options.batch,
            options.micro_batch,
            options.updates,
            options.group,
            options.group_least,
            options.clip,
            options.beta,
            options.seed,
        )

    def reward(self, examples: Sequence[Example], workspace: Workspace) -> RewardNetwork:
        """The reward model, trained on the pairs."""
        options = self.options
        make = from_blip(options.blip, options.seed) if options.blip else for_mini(options.seed)
        network = make.to(self.backbone.device)
        recipe = RewardRecipe(
            options.reward_iterations,
            options.reward_batch,
            options.reward_micro_batch,
            options.reward_lr,
            options.reward_frozen,
        )
        pairs = Quadruplets(self.corpus, examples, self.backbone.spec.resolution)
        fit_reward(network, pairs, recipe, options.seed, workspace)
        return network


def trained_steps(options: DdpoOptions) -> int:
    """The first of the sampling steps, which are random."""
    return max(1, int(options.sde_steps * options.fraction))


def check(backbone: Backbone, options: DdpoOptions) -> None:
    """UserError for options that do not go together, or mean nothing here."""
    fields = type(options).model_fields
    for name in MEANINGLESS:
        if getattr(options, name) != fields[name].default:
            raise UserError(
                f"The option {name} means nothing to ddpo, which learns from whole samplings; "
                "leave it out."
            )
    if not options.blip and not backbone.spec.mini:
        raise UserError(
            "The reward model of ddpo starts from a BLIP for image-text retrieval: name a folder "
            "with Salesforce/blip-itm-large-coco, say, by --set blip=FOLDER."
        )
    for whole, part, divided in (
        (
            options.reward_batch,
            options.reward_micro_batch,
            "reward_micro_batch={} divides reward_batch={}",
        ),
        (options.batch * options.updates, options.group, "group={} divides batch x updates={}"),
        (options.iterations, options.updates, "updates={} divides iterations={}"),
    ):
        if whole % part:
            raise UserError(f"ddpo needs that {divided.format(part, whole)}; change one of them.")
