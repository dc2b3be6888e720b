"""DreamBooth with learned words: they are trained, kept and taken away with the subject."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.api import Workspace
from bench.errors import UserError
from bench.methods.dreambooth_options import OVERRIDES
from bench.methods.dreambooth_ti import DreamBoothTi, DreamBoothTiOptions
from tests.methods.tiny_subjects import CAR, MUG, trained
from tests.methods.tiny_trainings import Killed, fresh, kill_at

TINY: Mapping[str, Any] = {
    **OVERRIDES["mini"],
    "steps": 1,
    "rank": 2,
    "iterations": 3,
    "batch": 1,
    "class_images": 1,
    "token": "<one> <two>",
}
WORDS = "dreambooth-ti-words.safetensors"


def method(**options: Any) -> DreamBoothTi:
    return DreamBoothTi(fresh(), DreamBoothTiOptions(**{**TINY, **options}))


def test_both_words_and_the_adapter_are_trained(workspace: Workspace) -> None:
    made = method()
    trained(made, MUG, workspace)
    start = made.words.add("<start>", "mug")["<start>.words"]
    assert made._vectors.keys() == {"<one>.words", "<two>.words"}
    assert all(not torch.equal(vector, start) for vector in made._vectors.values())
    kept = made.backbone.adapter_parameters("dreambooth-ti")
    assert any(value.abs().sum() > 0 for name, value in kept.items() if ".lora_B." in name)


def test_subjects_are_independent_whatever_their_order(
    workspace: Workspace, tmp_path: Path
) -> None:
    back = replace(workspace, folder=tmp_path / "back")
    made, other = method(), method()
    mug, car = trained(made, MUG, workspace), trained(made, CAR, workspace)
    assert trained(other, CAR, back) == car
    assert trained(other, MUG, back) == mug
    assert trained(method(), MUG, workspace) == mug, "a finished subject is loaded, words and all"


def test_killed_again_and_again_it_resumes_to_the_same_files_byte_for_byte(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DreamBoothTi, "recipe", replace(method().recipe, save_every=1))
    calm = replace(workspace, folder=tmp_path / "calm")
    method().train_subject(MUG, calm)
    for done in (1, 2):
        with pytest.raises(Killed):
            doomed = replace(workspace, progress=kill_at("train dreambooth-ti", done))
            method().train_subject(MUG, doomed)
    method().train_subject(MUG, workspace)
    for file in (WORDS, "dreambooth-ti.safetensors"):
        assert (workspace.folder / file).read_bytes() == (calm.folder / file).read_bytes()


def test_what_the_words_start_as_is_an_option(workspace: Workspace) -> None:
    made = method(initial="red car")
    begun = made._begin(MUG)["<one>.words"]
    assert torch.equal(begun, made.words.add("<start>", "red car")["<start>.words"])


def test_a_backbone_that_learns_no_words_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = fresh()
    monkeypatch.setattr(backbone, "words", None)
    with pytest.raises(UserError, match=r"^The backbone mini learns no words here"):
        DreamBoothTi(backbone, DreamBoothTiOptions())
