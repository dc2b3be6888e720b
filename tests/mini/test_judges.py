"""The mini world's judges: what they are shown in training, and what the shipped ones can do."""

from math import dist, log
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from bench.mini.training import judges, reader
from bench.mini.training.data import Corpus, build_corpus
from bench.mini.training.stages import save_half
from bench.mini.weights import weights_file
from bench.mini.world import PALETTE, sample_identity

FEW = 64


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small_world(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training on a few subjects instead of twelve thousand."""
    for module, name in ((judges, "BATCH"), (reader, "BATCH")):
        monkeypatch.setattr(module, name, 32)
    for name in ("SUBJECTS", "TWINS"):
        monkeypatch.setattr(judges, name, FEW)


@pytest.mark.usefixtures("small_world")
@pytest.mark.parametrize("name", ["dino", "clip", "attributes"])
def test_a_judge_trains_and_its_averaged_weights_can_be_shipped(
    name: str, cache: Path, tmp_path: Path
) -> None:
    module = reader if name == "attributes" else judges
    found = getattr(module, f"train_{name}")(tmp_path / name, cache, steps=2)
    save_half(found, tmp_path / "weights.safetensors")
    shipped = load_file(weights_file(f"mini-{name}"))
    stored = load_file(tmp_path / "weights.safetensors")
    assert {n: (t.shape, t.dtype) for n, t in stored.items()} == {
        n: (t.shape, t.dtype) for n, t in shipped.items()
    }


@pytest.mark.usefixtures("small_world")
def test_a_finished_training_is_not_done_again(cache: Path, tmp_path: Path) -> None:
    first = judges.train_dino(tmp_path, cache, steps=2)
    states = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("state.pt")}
    again = judges.train_dino(tmp_path, cache, steps=2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert len(states) == 2
    assert states == {path: path.stat().st_mtime_ns for path in states}


def test_contrast_is_the_cross_entropy_of_the_partner_among_all_others() -> None:
    known = F.one_hot(torch.tensor([0, 0, 1, 1]), 2).float()
    rest = 2 * np.exp(-1 / judges.TEMPERATURE)
    assert judges.contrast(known).item() == pytest.approx(log(1 + rest), abs=1e-6)
    alike = torch.ones(6, 1)
    assert judges.contrast(alike).item() == pytest.approx(log(5), abs=1e-5)


def test_a_twin_differs_in_pattern_or_emblem_alone() -> None:
    changed = []
    for index in range(32):
        own, other = vars(sample_identity(0, "train", index)), vars(judges.twin(index))
        different = [field for field in own if own[field] != other[field]]
        assert len(different) == 1
        changed += different
    assert set(changed) == set(judges.FINE)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return build_corpus(5, "validation", 80, 4)


def test_recolours_are_read_from_the_prompts(corpus: Corpus) -> None:
    found = judges.recolours(corpus)
    for prompts, colours in zip(corpus.prompts, found, strict=True):
        for prompt, colour in zip(prompts, colours, strict=True):
            assert prompt.startswith(f"a {colour} {{}} " if colour else "a {} ")
    assert 0.1 < (found != "").mean() < 0.3


def test_a_pattern_counts_as_hidden_only_where_the_new_colour_is_close_to_the_second() -> None:
    one = sample_identity(0, "validation", 0)
    colours = np.array([["", *PALETTE]])
    shown = reader.readable([one], colours)[0]
    far = [dist(rgb, one.second) > reader.READABLE_CONTRAST for rgb in PALETTE.values()]
    assert shown.tolist() == [True, *far]
    assert not all(far)


def test_the_prompts_that_are_judged_name_the_class(corpus: Corpus) -> None:
    for prompts, kind in zip(judges.full_prompts(corpus), corpus.kinds, strict=True):
        assert all(kind in prompt.split() and "{}" not in prompt for prompt in prompts)


def test_the_shipped_mini_dino_sees_identity(cache: Path) -> None:
    found = judges.evaluate_dino(load_file(weights_file("mini-dino")), cache)
    assert found["retrieval@1"] >= 0.95
    assert found["same_subject"] > 0.8 > 0.3 > found["same_class"]
    for attribute in judges.ATTRIBUTES:
        assert found[f"other_{attribute}"] < found["same_subject"] - 0.1, attribute


def test_the_shipped_mini_clip_sees_scenes(cache: Path) -> None:
    assert judges.evaluate_clip(load_file(weights_file("mini-clip")), cache)["r@1"] >= 0.6


def test_the_shipped_attribute_reader_reads_patterns_and_emblems(cache: Path) -> None:
    found = reader.evaluate_attributes(load_file(weights_file("mini-attributes")), cache)
    assert min(found["pattern"], found["emblem"]) >= 0.9
    assert min(found["pattern_reference"], found["emblem_reference"]) >= 0.9
    assert found["hidden_patterns"] < 0.1
