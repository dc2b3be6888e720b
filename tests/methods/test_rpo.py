"""RPO end to end: a subject at a time, on the mini world and on FLUX through the real classes."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.api import Case, Material, Progress, Question, Subject, Workspace
from bench.errors import UserError
from bench.identity import file_digest
from bench.methods.backbones import flux_dev, sdxl
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini import MiniNetworks, assemble
from bench.methods.rpo import Rpo
from bench.methods.rpo_options import OVERRIDES, RpoOptions
from bench.options import resolve
from tests.methods.tiny_sdxl import save_sdxl
from tests.networks import picture
from tests.tiny_align import save_align

TINY: Mapping[str, Any] = {
    **OVERRIDES["mini"],
    "steps": 1,
    "rank": 2,
    "iterations": 5,
    "batch": 1,
    "validate_every": 2,
}


SHORT = {**TINY, "iterations": 1}
"""For what shows after one step."""
FEW = ("a {} in a forest by day", "a {} at sea by day")


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scenes tell what eight would, sooner."""
    for built_in in ("SCENES", "MINI_SCENES"):
        monkeypatch.setattr(f"bench.methods.rpo_prompts.{built_in}", FEW)


def fresh() -> FluxBackbone:
    """The same random mini backbone, as a new process would load it."""
    torch.manual_seed(0)
    return assemble(MiniNetworks().eval(), "test", None)


def material(directory: str, name: str = "mug") -> Material:
    subject = Subject(
        directory=directory,
        class_noun=name,
        descriptive_name=name,
        live=False,
        references=("00.png", "01.png"),
    )
    photographs = {
        file: picture((40, 32), seed=len(directory) + k)
        for k, file in enumerate(subject.references)
    }
    return Material(subject, name, photographs, given="00.png")


MUG, CAR = material("mug-1"), material("car-02", "car")


def question(of: Material) -> Question:
    case = Case(
        suite="mini@1",
        subject=of.subject.directory,
        prompt_index=0,
        prompt=f"a {of.name} in snow",
        name=of.name,
        reference=of.given,
        seed=0,
    )
    return Question(case, of.photographs[of.given])


def own(workspace: Workspace, of: Material) -> Workspace:
    return replace(workspace, folder=workspace.folder / of.subject.directory)


def drawn(method: Rpo, of: Material) -> bytes:
    [image] = method.generate([question(of)])
    content: bytes = image.tobytes()
    return content


def trained(method: Rpo, of: Material, workspace: Workspace) -> bytes:
    """The subject's image after its training."""
    method.train_subject(of, own(workspace, of))
    return drawn(method, of)


class Killed(BaseException):
    """Stands for a kill."""


def kill_at(at: str, after: int) -> Progress:
    def progress(title: str, done: int, total: int) -> None:
        if (title, done) == (at, after):
            raise Killed

    return progress


def test_a_subject_is_trained_and_what_to_watch_is_logged(workspace: Workspace) -> None:
    log: list[Mapping[str, Any]] = []
    method = Rpo(fresh(), RpoOptions(**TINY))
    trained(method, MUG, replace(workspace, log=log.append))
    json.dumps(log)
    [labels] = [event for event in log if event["event"] == "labels"]
    assert labels["n"] == 2 and 0.2 < labels["photographs"] < 0.8
    steps = [event for event in log if event["event"] == "train rpo"]
    assert steps[0]["preference"] == pytest.approx(math.log(2), abs=1e-6)
    assert steps[0]["loss"] == pytest.approx(steps[0]["fidelity"] + math.log(2), rel=1e-6)
    validations = [event for event in log if event["event"] == "validation"]
    assert [event["step"] for event in validations] == [2, 4, 5]
    assert all(0 < event["reward"] < 1 for event in validations)


