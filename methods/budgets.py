"""What trainings of the comparative family take, by counts; ``bench run --dry-run`` tells them."""

from typing import Any

from bench.cost import Budget, Facts
from bench.methods.encoded import MOST

REFERENCE_AND_POLICY = 2
"""Passes of each image of a pair: one through the frozen model, one through the trained one."""


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
