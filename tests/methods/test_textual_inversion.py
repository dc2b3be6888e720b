"""Textual Inversion on the mini world: a word per subject, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from bench.api import Material, Workspace
from bench.errors import UserError
from bench.methods.backbones.mini import load
from bench.methods.rpo_prompts import called
from bench.methods.textual_inversion import TextualInversion, TextualInversionOptions
from bench.mini.world import render_reference, sample_identity
from bench.options import resolve
from tests.methods.tiny_subjects import CAR, MUG, question, trained
from tests.methods.tiny_trainings import Killed, fresh, kill_at

TINY: Mapping[str, Any] = {"steps": 1, "iterations": 3, "batch": 2, "lr": 0.1}
FILE = "textual-inversion.safetensors"


def method(**options: Any) -> TextualInversion:
    return TextualInversion(fresh(), TextualInversionOptions(**{**TINY, **options}))


def drawn(made: TextualInversion, prompt: str, seed: int) -> bytes:
    [image] = made.model.draw([prompt], [seed], {})
    content: bytes = image.tobytes()
    return content


def test_only_the_word_is_trained(workspace: Workspace) -> None:
    made, plain = method(), "a mug in snow"
    networks, seed = made.backbone.transformer.state_dict(), question(MUG).case.noise_seed
    before = {name: value.clone() for name, value in networks.items()}
    untouched = drawn(made, plain, seed)
    assert trained(made, MUG, workspace) != untouched
    assert drawn(made, plain, seed) == untouched
    assert all(torch.equal(value, before[name]) for name, value in networks.items())


def error(made: TextualInversion, of: Material) -> float:
    """Of photographs under their prompt, at the same noise every time."""
    loss_of = made._loss(of)
    with torch.no_grad():
        losses = [loss_of(7, torch.Generator().manual_seed(seed))[0] for seed in range(6)]
    return float(torch.stack(losses).mean())


def test_the_word_learns_its_photograph_on_the_shipped_backbone(workspace: Workspace) -> None:
    picture = Image.fromarray(render_reference(sample_identity(0, "validation", 0)))
    mug = replace(MUG, photographs={"00.png": picture})
    options = {**TINY, "batch": 4, "iterations": 12, "lr": 5e-2}
    made = TextualInversion(load(), TextualInversionOptions(**options))
    made._learn(mug)
    before = error(made, mug)
    made.train_subject(mug, workspace)
    assert error(made, mug) < before - 0.005


def test_before_its_first_step_the_word_says_what_the_class_noun_says() -> None:
    made, asked = method(), question(MUG)
    made._learn(MUG)
    read = made.backbone.encode_prompts(["a <subject> in snow", asked.case.prompt]).tokens
    assert torch.allclose(read[0], read[1], atol=1e-6)


def test_the_word_stands_in_place_of_the_name() -> None:
    assert called("a mug on a mug", "mug", "<subject>") == "a <subject> on a mug"
    assert called("a mugging", "mug", "<subject>") == "a mugging"


def test_subjects_are_independent_whatever_their_order(
    workspace: Workspace, tmp_path: Path
) -> None:
    back = replace(workspace, folder=tmp_path / "back")
    made, other = method(), method()
    mug, car = trained(made, MUG, workspace), trained(made, CAR, workspace)
    assert trained(other, CAR, back) == car
    assert trained(other, MUG, back) == mug
    assert trained(method(), MUG, workspace) == mug, "a finished subject is loaded"


def test_killed_again_and_again_it_resumes_to_the_same_word_byte_for_byte(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TextualInversion, "recipe", replace(method().recipe, save_every=1))
    calm = replace(workspace, folder=tmp_path / "calm")
    method().train_subject(MUG, calm)
    for done in (1, 2):
        with pytest.raises(Killed):
            doomed = replace(workspace, progress=kill_at("train textual-inversion", done))
            method().train_subject(MUG, doomed)
    method().train_subject(MUG, workspace)
    assert (workspace.folder / FILE).read_bytes() == (calm.folder / FILE).read_bytes()


def test_templates_follow_from_the_batch_alone_and_all_come_up() -> None:
    made = method(batch=4)
    made.templates = ("a photo of a {}", "a {}")
    batches = [made._prompts(number) for number in range(8)]
    assert made._prompts(3) == batches[3]
    assert {prompt for batch in batches for prompt in batch} == {
        "a photo of a <subject>",
        "a <subject>",
    }


def test_a_token_of_two_words_is_refused() -> None:
    with pytest.raises(UserError, match=r"option token=two words of textual-inversion does not"):
        resolve("textual-inversion", TextualInversionOptions, {}, {"token": "two words"})


def test_a_backbone_that_learns_no_words_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = fresh()
    monkeypatch.setattr(backbone, "words", None)
    with pytest.raises(UserError, match=r"^The backbone mini learns no words here"):
        TextualInversion(backbone, TextualInversionOptions())
