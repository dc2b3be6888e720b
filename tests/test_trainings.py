"""Finished trainings are shared by the runs that would train the very same, and by no other."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.api import Case
from bench.plan import Request, Specification, make_plan
from bench.run import execute
from bench.trainings import Trainings

CASE = Case(
    suite="mini@1",
    subject="mug-1",
    prompt_index=0,
    prompt="a mug",
    name="mug",
    reference="00.png",
    seed=0,
)
STATED = Specification(
    suite="mini@1",
    suite_identity="suite",
    protocol="headline@1",
    protocol_identity="protocol",
    encoders={},
    metrics={},
    method="dreambooth",
    method_revision=1,
    options={"lr": 1e-3, "rule": "cfg:3.0"},
    inputs={},
    backbone="mini",
    backbone_digest="weights",
    subjects=("mug-1",),
    seeds=1,
)


def shelf(folder: Path, stated: Specification = STATED) -> Trainings:
    return Trainings(folder / "cache", stated, frozenset({"rule"}))


def trained(folder: Path) -> Path:
    made = folder / "first"
    (made / "lora").mkdir(parents=True)
    (made / "lora.safetensors").write_text("weights")
    (made / "lora" / "state.pt").write_text("a checkpoint")
    return made


def test_a_run_of_another_guidance_or_protocol_finds_the_training(tmp_path: Path) -> None:
    shelf(tmp_path).keep(CASE, trained(tmp_path))
    other = STATED.model_copy(
        update={"options": {"lr": 1e-3, "rule": "pg:scale=3.0"}, "protocol_identity": "another"}
    )
    shelf(tmp_path, other).borrow(CASE, into := tmp_path / "second")
    assert (into / "lora.safetensors").read_text() == "weights"


def test_checkpoints_of_an_unfinished_training_are_not_kept(tmp_path: Path) -> None:
    shelf(tmp_path).keep(CASE, trained(tmp_path))
    shelf(tmp_path).borrow(CASE, into := tmp_path / "second")
    assert [path.name for path in into.rglob("*") if path.is_file()] == ["lora.safetensors"]


@pytest.mark.parametrize(
    "change",
    [
        {"method_revision": 2},
        {"options": {"lr": 2e-3, "rule": "cfg:3.0"}},
        {"inputs": {"adapter": "another"}},
        {"backbone_digest": "another"},
        {"suite_identity": "another"},
    ],
)
def test_whatever_a_training_follows_from_tells_it_apart(
    tmp_path: Path, change: dict[str, object]
) -> None:
    shelf(tmp_path).keep(CASE, trained(tmp_path))
    shelf(tmp_path, STATED.model_copy(update=change)).borrow(CASE, into := tmp_path / "second")
    assert not into.exists()


@pytest.mark.parametrize("change", [{"subject": "mug-2"}, {"name": "cup"}, {"reference": "01.png"}])
def test_another_subject_name_or_photograph_is_another_training(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    shelf(tmp_path).keep(CASE, trained(tmp_path))
    shelf(tmp_path).borrow(replace(CASE, **change), into := tmp_path / "second")
    assert not into.exists()


def test_what_a_run_has_begun_is_left_to_it(tmp_path: Path) -> None:
    shelf(tmp_path).keep(CASE, trained(tmp_path))
    begun = tmp_path / "second"
    begun.mkdir()
    shelf(tmp_path).borrow(CASE, begun)
    assert list(begun.iterdir()) == []


def test_a_damaged_training_is_thrown_away_and_kept_anew(tmp_path: Path) -> None:
    made = trained(tmp_path)
    shelf(tmp_path).keep(CASE, made)
    [kept] = (tmp_path / "cache").rglob("lora.safetensors")
    kept.unlink()
    kept.write_text("weig")
    shelf(tmp_path).borrow(CASE, into := tmp_path / "second")
    assert not into.exists()
    shelf(tmp_path).keep(CASE, made)
    shelf(tmp_path).borrow(CASE, into)
    assert (into / "lora.safetensors").read_text() == "weights"


@pytest.mark.parametrize("left", ["", '{"lora.safetensors": "ab', "{}"])
def test_a_list_of_digests_that_is_damaged_is_no_error(tmp_path: Path, left: str) -> None:
    shelf(tmp_path).keep(CASE, trained(tmp_path))
    [digests] = (tmp_path / "cache").rglob("digests.json")
    digests.write_text(left)
    shelf(tmp_path).borrow(CASE, into := tmp_path / "second")
    assert not into.exists()


def test_a_runs_folder_outlives_what_is_kept(tmp_path: Path) -> None:
    shelf(tmp_path).keep(CASE, trained(tmp_path))
    shelf(tmp_path).borrow(CASE, into := tmp_path / "second")
    for path in (tmp_path / "cache").rglob("lora.safetensors"):
        path.unlink()
    assert (into / "lora.safetensors").read_text() == "weights"


def run(folder: Path, guidance: str) -> tuple[Path, list[str]]:
    options = {"iterations": "1", "prior": "0"}
    request = Request(
        method="dreambooth", suite="mini", limit_subjects=1, guidance=guidance, options=options
    )
    done, _ = execute(make_plan(request), folder)
    events = [json.loads(line)["event"] for line in (done / "log.jsonl").read_text().splitlines()]
    return done, events


def test_two_rules_of_guidance_are_drawn_from_one_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    first, trained_once = run(tmp_path / "first", "cfg:3")
    second, nothing_trained = run(tmp_path / "second", "pg:scale=3,omega=0.5")
    assert "train dreambooth" in trained_once
    assert "train dreambooth" not in nothing_trained
    one, other = (
        folder / "checkpoints" / "mug-000" / "dreambooth.safetensors" for folder in (first, second)
    )
    assert one.read_bytes() == other.read_bytes()
