"""Finished trainings are shared by the runs that would train the very same, and by no other."""

import json
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench.api import Case
from bench.plan import Request, Specification, make_plan
from bench.run import execute
from bench.stamp import code_of
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
    shelf(tmp_path).of_subject(CASE).keep(trained(tmp_path))
    other = STATED.model_copy(
        update={"options": {"lr": 1e-3, "rule": "pg:scale=3.0"}, "protocol_identity": "another"}
    )
    shelf(tmp_path, other).of_subject(CASE).borrow(into := tmp_path / "second")
    assert (into / "lora.safetensors").read_text() == "weights"


def test_checkpoints_of_an_unfinished_training_are_not_kept(tmp_path: Path) -> None:
    shelf(tmp_path).of_subject(CASE).keep(trained(tmp_path))
    shelf(tmp_path).of_subject(CASE).borrow(into := tmp_path / "second")
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
    shelf(tmp_path).of_subject(CASE).keep(trained(tmp_path))
    shelf(tmp_path, STATED.model_copy(update=change)).of_subject(CASE).borrow(
        into := tmp_path / "second"
    )
    assert not into.exists()


@pytest.mark.parametrize("change", [{"subject": "mug-2"}, {"name": "cup"}, {"reference": "01.png"}])
def test_another_subject_name_or_photograph_is_another_training(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    shelf(tmp_path).of_subject(CASE).keep(trained(tmp_path))
    shelf(tmp_path).of_subject(replace(CASE, **change)).borrow(into := tmp_path / "second")
    assert not into.exists()


def test_a_method_whose_file_changed_is_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)

    def code() -> str:
        monkeypatch.delitem(sys.modules, "own_method", raising=False)
        return code_of(import_module("own_method").Own)

    (tmp_path / "own_method.py").write_text("class Own:\n    rate = 1\n")
    first, again = code(), code()
    (tmp_path / "own_method.py").write_text("class Own:\n    rate = 2\n")
    second = code()
    assert first == again != second
    replace(shelf(tmp_path), code=first).of_corpus().keep(trained(tmp_path))
    replace(shelf(tmp_path), code=second).of_corpus().borrow(into := tmp_path / "second")
    assert not into.exists()
    replace(shelf(tmp_path), code=again).of_corpus().borrow(into)
    assert into.exists()


def test_what_a_run_has_begun_is_left_to_it(tmp_path: Path) -> None:
    shelf(tmp_path).of_subject(CASE).keep(trained(tmp_path))
    begun = tmp_path / "second"
    begun.mkdir()
    shelf(tmp_path).of_subject(CASE).borrow(begun)
    assert list(begun.iterdir()) == []


def test_a_damaged_training_is_thrown_away_and_kept_anew(tmp_path: Path) -> None:
    made = trained(tmp_path)
    shelf(tmp_path).of_subject(CASE).keep(made)
    [kept] = (tmp_path / "cache").rglob("lora.safetensors")
    kept.unlink()
    kept.write_text("weig")
    shelf(tmp_path).of_subject(CASE).borrow(into := tmp_path / "second")
    assert not into.exists()
    shelf(tmp_path).of_subject(CASE).keep(made)
    shelf(tmp_path).of_subject(CASE).borrow(into)
    assert (into / "lora.safetensors").read_text() == "weights"


@pytest.mark.parametrize("left", ["", '{"lora.safetensors": "ab', "{}"])
def test_a_list_of_digests_that_is_damaged_is_no_error(tmp_path: Path, left: str) -> None:
    shelf(tmp_path).of_subject(CASE).keep(trained(tmp_path))
    [digests] = (tmp_path / "cache").rglob("digests.json")
    digests.write_text(left)
    shelf(tmp_path).of_subject(CASE).borrow(into := tmp_path / "second")
    assert not into.exists()


def test_a_runs_folder_outlives_what_is_kept(tmp_path: Path) -> None:
    shelf(tmp_path).of_subject(CASE).keep(trained(tmp_path))
    shelf(tmp_path).of_subject(CASE).borrow(into := tmp_path / "second")
    for path in (tmp_path / "cache").rglob("lora.safetensors"):
        path.unlink()
    assert (into / "lora.safetensors").read_text() == "weights"


FEW = {"iterations": "1", "negatives": "4", "steps": "2"}
SFT = {"retrain": "true", "sft_iterations": "1", "sft_batch": "2", "sft_micro_batch": "1"}


def run(
    folder: Path,
    method: str,
    options: dict[str, str],
    suite: str = "mini",
    guidance: str | None = None,
) -> tuple[Path, set[str]]:
    """Its checkpoints, and what its log tells."""
    request = Request(
        method=method, suite=suite, limit_subjects=1, guidance=guidance, options=options
    )
    done, _ = execute(make_plan(request), folder)
    events = {json.loads(line)["event"] for line in (done / "log.jsonl").read_text().splitlines()}
    return done / "checkpoints", events


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    return tmp_path


def test_two_rules_of_guidance_are_drawn_from_one_training(home: Path) -> None:
    options = {"iterations": "1", "prior": "0"}
    first, trained_once = run(home / "first", "dreambooth", options, guidance="cfg:3")
    rule = "pg:scale=3,omega=0.5"
    second, nothing_trained = run(home / "second", "dreambooth", options, guidance=rule)
    assert "train dreambooth" in trained_once
    assert "train dreambooth" not in nothing_trained
    one, other = (made / "mug-000" / "dreambooth.safetensors" for made in (first, second))
    assert one.read_bytes() == other.read_bytes()


def test_two_suites_are_answered_from_one_training_on_a_corpus(home: Path) -> None:
    first, trained_once = run(home / "first", "sfo", FEW)
    second, nothing_trained = run(home / "second", "sfo", FEW, suite="mini-validation")
    assert {"train sfo", "pairs"} <= trained_once
    assert not {"train sfo", "pairs"} & nothing_trained
    one, other = (made / "sfo.safetensors" for made in (first, second))
    assert one.read_bytes() == other.read_bytes()


def test_two_methods_start_from_one_training_of_the_sft_model(home: Path) -> None:
    first, trained_once = run(home / "first", "sft-additional", {**FEW, **SFT})
    second, only_its_own = run(home / "second", "sfo", {**FEW, **SFT})
    third, again = run(home / "third", "sft-base", {**SFT, "steps": "2", "seed": "1"})
    assert "train sft" in trained_once and "train sft" in again
    assert "train sft" not in only_its_own and "train sfo" in only_its_own
    one, other, seed = (m / "sft" / "sft.safetensors" for m in (first, second, third))
    assert one.read_bytes() == other.read_bytes() != seed.read_bytes()
