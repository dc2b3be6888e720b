"""SISO's edits end to end: on the mini world, and through the real classes of turbo models."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import registry
from bench.api import Case, Question, Workspace
from bench.cost import FACTS, Extent
from bench.errors import UserError
from bench.gallery import Gallery
from bench.methods import siso_edit as module
from bench.methods.backbones import mini
from bench.methods.iterates import open_png
from bench.methods.masks import MiniOutlines, change_outside
from bench.methods.sampling import to_tensor
from bench.methods.siso_edit import SisoEdit
from bench.methods.siso_edit_options import OVERRIDES, SisoEditOptions
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.regions import Mask
from bench.questions import Questions
from bench.suites import load_suite
from tests.methods.tiny_trainings import Killed, fresh, kill_at

pytest_plugins = ["tests.methods.tiny_optimised"]
TINY: Mapping[str, Any] = {
    **OVERRIDES["mini"],
    "objective": "dino:1,clip_i:0.5",
    "background": 10.0,
    "rank": 2,
    "steps": 2,
    "iterations": 3,
}
TITLE = "optimise siso-edit"


def question(subject: int = 0, prompt_index: int = 0) -> Question:
    """One of mini-edit-validation's."""
    suite = load_suite("mini-edit-validation@1")
    of = suite.subjects[subject]
    case = Case(
        suite=suite.key,
        subject=of.directory,
        prompt_index=prompt_index,
        prompt=f"a photo of a {of.class_noun}",
        name=of.class_noun,
        reference=of.references[0],
        seed=0,
    )
    return Questions(Gallery(suite))(case)


def method(workspace: Workspace, backbone: Any = None, **options: Any) -> SisoEdit:
    made = SisoEdit(backbone or fresh(), SisoEditOptions(**{**TINY, **options}))
    made.train(workspace)
    return made


def edited(made: SisoEdit, *asked: Question) -> list[bytes]:
    return [image.tobytes() for image in made.generate(asked)]


def seen(folder: Path) -> list[dict[str, float]]:
    """The figures of every iterate of the only case."""
    [told] = folder.rglob("losses.jsonl")
    return [json.loads(line) for line in told.read_text().splitlines()]


def changed(asked: Question, image: Image.Image) -> float:
    """How far the true background is from what it was."""
    source = given(asked)
    mask = MiniOutlines()(source, "")
    assert mask is not None
    return float(change_outside(mask, to_tensor([source], 32))(to_tensor([image], 32)))


def given(asked: Question) -> Image.Image:
    """What is to be edited."""
    assert asked.source
    return asked.source


def test_on_the_mini_world_the_subject_comes_and_the_background_stays(workspace: Workspace) -> None:
    asked = question()
    options = {**OVERRIDES["mini"], "iterations": 7}
    [image] = method(workspace, mini.load(), **options).generate([asked])
    figures = seen(workspace.folder)
    best = min(figures, key=lambda line: line["loss"])
    assert best["loss"] < figures[0]["loss"] - 0.3
    assert best["dino"] > figures[0]["dino"] + 0.3
    assert changed(asked, image) < 1e-3


def test_without_its_weight_the_background_is_lost(workspace: Workspace, tmp_path: Path) -> None:
    """To an encoder that likes the photograph's white around the subject."""
    asked, changes = question(), []
    options = {**OVERRIDES["mini"], "objective": "clip_i:1", "lr": 1e-2, "iterations": 5}
    for background in (30.0, 0.0):
        own = replace(workspace, folder=tmp_path / str(background))
        made = method(own, mini.load(), **{**options, "background": background, "rank": 16})
        [image] = made.generate([asked])
        changes.append(changed(asked, image))
    assert changes[0] < changes[1] / 3


def test_before_it_is_optimised_the_image_is_drawn_again(workspace: Workspace) -> None:
    asked = question()
    options = {**OVERRIDES["mini"], "strength": 0.75, "steps": 4, "iterations": 1}
    [image] = method(workspace, mini.load(), **options).generate([asked])
    difference = to_tensor([image], 32) - to_tensor([given(asked)], 32)
    assert difference.square().mean() < 1e-3


def test_the_answer_is_the_best_iterate(workspace: Workspace) -> None:
    made = method(workspace)
    [answer] = edited(made, question())
    figures = seen(workspace.folder)
    best = min(figures, key=lambda line: line["loss"])
    [path] = workspace.folder.rglob(f"{int(best['step']):03d}.png")
    assert open_png(path).tobytes() == answer
    parts = 10 * best["background"] - best["dino"] - 0.5 * best["clip_i"]
    assert best["loss"] == pytest.approx(parts, abs=1e-5)
    assert not made.backbone.adapter_parameters("siso-edit")


def test_cases_are_independent_whatever_their_order(workspace: Workspace, tmp_path: Path) -> None:
    one, other = question(0), question(1, 2)
    back = replace(workspace, folder=tmp_path / "back")
    there = edited(method(workspace), one, other)
    assert there == edited(method(back), other, one)[::-1]
    assert there[0] != there[1]


