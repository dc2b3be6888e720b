"""SFO on a copy of the SFT LoRA: what it starts from, and what it may not run on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.api import Question
from bench.errors import UserError
from bench.methods.sfo_direct import SfoDirect
from bench.methods.sft_base import SftBase, SftOptions
from tests.methods.tiny_trainings import TINY, Events, fresh, given_adapter, pixels, tiny


def test_the_trained_adapter_starts_as_the_sft_lora_and_acts_alone(
    events: Events, question: Question, tmp_path: Path
) -> None:
    workspace, _ = events
    method = tiny(SfoDirect, given_adapter(tmp_path))
    method.base.train(workspace)
    method.add_adapter()
    assert method.weights == {"sfo-direct": 1.0} and method.base.weights == {"sft": 1.0}
    copied = method.backbone.adapter_parameters("sfo-direct")
    for path, value in method.backbone.adapter_parameters("sft").items():
        assert torch.equal(copied[path.replace(".sft.", ".sfo-direct.")], value)
    base = SftBase(fresh(), SftOptions(adapter=given_adapter(tmp_path), steps=2))
    base.train(workspace)
    assert pixels(method, question) == pixels(base, question)


def test_a_training_moves_both_factors_and_keeps_the_rank_of_the_sft_lora(
    events: Events, tmp_path: Path
) -> None:
    workspace, _ = events
    method = tiny(SfoDirect, given_adapter(tmp_path), rank=16)
    method.train(workspace)
    sft = method.backbone.adapter_parameters("sft")
    moved = set()
    for path, value in method.backbone.adapter_parameters("sfo-direct").items():
        start = sft[path.replace(".sfo-direct.", ".sft.")]
        assert value.shape == start.shape
        if not torch.equal(value, start):
            moved.add("A" if ".lora_A." in path else "B")
    assert moved == {"A", "B"}


def test_a_backbone_without_an_sft_lora_is_one_clear_sentence() -> None:
    backbone = fresh()
    backbone.spec = replace(backbone.spec, sees_references=True)
    with pytest.raises(UserError, match="mini has no SFT LoRA that 'sfo-direct' could train"):
        SfoDirect(backbone, SfoDirect.Options(**TINY))
