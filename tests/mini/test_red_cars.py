"""The toy experiment: cars of one colour or of others, a classifier, two short trainings."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from bench.methods.backbones.mini import load
from bench.mini.training.red_cars import (
    ColourClassifier,
    Settings,
    cars,
    compare,
    run,
    train_classifier,
)

TINY = Settings(
    cars=8,
    iterations=4,
    every=2,
    samples=2,
    sampling_steps=2,
    classifier_cars=20,
    classifier_steps=1,
)


def test_red_cars_are_redder_than_the_others() -> None:
    red, other = (cars(40, one).mean(dim=(0, 2, 3)) for one in (True, False))
    assert red[0] - red[1:].mean() > 0.05 + (other[0] - other[1:].mean())


def test_cars_follow_from_their_split_and_number_alone() -> None:
    assert torch.equal(cars(3, True), cars(5, True)[:3])
    assert not torch.equal(cars(3, True), cars(3, True, "validation"))


def test_the_classifier_knows_cars_that_it_has_not_seen() -> None:
    _, accuracy = train_classifier(replace(TINY, classifier_cars=600, classifier_steps=80))
    assert accuracy > 0.7


@pytest.mark.parametrize("mode", ["sft", "sfo"])
def test_a_killed_training_ends_as_an_undisturbed_one(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    classifier = ColourClassifier().eval()

    def at(folder: str, settings: Settings) -> bytes:
        run(load(), mode, classifier, tmp_path / folder, settings)  # type: ignore[arg-type]
        state = torch.load(tmp_path / folder / mode / "state.pt", weights_only=True)
        return b"".join(value.numpy().tobytes() for value in state["weights"].values())

    whole = at("whole", TINY)
    at("killed", replace(TINY, iterations=2))
    assert at("killed", TINY) == whole


def test_a_finished_curve_comes_out_as_it_was_counted(tmp_path: Path) -> None:
    compare(tmp_path, TINY)
    counts = json.loads((tmp_path / "sft" / "counts.json").read_text())
    counts["2"] = 0.125
    (tmp_path / "sft" / "counts.json").write_text(json.dumps(counts))
    assert compare(tmp_path, TINY)["sft"][1] == 0.125


def test_both_curves_start_from_the_same_model(tmp_path: Path) -> None:
    found = compare(tmp_path, TINY)
    assert found["steps"] == [0, 2, 4]
    assert found["sft"][0] == found["sfo"][0]
    assert (tmp_path / "red-cars.json").is_file()
    with Image.open(tmp_path / "red-cars.png") as sheet:
        assert sheet.size == (2 * 66, 3 * 66)