def test_the_best_validated_step_is_what_is_drawn_with(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = iter([0.2, 0.9, 0.4])
    states: list[dict[str, torch.Tensor]] = []
    backbone = fresh()

    def validate(training: Any) -> float:
        weights = backbone.adapter_parameters("rpo")
        states.append({name: value.detach().clone() for name, value in weights.items()})
        return next(script)

    monkeypatch.setattr("bench.methods.rpo_training.SubjectTraining.validate", validate)
    method = Rpo(backbone, RpoOptions(**TINY))
    method.train_subject(MUG, own(workspace, MUG))
    kept = backbone.adapter_parameters("rpo")
    assert all(torch.equal(kept[name], value) for name, value in states[1].items())
    assert not all(torch.equal(kept[name], value) for name, value in states[2].items())


def test_subjects_are_independent_whatever_their_order(
    workspace: Workspace, tmp_path: Path
) -> None:
    options, back = RpoOptions(**SHORT), replace(workspace, folder=tmp_path / "back")
    method = Rpo(fresh(), options)
    mug, car = trained(method, MUG, workspace), trained(method, CAR, workspace)
    other = Rpo(fresh(), options)
    assert trained(other, CAR, back) == car
    assert trained(other, MUG, back) == mug
    assert mug != car


def test_a_finished_subject_is_loaded_and_not_trained_again(workspace: Workspace) -> None:
    expected = trained(Rpo(fresh(), RpoOptions(**SHORT)), MUG, workspace)
    files = {path: path.stat().st_mtime_ns for path in workspace.folder.rglob("*")}
    log: list[Mapping[str, Any]] = []
    later = Rpo(fresh(), RpoOptions(**SHORT))
    assert trained(later, MUG, replace(workspace, log=log.append)) == expected
    assert not log
    assert files == {path: path.stat().st_mtime_ns for path in workspace.folder.rglob("*")}


@pytest.fixture
def undisturbed(workspace: Workspace, tmp_path: Path) -> bytes:
    """The adapter of a training that nothing came between."""
    place = replace(workspace, folder=tmp_path / "undisturbed")
    Rpo(fresh(), RpoOptions(**TINY)).train_subject(MUG, place)
    return (place.folder / "rpo.safetensors").read_bytes()


def test_killed_again_and_again_it_resumes_to_the_same_adapter_byte_for_byte(
    workspace: Workspace, undisturbed: bytes
) -> None:
    for title, done in (("scenes", 1), ("train rpo", 1), ("train rpo", 3), ("train rpo", 5)):
        doomed = replace(workspace, progress=kill_at(title, done))
        with pytest.raises(Killed):
            Rpo(fresh(), RpoOptions(**TINY)).train_subject(MUG, doomed)
    Rpo(fresh(), RpoOptions(**TINY)).train_subject(MUG, workspace)
    assert (workspace.folder / "rpo.safetensors").read_bytes() == undisturbed


def test_killed_between_a_checkpoint_and_its_validation_it_loses_neither(
    workspace: Workspace, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(training: Any) -> float:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("bench.methods.rpo_training.SubjectTraining.validate", kill)
        Rpo(fresh(), RpoOptions(**TINY)).train_subject(MUG, workspace)
    assert (workspace.folder / "rpo" / "state.pt").exists()
    Rpo(fresh(), RpoOptions(**TINY)).train_subject(MUG, workspace)
    worths = json.loads((workspace.folder / "rpo" / "validations.json").read_text())
    assert list(worths) == ["2", "4", "5"]
    assert (workspace.folder / "rpo.safetensors").read_bytes() == undisturbed


def test_the_network_reads_the_token_and_what_validates_does_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    judged: list[str] = []

    def heard(ear: list[str], listener: Callable[[list[str]], Any]) -> Callable[[list[str]], Any]:
        def listen(texts: list[str]) -> Any:
            ear.extend(texts)
            return listener(texts)

        return listen

    backbone = fresh()
    backbone._encode_prompts = heard(read, backbone._encode_prompts)
    method = Rpo(backbone, RpoOptions(**{**SHORT, "token": "[V]"}))
    monkeypatch.setattr(method.reader, "encode_texts", heard(judged, method.reader.encode_texts))
    trained(method, MUG, workspace)
    assert read and all("[V] mug" in prompt for prompt in read)
    assert "a photo of a [V] mug" in read and "a [V] mug in snow" in read
    labelling, validating = judged[:4], judged[4:]
    assert all("[V] mug" in text for text in labelling)
    assert validating == [scene.format("mug") for scene in FEW]


def test_a_training_that_comes_to_no_number_is_one_clear_sentence(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.methods.rpo_training.SubjectTraining.validate", lambda training: math.nan
    )
    with pytest.raises(UserError, match=r"training of mug-1 came to no number; remove .*rpo and"):
        Rpo(fresh(), RpoOptions(**SHORT)).train_subject(MUG, workspace)


def test_an_adapter_taken_away_leaves_the_backbone_as_it_was() -> None:
    backbone, untouched = fresh(), fresh()
    backbone.add_adapter("rpo", 2, 0, "image")
    first = {n: v.detach().clone() for n, v in backbone.adapter_parameters("rpo").items()}
    for value in backbone.adapter_parameters("rpo").values():
        value.data.fill_(1.0)
    backbone.remove_adapter("rpo")
    base = Rpo(untouched, RpoOptions(**TINY)).model
    ours = Rpo(backbone, RpoOptions(**TINY)).model
    assert ours.draw(["a mug"], [0], {})[0].tobytes() == base.draw(["a mug"], [0], {})[0].tobytes()
    with pytest.raises(ValueError, match="no such adapter on the backbone: rpo"):
        backbone.remove_adapter("rpo")
    backbone.add_adapter("rpo", 2, 0, "image")
    again = backbone.adapter_parameters("rpo")
    assert all(torch.equal(again[name], value) for name, value in first.items())


@pytest.fixture(params=["flux-dev", "sdxl"])
def real(
    request: pytest.FixtureRequest,
    flux_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """A tiny backbone, loaded as its family's is from the user's own copy; ALIGN lies beside it."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    save_align(tmp_path / "weights" / "align-base")
    if request.param == "sdxl":
        save_sdxl(tmp_path)
        return sdxl.load(resolution=32)
    (tmp_path / "weights" / "flux-dev").symlink_to(flux_home / "weights" / "flux-dev")
    return flux_dev.load(resolution=16, max_text=16)


def test_it_runs_on_real_families_with_align_from_the_users_copies(
    real: Any, workspace: Workspace
) -> None:
    few = {"steps": 1, "rank": 2, "iterations": 2, "validation_images": 1, "images": 1, "lr": 1e-3}
    method = Rpo(real, RpoOptions(**few))
    for of in (MUG, CAR):
        method.train_subject(of, own(workspace, of))
    [image] = method.generate([question(CAR)])
    assert image.size == (real.spec.resolution,) * 2
    kept = real.adapter_parameters("rpo")
    assert any(value.abs().sum() > 0 for name, value in kept.items() if ".lora_B." in name)


def test_judges_and_a_file_of_scenes_are_part_of_what_images_follow_from(tmp_path: Path) -> None:
    file = tmp_path / "scenes.txt"
    file.write_text("a {} at dawn\n")
    method = Rpo(fresh(), RpoOptions(**{**TINY, "prompts": file, "looker": "mini-dino"}))
    assert method.inputs["prompts"] == file_digest(file)
    assert method.inputs["judge_recipe"] == method.reader.recipe
    assert method.inputs["looker_recipe"] == method.looker.recipe != method.reader.recipe
    assert method.templates == ["a {} at dawn"]


def test_align_that_is_not_here_is_said_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UserError, match="bench weights fetch align-base"):
        Rpo(fresh(), RpoOptions())


def test_the_published_settings_are_the_defaults_and_overrides_are_valid() -> None:
    options = RpoOptions()
    assert (options.rank, options.iterations, options.lr, options.batch) == (32, 1000, 1e-5, 1)
    assert (options.lambda_train, options.lambda_val, options.beta) == (0.0, 0.5, 1.0)
    assert (options.token, options.judge) == ("[V]", "align-base")
    sd21 = RpoOptions(**OVERRIDES["sd21"])
    assert (sd21.lr, sd21.iterations) == (5e-6, 400)
    assert RpoOptions(**OVERRIDES["mini"]).token == ""
    assert all(field.description for field in RpoOptions.model_fields.values())


@pytest.mark.parametrize("instance", ["a photo", "a {} beside a {}", "a photo of {name}"])
def test_a_prompt_of_photographs_without_one_place_for_the_name_is_refused(instance: str) -> None:
    with pytest.raises(UserError, match=r"option instance=.* of rpo does not fit"):
        resolve("rpo", RpoOptions, {}, {"instance": instance})


def test_a_backbone_that_nobody_trains_here_is_refused_in_one_sentence() -> None:
    other: Any = SimpleNamespace(spec=SimpleNamespace(name="editor"))
    with pytest.raises(UserError, match=r"^The backbone editor draws with a pipeline of its own"):
        Rpo(other, RpoOptions())
