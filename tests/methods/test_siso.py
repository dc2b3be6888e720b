"""SISO end to end: a subject at a time, on the mini world and through the real classes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import registry
from bench.api import Workspace
from bench.cost import FACTS, Extent
from bench.errors import UserError
from bench.methods import siso
from bench.methods.backbones import mini
from bench.methods.backbones.backbone import OFF
from bench.methods.iterates import open_png
from bench.methods.siso import Siso
from bench.methods.siso_options import OVERRIDES, SisoOptions
from bench.metrics.encoders import NetworkEncoder
from bench.options import resolve
from tests.methods.tiny_optimised import FAMILIES
from tests.methods.tiny_subjects import CAR, MUG, question, trained
from tests.methods.tiny_trainings import Killed, fresh, kill_at

pytest_plugins = ["tests.methods.tiny_optimised"]
TINY: Mapping[str, Any] = {
    **OVERRIDES["mini"],
    "steps": 2,
    "rank": 2,
    "iterations": 4,
    "loop_steps": 2,
    "through": 1,
}
TITLE = "optimise siso"


def method(**options: Any) -> Siso:
    return Siso(fresh(), SisoOptions(**{**TINY, **options}))


def files_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("of", [MUG, CAR], ids=["mug", "car"])
def test_on_the_mini_world_images_become_like_the_photograph(of: Any, workspace: Workspace) -> None:
    """By each of its encoders, as it is set there."""
    options = SisoOptions(**{**OVERRIDES["mini"], "iterations": 10, "steps": 1})
    trained(Siso(mini.load(), options), of, workspace)
    [told] = workspace.folder.rglob("losses.jsonl")
    seen = [json.loads(line) for line in told.read_text().splitlines()]
    best = min(seen, key=lambda line: line["loss"])
    assert best["loss"] < seen[0]["loss"] - 0.2
    assert best["dino"] > seen[0]["dino"] + 0.2


def test_what_is_drawn_before_the_first_step_is_the_plain_backbones(workspace: Workspace) -> None:
    made, asked = method(iterations=1), question(MUG)
    ours = trained(made, MUG, workspace)
    [plain] = made.model.draw([asked.case.prompt], [asked.case.noise_seed], OFF)
    assert ours == plain.tobytes()
    [simple] = replace(made.model, steps=2).draw(["a photo of a mug"], [0], OFF)
    first = open_png(workspace.folder / "mug-1" / "siso" / "000.png")
    assert first.tobytes() == simple.tobytes()


def test_an_optimised_subject_is_drawn_with_all_steps_and_its_adapter(workspace: Workspace) -> None:
    asked = question(MUG)
    made = method()
    ours = trained(made, MUG, workspace)
    [plain] = made.model.draw([asked.case.prompt], [asked.case.noise_seed], OFF)
    assert ours != plain.tobytes()
    names = {path.name for path in files_of(workspace.folder)}
    iterates = {f"{step:03d}.png" for step in range(4)}
    assert names == {*iterates, "losses.jsonl", "sheet.png", "siso.safetensors"}


def test_subjects_are_independent_whatever_their_order(
    workspace: Workspace, tmp_path: Path
) -> None:
    back = replace(workspace, folder=tmp_path / "back")
    made, other = method(), method()
    mug, car = trained(made, MUG, workspace), trained(made, CAR, workspace)
    assert trained(other, CAR, back) == car
    assert trained(other, MUG, back) == mug
    assert mug != car


@pytest.mark.parametrize("simplify", [True, False])
def test_what_is_finished_is_not_optimised_again(workspace: Workspace, simplify: bool) -> None:
    expected = trained(method(simplify=simplify), MUG, workspace)
    before = files_of(workspace.folder)
    log: list[Mapping[str, Any]] = []
    again = method(simplify=simplify)
    assert trained(again, MUG, replace(workspace, log=log.append)) == expected
    assert not log
    assert files_of(workspace.folder) == before


@pytest.mark.parametrize("simplify", [True, False])
def test_killed_again_and_again_it_ends_with_the_same_files(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simplify: bool
) -> None:
    descent = replace(method().descent, save_every=1)
    monkeypatch.setattr(Siso, "descent", descent)
    calm = replace(workspace, folder=tmp_path / "calm")
    expected = trained(method(simplify=simplify), MUG, calm)
    for done in (1, 3, 4):
        with pytest.raises(Killed):
            trained(
                method(simplify=simplify), MUG, replace(workspace, progress=kill_at(TITLE, done))
            )
        assert list(workspace.folder.rglob("state.pt"))
    assert trained(method(simplify=simplify), MUG, workspace) == expected
    assert contents(workspace.folder) == contents(calm.folder)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in files_of(folder)}


def test_without_simplification_the_answer_is_the_best_of_the_questions_own_iterates(
    workspace: Workspace,
) -> None:
    made, asked = method(simplify=False), question(MUG)
    answer = trained(made, MUG, workspace)
    folder = workspace.folder / "mug-1" / "siso" / "00-0"
    seen = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    best = min(seen, key=lambda line: line["loss"])["step"]
    assert best > 0
    assert open_png(folder / f"{best:03d}.png").tobytes() == answer
    [plain] = replace(made.model, steps=2).draw([asked.case.prompt], [asked.case.noise_seed], OFF)
    assert open_png(folder / "000.png").tobytes() == plain.tobytes()
    assert not made.backbone.adapter_parameters("siso")


def test_each_question_is_answered_by_itself(workspace: Workspace, tmp_path: Path) -> None:
    made, first = method(simplify=False, iterations=2), question(MUG)
    second = replace(first, case=replace(first.case, prompt_index=1, seed=3))
    made.train_subject(MUG, workspace)
    both = made.generate([first, second])
    other = method(simplify=False, iterations=2)
    other.train_subject(MUG, replace(workspace, folder=tmp_path / "other"))
    alone = other.generate([second])
    assert both[1].tobytes() == alone[0].tobytes() != both[0].tobytes()


@pytest.mark.parametrize(("wanted", "seen"), [("all", 2), ("given", 1)])
def test_images_are_to_be_like_the_given_photograph_or_like_all(
    workspace: Workspace, wanted: str, seen: int
) -> None:
    made = method(photographs=wanted, iterations=1)
    trained(made, MUG, workspace)
    assert [len(aim) for aim in made._likeness._aims] == [seen] * len(made.objective.eyes)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_runs_on_real_families(
    name: str,
    optimised_home: Path,
    small: NetworkEncoder,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(optimised_home))
    backbone = registry.load("backbone", name)(resolution=32)
    few = {"objective": "small", "iterations": 3, "lr": 1e-2, "patience": 3, "steps": 2}
    steps = {"loop_steps": 3, "through": 2} if name == "sana-512" else {}
    options = SisoOptions(**{**OVERRIDES.get(name, {}), **few, **steps})
    made = Siso(backbone, options)
    mug, car = trained(made, MUG, workspace), trained(made, CAR, workspace)
    assert mug != car
    for told in workspace.folder.rglob("losses.jsonl"):
        seen = [json.loads(line)["loss"] for line in told.read_text().splitlines()]
        assert min(seen) < seen[0]


def test_the_published_settings_are_the_defaults() -> None:
    options = SisoOptions()
    assert (options.rank, options.iterations, options.lr) == (4, 50, 2e-4)
    assert (options.weight_decay, options.patience, options.threshold) == (1e-2, 7, 3.0)
    assert (options.loop_steps, options.through, options.prompt) == (1, 1, "a photo of a {}")
    assert (options.objective, options.photographs) == ("dino:1,ir:1", "given")
    assert "sdxl-turbo" not in OVERRIDES
    flux, sana = (SisoOptions(**OVERRIDES[name]) for name in ("flux-schnell", "sana-512"))
    assert (flux.lr, flux.weight_decay, flux.loop_steps, flux.through) == (2e-4, 1e-4, 1, 1)
    assert (sana.lr, sana.weight_decay, sana.patience) == (8e-4, 1e-4, 5)
    assert (sana.loop_steps, sana.through) == (20, 3)
    assert all(SisoOptions(**changed) for changed in OVERRIDES.values())


@pytest.mark.parametrize(("simplify", "times"), [(True, 3), (False, 12)])
def test_a_dry_run_counts_subjects_or_questions(simplify: bool, times: int) -> None:
    options = SisoOptions(simplify=simplify, **OVERRIDES["sana-512"])
    budget = Siso.budget(options, FACTS["sana-512"], Extent(subjects=3, images=12))
    assert (budget.steps, budget.forwards) == (50 * times, 50 * 20 * times)
    assert budget.backwards == 50 * 3 * times


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"objective": "dino:0"}, "not of the form dino:1,ir:1"),
        ({"prompt": "a photo"}, r"option prompt=a photo of siso does not fit"),
        ({"through": "0"}, r"option through=0 of siso does not fit"),
    ],
)
def test_options_that_do_not_fit_are_refused(given: dict[str, str], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        resolve("siso", SisoOptions, {}, given)


def test_a_backbone_that_nobody_trains_here_is_refused_in_one_sentence() -> None:
    other: Any = SimpleNamespace(spec=SimpleNamespace(name="editor"))
    with pytest.raises(UserError, match=r"^The backbone editor draws with a pipeline of its own"):
        siso.Siso(other, SisoOptions())
