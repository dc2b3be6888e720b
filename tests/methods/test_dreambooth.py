"""DreamBooth end to end: a subject at a time, on the mini world and through the real classes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bench.api import Workspace
from bench.errors import UserError
from bench.methods.backbones import flux_dev, sdxl
from bench.methods.dreambooth import DreamBooth
from bench.methods.dreambooth_options import MINI_FULL_LR, OVERRIDES, DreamBoothOptions
from bench.options import resolve
from tests.methods.tiny_sdxl import save_sdxl
from tests.methods.tiny_subjects import CAR, MUG, OTHER_MUG, question, trained
from tests.methods.tiny_trainings import Killed, fresh, kill_at

TINY: Mapping[str, Any] = {
    **OVERRIDES["mini"],
    "steps": 1,
    "rank": 2,
    "iterations": 3,
    "batch": 1,
    "class_images": 2,
}


def method(**options: Any) -> DreamBooth:
    return DreamBooth(fresh(), DreamBoothOptions(**{**TINY, **options}))


def files_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("[!.]*") if path.is_file()}


def test_a_subject_is_trained_and_what_to_watch_is_logged(
    events: tuple[Workspace, list[Mapping[str, Any]]],
) -> None:
    workspace, log = events
    made = method()
    trained(made, MUG, workspace)
    json.dumps(log)
    [drawn] = [event for event in log if event["event"] == "class images"]
    assert drawn["n"] == 2
    first = next(event for event in log if event["event"] == "train dreambooth")
    expected = first["fidelity"] + made.options.prior * first["prior"]
    assert first["loss"] == pytest.approx(expected, rel=1e-6)
    kept = made.backbone.adapter_parameters("dreambooth")
    assert any(value.abs().sum() > 0 for name, value in kept.items() if ".lora_B." in name)


def test_before_its_first_step_it_is_the_plain_backbone() -> None:
    made, asked = method(token=""), question(MUG)
    made.backbone.add_adapter("dreambooth", 2, 0, "image")
    [ours] = made.generate([asked])
    [plain] = method().model.draw([asked.case.prompt], [asked.case.noise_seed], {})
    assert ours.tobytes() == plain.tobytes()


def test_subjects_of_one_class_share_images_that_are_drawn_once(workspace: Workspace) -> None:
    made = method()
    trained(made, MUG, workspace)
    [folder] = (workspace.cache / "class-images").iterdir()
    before = files_of(folder)
    assert len(before) == 3, "two images and their ledger"
    trained(made, OTHER_MUG, workspace)
    assert files_of(workspace.cache / "class-images") == before
    trained(made, CAR, workspace)
    assert len(list((workspace.cache / "class-images").iterdir())) == 2


def test_guidance_changes_what_is_drawn_and_no_class_image(workspace: Workspace) -> None:
    plain = trained(method(), MUG, workspace)
    before = files_of(workspace.cache)
    elsewhere = replace(workspace, folder=workspace.folder / "guided")
    assert trained(method(rule="cfg:3.0"), MUG, elsewhere) != plain
    assert files_of(workspace.cache) == before, "the same class images, none drawn anew"


def test_without_prior_preservation_no_class_is_drawn(workspace: Workspace) -> None:
    trained(method(prior=0.0), MUG, workspace)
    assert not (workspace.cache / "class-images").exists()


def test_subjects_are_independent_whatever_their_order(
    workspace: Workspace, tmp_path: Path
) -> None:
    back = replace(workspace, folder=tmp_path / "back", cache=tmp_path / "other-cache")
    made, other = method(), method()
    mug, car = trained(made, MUG, workspace), trained(made, CAR, workspace)
    assert trained(other, CAR, back) == car
    assert trained(other, MUG, back) == mug
    assert mug != car


def test_a_finished_subject_is_loaded_and_not_trained_again(workspace: Workspace) -> None:
    expected = trained(method(), MUG, workspace)
    before = files_of(workspace.folder)
    log: list[Mapping[str, Any]] = []
    assert trained(method(), MUG, replace(workspace, log=log.append)) == expected
    assert not log
    assert files_of(workspace.folder) == before


def test_killed_again_and_again_it_resumes_to_the_same_adapter_byte_for_byte(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(method().recipe, save_every=1)
    monkeypatch.setattr(DreamBooth, "recipe", recipe)
    calm = replace(workspace, folder=tmp_path / "calm", cache=tmp_path / "calm-cache")
    method(class_images=17).train_subject(MUG, calm)
    for title, done in (("class images", 16), ("train dreambooth", 1), ("train dreambooth", 3)):
        with pytest.raises(Killed):
            doomed = replace(workspace, progress=kill_at(title, done))
            method(class_images=17).train_subject(MUG, doomed)
    assert (workspace.folder / "dreambooth" / "state.pt").exists()
    method(class_images=17).train_subject(MUG, workspace)
    first, second = (place.folder / "dreambooth.safetensors" for place in (workspace, calm))
    assert first.read_bytes() == second.read_bytes()


def test_the_token_stands_where_the_subject_is_meant_and_not_its_class(
    workspace: Workspace,
) -> None:
    read: list[str] = []
    made = method()
    encode = made.backbone._encode_prompts

    def heard(prompts: list[str]) -> Any:
        read.extend(prompts)
        return encode(prompts)

    made.backbone._encode_prompts = heard
    called = replace(MUG, name="red mug")
    trained(made, called, workspace)
    assert set(read) == {"a photo of a sks red mug", "a photo of a mug", "a sks red mug in snow"}


@pytest.mark.parametrize(("wanted", "seen"), [("all", 2), ("given", 1)])
def test_it_trains_on_all_photographs_or_on_the_given_one(wanted: str, seen: int) -> None:
    album = method(photographs=wanted)._album(MUG)
    assert len(album.moments) == seen


@pytest.fixture(params=["flux-dev", "sdxl"])
def real(
    request: pytest.FixtureRequest,
    flux_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """A tiny backbone, loaded as its family's is from the user's own copy."""
    if request.param == "flux-dev":
        monkeypatch.setenv("SUBJECTBENCH_HOME", str(flux_home))
        return flux_dev.load(resolution=16, max_text=16)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    save_sdxl(tmp_path)
    return sdxl.load(resolution=32)


def test_it_runs_on_real_families(real: Any, workspace: Workspace) -> None:
    few = {"steps": 1, "rank": 2, "iterations": 2, "class_images": 1, "lr": 1e-3}
    made = DreamBooth(real, DreamBoothOptions(**few))
    mug, car = trained(made, MUG, workspace), trained(made, CAR, workspace)
    assert mug != car
    kept = real.adapter_parameters("dreambooth")
    assert any(value.abs().sum() > 0 for name, value in kept.items() if ".lora_B." in name)


def test_the_published_settings_are_the_defaults() -> None:
    options, flux = DreamBoothOptions(), DreamBoothOptions(**OVERRIDES["flux-dev"])
    assert (options.rank, options.iterations, options.lr, options.batch) == (4, 500, 1e-4, 1)
    assert (options.prior, options.photographs) == (1.0, "all")
    assert (flux.rank, flux.iterations, flux.lr, flux.weight_decay) == (32, 300, 1e-4, 0.0)
    assert all(DreamBoothOptions(**changed) for changed in OVERRIDES.values())


@pytest.mark.parametrize("instance", ["a photo", "a {} beside a {}", "a photo of {name}"])
def test_a_prompt_without_one_place_for_the_name_is_refused(instance: str) -> None:
    with pytest.raises(UserError, match=r"option instance=.* of dreambooth does not fit"):
        resolve("dreambooth", DreamBoothOptions, {}, {"instance": instance})


def test_a_backbone_that_nobody_trains_here_is_refused_in_one_sentence() -> None:
    other: Any = SimpleNamespace(spec=SimpleNamespace(name="editor"))
    with pytest.raises(UserError, match=r"^The backbone editor draws with a pipeline of its own"):
        DreamBooth(other, DreamBoothOptions())


def test_the_networks_own_weights_are_trained_where_that_is_asked_for(
    workspace: Workspace, tmp_path: Path
) -> None:
    """And are the plain ones again for the next subject."""
    full = {"train": "full", "full_lr": 1e-2}
    made, other = method(**full), method(**full)
    own = {name: value.clone() for name, value in made.backbone.transformer.state_dict().items()}
    mug, car = trained(made, MUG, workspace), trained(made, CAR, workspace)
    file = load_file(workspace.folder / CAR.subject.directory / "dreambooth.safetensors")
    assert file.keys() == own.keys()
    assert sum(not torch.equal(file[name], own[name]) for name in own) > 0.8 * len(own)
    assert all(
        torch.equal(value, own[name])
        for name, value in made.backbone.transformer.state_dict().items()
    )
    back = replace(workspace, folder=tmp_path / "back", cache=tmp_path / "other-cache")
    assert trained(other, CAR, back) == car
    assert trained(other, MUG, back) == mug
    assert trained(method(**full), MUG, workspace) == mug, "a finished subject is loaded"


def test_full_training_has_a_rate_of_its_own_and_leaves_other_identities_as_they_were() -> None:
    assert method(lr=1e-4).recipe.lr == 1e-4
    assert method(lr=1e-4, train="full").recipe.lr == MINI_FULL_LR
    assert method(lr=1e-4, train="full", full_lr=1e-3).recipe.lr == 1e-3
    assert DreamBooth.full_lr == 5e-6, "of diffusers' example"
    assert not {"train", "full_lr"} & DreamBoothOptions().model_dump().keys()
    assert DreamBoothOptions(train="full").identity != DreamBoothOptions().identity


def test_guidance_weakens_trained_weights(workspace: Workspace) -> None:
    """At omega 1 it is CFG."""
    full = {"train": "full", "full_lr": 1e-2}
    cfg, at_one, at_zero = (
        trained(method(**full, rule=rule), MUG, workspace)
        for rule in ("cfg:3.0", "pg:scale=3.0,omega=1", "pg:scale=3.0,omega=0")
    )
    assert cfg == at_one != at_zero
