"""What trainings take, by counts; ``bench run --dry-run`` tells them."""

from math import ceil
from typing import Any

import torch

from bench.cost import Budget, Extent, Facts
from bench.methods.backbones.backbone import OFF, Condition, Rule, Text
from bench.methods.encoded import MOST
from bench.methods.rpo_prompts import scenes

REFERENCE_AND_POLICY = 2
"""Passes of each image of a pair: one through the frozen model, one through the trained one."""
SILENT = Text(torch.empty(0), torch.empty(0))


def passes(rule: Rule) -> int:
    """What a rule asks of the network for an image at a step."""
    return len(rule.asks(Condition(SILENT, None, SILENT), lambda asked: asked, OFF))


def sft_budget(options: Any, facts: Facts) -> Budget:
    """The SFT model of ``SftOptions``: nothing where one is given or comes with the backbone.

    Its corpora are too large to be encoded ahead.
    """
    if options.adapter or (facts.ready and not options.retrain):
        return Budget()
    examples = options.sft_iterations * options.sft_batch
    return Budget(
        steps=options.sft_iterations,
        examples=examples,
        forwards=examples,
        backwards=examples,
        on_demand=True,
        ranks=(options.sft_rank,),
        together=options.sft_micro_batch,
    )


def tuning_budget(options: Any, draws: int) -> Budget:
    """The adapter beside it of ``TuningOptions``; pairs where ``draws`` candidates are drawn."""
    examples = options.iterations * options.batch
    images = examples * (2 if draws else 1)
    triplets = (getattr(options, "pool", None) or options.negatives) if draws else 0
    return Budget(
        steps=options.iterations,
        examples=examples,
        forwards=images * (REFERENCE_AND_POLICY if draws else 1),
        backwards=images,
        images=triplets * draws,
        encoded=options.negatives if options.negatives <= MOST else 0,
        on_demand=options.negatives > MOST,
        ranks=(options.rank,),
        together=options.micro_batch * (2 if draws else 1),
    )


def subject_budget(options: Any, extent: Extent) -> Budget:
    """A training on photographs for each subject, and images that subjects of a class share.

    Those of ``DreamBoothOptions`` and of ``TextualInversionOptions``, which know no class images.
    """
    prior = getattr(options, "prior", 0.0) > 0
    examples = options.iterations * options.batch
    together = options.batch * (2 if prior else 1)
    each = Budget(
        steps=options.iterations,
        examples=examples,
        forwards=options.iterations * together,
        backwards=options.iterations * together,
        on_demand=True,
        ranks=_ranks(options),
        whole=_whole(options),
        together=together,
        alone=True,
    )
    shared = options.class_images * extent.classes if prior else 0
    return each.times(extent.subjects) + Budget(images=shared, alone=True)


def rpo_budget(options: Any, extent: Extent) -> Budget:
    """Pairs, validations and a training for each subject of ``RpoOptions``."""
    examples = options.iterations * options.batch
    validations = ceil(options.iterations / options.validate_every)
    drawn = options.images + options.validation_images * validations
    each = Budget(
        steps=options.iterations,
        examples=examples,
        forwards=2 * examples * REFERENCE_AND_POLICY,
        backwards=2 * examples,
        images=drawn * len(scenes(options.prompts, mini=False)),
        on_demand=True,
        ranks=_ranks(options),
        whole=_whole(options),
        together=2 * options.batch,
        alone=True,
    )
    return each.times(extent.subjects)


def rollout_budget(options: Any, draws: int, trained: int) -> Budget:
    """Images drawn by ``sde_steps`` steps, of which ``trained`` are learned from: ``DdpoOptions``.

    Pairs train a reward model, whose own passes are left out.
    """
    examples = options.iterations * options.batch
    learned = examples * trained
    return Budget(
        steps=options.iterations,
        examples=examples,
        forwards=examples * options.sde_steps + learned * (2 if options.beta else 1),
        backwards=learned,
        images=(options.pool or options.negatives) * draws,
        on_demand=True,
        ranks=(options.rank,),
        together=options.micro_batch,
    )


def image_budget(options: Any, times: int) -> Budget:
    """Images drawn and descended through, iteration by iteration, ``times`` over: ``SisoOptions``.

    Every iteration is ``loop_steps`` passes, gradients flow through the last ``through`` of them;
    decoding is left out. None is made for early ends: it is the most that may be.
    """
    backwards = min(options.through, options.loop_steps)
    each = Budget(
        steps=options.iterations,
        examples=options.iterations,
        forwards=options.iterations * options.loop_steps,
        backwards=options.iterations * backwards,
        on_demand=True,
        ranks=(options.rank,),
        together=backwards,
        alone=True,
    )
    return each.times(times)


def _ranks(options: Any) -> tuple[int, ...]:
    """A LoRA's, where one is trained."""
    return (options.rank,) if hasattr(options, "rank") and not _whole(options) else ()


def _whole(options: Any) -> int:
    """1 where the network's own weights are trained."""
    return int(getattr(options, "train", "lora") == "full")
