"""ClassDiffusion: its loss by hand, and its settings."""

import math
import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from bench.api import Workspace
from bench.methods.classdiffusion import (
    ClassDiffusion,
    ClassDiffusionOptions,
    semantic_distance,
)
from bench.methods.dreambooth_options import OVERRIDES
from tests.methods.tiny_subjects import MUG, trained
from tests.methods.tiny_trainings import fresh

TINY: Mapping[str, Any] = {
    **OVERRIDES["mini"],
    "steps": 1,
    "rank": 2,
    "iterations": 2,
    "batch": 1,
}


def method(**options: Any) -> ClassDiffusion:
    return ClassDiffusion(fresh(), ClassDiffusionOptions(**{**TINY, **options}))


def test_the_distance_is_one_minus_the_cosine() -> None:
    said, meant = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 3.0], [2.0, 0.0]])
    assert float(semantic_distance(said, meant)) == pytest.approx((1 + 1 - math.sqrt(0.5)) / 2)
    assert float(semantic_distance(said, 5 * said)) == pytest.approx(0, abs=1e-6)
    assert float(semantic_distance(said, -said)) == pytest.approx(2, abs=1e-6)


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
def test_the_loss_is_dreambooths_plus_the_weighted_distance_of_the_two_prompts(
    workspace: Workspace, weight: float
) -> None:
    made = method(semantics=weight)
    made._begin(MUG)
    made._vectors["<new1>.words"].data.mul_(-2)
    both, figures = made._loss(MUG, workspace)(0, torch.Generator().manual_seed(3))
    alone, _ = super(ClassDiffusion, made)._loss(MUG, workspace)(
        0, torch.Generator().manual_seed(3)
    )
    said = made.backbone.encode_prompts(["a photo of a <new1> mug"]).pooled[0]
    meant = made.backbone.encode_prompts(["a photo of a mug"]).pooled[0]
    distance = 1 - said @ meant / (said.norm() * meant.norm())
    assert distance > 1e-3
    assert figures["semantics"] == pytest.approx(float(distance), rel=1e-4)
    assert both.item() == pytest.approx((alone + weight * distance).item(), rel=1e-5)


def test_the_distance_alone_draws_the_word_to_its_class(workspace: Workspace) -> None:
    made = method()
    made._begin(MUG)
    made._vectors["<new1>.words"].data.mul_(-2)
    loss_of = made._loss(MUG, workspace)
    optimiser = torch.optim.SGD([made._vectors["<new1>.words"]], lr=0.5)
    distances = []
    for _ in range(3):
        optimiser.zero_grad()
        _, figures = loss_of(0, torch.Generator())
        distances.append(figures["semantics"])
        said = made.words.encode(["a photo of a <new1> mug"]).pooled
        meant = made.backbone.encode_prompts(["a photo of a mug"]).pooled
        semantic_distance(said, meant).backward()
        optimiser.step()
    assert distances[0] > distances[1] > distances[2]


def test_a_subject_is_trained_without_class_images(workspace: Workspace) -> None:
    made = method(prior=0.0)
    assert trained(made, MUG, workspace)
    assert not (workspace.cache / "class-images").exists()


def test_a_single_photograph_may_be_all_that_it_sees() -> None:
    assert len(method()._album(MUG).moments) == 2
    [seen] = method(photographs="given")._album(MUG).moments
    assert torch.equal(seen, method()._album(MUG).moments[0])


def test_the_released_settings_are_the_defaults() -> None:
    options = ClassDiffusionOptions()
    assert (options.iterations, options.batch, options.lr) == (500, 2, 2e-5)
    assert (options.semantics, options.prior, options.token) == (1.0, 0.0, "<new1>")
    mini = ClassDiffusionOptions(**ClassDiffusion.overrides["mini"])
    assert mini.prior == 0, "semantic preservation stands in its place everywhere"


def test_keys_and_values_of_the_prompt_are_trained_where_that_is_asked_for(
    workspace: Workspace,
) -> None:
    """Beside the word; of no other weight there is a copy."""
    made = method(train="full", full_lr=1e-2)
    own = made.backbone.transformer.state_dict()
    trained(made, MUG, workspace)
    kept = made.backbone.adapter_parameters("classdiffusion")
    assert {name.split(".attn.")[1] for name in kept} == {
        f"add_{side}_proj.{part}" for side in "kv" for part in ("weight", "bias")
    }
    assert all(not torch.equal(value, own[name]) for name, value in kept.items() if "v_" in name)
    assert ClassDiffusion.full_lr == ClassDiffusionOptions().lr, "one rate in the released code"


def test_on_stable_diffusion_these_are_cross_attentions() -> None:
    names = {
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": True,
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight": True,
        "mid_block.attentions.0.transformer_blocks.0.attn1.to_v.weight": False,
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_q.weight": False,
    }
    assert {name: bool(re.fullmatch(ClassDiffusion.full, name)) for name in names} == names