def test_what_is_finished_is_not_optimised_again(workspace: Workspace) -> None:
    expected = edited(method(workspace), question())
    log: list[Mapping[str, Any]] = []
    assert edited(method(replace(workspace, log=log.append)), question()) == expected
    assert not log


def test_killed_it_goes_on_to_the_same_image(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = replace(SisoEditOptions(**TINY).descent(1e-2), save_every=1)
    monkeypatch.setattr(SisoEditOptions, "descent", lambda self, lr: often)
    calm = replace(workspace, folder=tmp_path / "calm")
    expected = edited(method(calm), question())
    with pytest.raises(Killed):
        edited(method(replace(workspace, progress=kill_at(TITLE, 2))), question())
    assert list(workspace.folder.rglob("state.pt"))
    assert edited(method(workspace), question()) == expected
    assert not list(workspace.folder.rglob("state.pt"))


def test_where_nothing_is_found_the_log_says_so_and_the_edit_goes_on(
    workspace: Workspace, tmp_path: Path
) -> None:
    asked = replace(question(), source=Image.new("RGB", (40, 32), "white"))
    log: list[Mapping[str, Any]] = []
    answer = edited(method(replace(workspace, log=log.append)), asked)
    [told] = [event for event in log if event["event"] == "no mask"]
    assert told["image"] == asked.case.file
    assert "nothing keeps its background" in told["reason"]
    free = replace(workspace, folder=tmp_path / "free")
    assert edited(method(free, background=0.0), asked) == answer
    assert "background" not in seen(workspace.folder)[0]


class Left:
    """Stands for the detector: what is on the left is to be replaced."""

    recipe = "left"

    def __call__(self, image: Image.Image, noun: str) -> Mask:
        mask: Mask = np.zeros(image.size[::-1], np.bool_)
        mask[:, : image.width // 2] = True
        return mask


@pytest.mark.parametrize("name", ["sd-turbo", "sdxl-turbo", "flux-schnell"])
def test_it_runs_on_real_families(
    name: str,
    optimised_home: Path,
    small: NetworkEncoder,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(optimised_home))
    monkeypatch.setattr(module, "Outlines", Left)
    backbone = registry.load("backbone", name)(resolution=32)
    few = {"objective": "small", "iterations": 4, "lr": 1e-2}
    made = SisoEdit(backbone, SisoEditOptions(**{**OVERRIDES.get(name, {}), **few}))
    assert made.inputs["mask_recipe"] == "left"
    assert len(made.steps) == made.options.loop_steps == 3
    assert any(step.fresh for step in made.steps) == (name == "sdxl-turbo")
    made.train(workspace)
    [image] = made.generate([question()])
    assert image.size == (32, 32)
    figures = seen(workspace.folder)
    assert min(line["loss"] for line in figures) < figures[0]["loss"]
    assert all(line["background"] > 0 for line in figures)


def test_the_published_settings_are_the_defaults() -> None:
    options = SisoEditOptions()
    assert (options.objective, options.background) == ("dino:1,ir:1", 10.0)
    assert (options.strength, options.steps, options.through) == (0.75, 4, 1)
    assert (options.lr, options.weight_decay, options.rank) == (3e-4, 1e-2, 4)
    assert (options.iterations, options.patience, options.threshold) == (50, 7, 3.0)
    assert not OVERRIDES.keys() & {"sd-turbo", "sdxl-turbo"}


def test_a_dry_run_counts_every_case_at_its_longest() -> None:
    """50 iterations of three steps, the last of them learned from, for each of four images."""
    budget = SisoEdit.budget(SisoEditOptions(), FACTS["sana-512"], Extent(subjects=2, images=4))
    assert (budget.steps, budget.forwards, budget.backwards) == (200, 600, 200)


def test_without_a_weight_of_the_background_no_mask_is_needed(
    optimised_home: Path, small: NetworkEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(optimised_home))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(optimised_home / "hub"))
    backbone = registry.load("backbone", "sd-turbo")(resolution=32)
    free = SisoEdit(backbone, SisoEditOptions(objective="small", background=0.0))
    assert "mask_recipe" not in free.inputs
    with pytest.raises(UserError, match="bench weights fetch grounding-dino-tiny"):
        SisoEdit(backbone, SisoEditOptions(objective="small"))


def test_a_backbone_without_a_way_back_is_refused_in_one_sentence() -> None:
    other: Any = SimpleNamespace(spec=SimpleNamespace(name="sana-512"))
    with pytest.raises(UserError, match=r"^The backbone sana-512 has no way back .*choose"):
        SisoEdit(other, SisoEditOptions())


def test_a_question_without_an_image_to_be_edited_is_a_mistake(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="without an image to be edited"):
        method(workspace).generate([replace(question(), source=None)])
