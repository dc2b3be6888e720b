"""What comparative methods share: where they start, what moves, what resumes, what is shared."""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.api import Question, Workspace
from bench.errors import UserError
from bench.identity import file_digest
from bench.methods import similarity, tuning
from bench.methods.pair_folder import PairFolder
from bench.methods.self_play import SelfPlay
from bench.methods.sfo import Sfo
from bench.methods.sfo_direct import SfoDirect
from bench.methods.sft_additional import SftAdditional
from bench.methods.sft_base import SftBase, SftOptions
from bench.methods.similarity import similarities
from bench.methods.tuning import Tuned
from tests.methods.tiny_trainings import (
    COMPARED,
    FAMILY,
    TINY,
    Events,
    Killed,
    fresh,
    given_adapter,
    kill_at,
    losses,
    pixels,
    tiny,
)

COMPARED_HERE = pytest.mark.parametrize("factory", COMPARED, ids=lambda factory: factory.name)
FAMILY_HERE = pytest.mark.parametrize("factory", FAMILY, ids=lambda factory: factory.name)


@COMPARED_HERE
def test_the_first_loss_of_a_comparison_is_ln_2(
    factory: type[Tuned], events: Events, tmp_path: Path
) -> None:
    workspace, log = events
    tiny(factory, given_adapter(tmp_path), iterations=1).train(workspace)
    assert losses(log, factory.name) == [pytest.approx(math.log(2), abs=1e-5)]


@FAMILY_HERE
def test_the_sft_adapter_never_moves_and_the_methods_own_does(
    factory: type[Tuned], events: Events, tmp_path: Path
) -> None:
    workspace, _ = events
    untouched = fresh()
    untouched.load_adapter("sft", given_adapter(tmp_path))
    method = tiny(factory, given_adapter(tmp_path))
    method.train(workspace)
    for path, value in untouched.adapter_parameters("sft").items():
        assert torch.equal(method.backbone.adapter_parameters("sft")[path], value)
    own = method.backbone.adapter_parameters(factory.name)
    assert any(bool(value.any()) for path, value in own.items() if ".lora_B." in path)
    for path, value in untouched.transformer.named_parameters():
        if "lora" not in path:
            ours = dict(method.backbone.transformer.named_parameters())[path]
            assert torch.equal(ours, value)


@FAMILY_HERE
def test_every_option_is_documented_and_every_override_is_valid(factory: type[Tuned]) -> None:
    assert all(field.description for field in factory.Options.model_fields.values())
    for overrides in factory.overrides.values():
        factory.Options(**overrides)
    assert factory.overrides["flux-dev"]["corpus"] == "subjects200k-2"


def test_the_papers_settings_are_the_defaults_of_all() -> None:
    for factory in FAMILY:
        options = factory.Options()
        assert (options.rank, options.iterations, options.negatives) == (16, 300, 5000)
        assert (options.optimiser, options.lr, options.d0) == ("prodigy", 1.0, 1e-6)
        assert (options.sft_rank, options.batch, options.tokens) == (4, 16, "reference")
        assert (options.timesteps, options.t_mean, options.t_std) == ("logit-normal", 0.0, 1.0)
        assert (options.tune_drop_text, options.tune_drop_image) == (0.0, 0.0)
        assert options.precision == "fp32"
    for factory in COMPARED:
        options = factory.Options()
        assert (options.beta, options.convention, options.difficulty) == (1000.0, "sfo", "all")


# --- the training ---------------------------------------------------------------------------------


def test_a_method_starts_from_the_images_of_its_sft_adapter(
    events: Events, question: Question, tmp_path: Path
) -> None:
    workspace, _ = events
    base = SftBase(fresh(), SftOptions(adapter=given_adapter(tmp_path), steps=2))
    base.train(workspace)
    assert base.inputs == {"adapter": file_digest(given_adapter(tmp_path))}
    assert not workspace.folder.exists()

    tuned = tiny(Sfo, given_adapter(tmp_path))
    tuned.train(workspace)
    assert tuned.inputs == {**base.inputs, "corpus_identity": tuned.corpus.identity}
    before = pixels(base, question)
    assert pixels(tuned, question) != before
    for path, value in tuned.backbone.adapter_parameters("sfo").items():
        if ".lora_B." in path:
            value.data.zero_()
    assert pixels(tuned, question) == before


def test_a_finished_training_is_loaded_by_a_later_process(
    events: Events, question: Question
) -> None:
    workspace, log = events
    first = Sfo(fresh(), Sfo.Options(**TINY))
    first.train(workspace)
    expected = pixels(first, question)
    files = {path: file_digest(path) for path in workspace.folder.rglob("*.safetensors")}
    assert {path.name for path in files} == {"sft.safetensors", "sfo.safetensors"}
    log.clear()
    later = Sfo(fresh(), Sfo.Options(**TINY))
    later.train(workspace)
    assert pixels(later, question) == expected
    assert not log
    assert files == {path: file_digest(path) for path in workspace.folder.rglob("*.safetensors")}


@pytest.mark.parametrize("factory", [Sfo, SfoDirect], ids=lambda factory: factory.name)
def test_a_killed_training_resumes_to_the_same_adapter_byte_for_byte(
    factory: type[Tuned], events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = events
    undisturbed = replace(workspace, folder=tmp_path / "undisturbed", cache=tmp_path / "other")
    tiny(factory, given_adapter(tmp_path)).train(undisturbed)
    recipe = tuning.Recipe
    monkeypatch.setattr(tuning, "Recipe", lambda **fields: recipe(save_every=1, **fields))
    for title, done in (("pairs", 3), (f"train {factory.name}", 2)):
        with pytest.raises(Killed):
            killed = replace(workspace, progress=kill_at(title, done))
            tiny(factory, given_adapter(tmp_path)).train(killed)
    tiny(factory, given_adapter(tmp_path)).train(workspace)
    ours, theirs = (
        space.folder / f"{factory.name}.safetensors" for space in (workspace, undisturbed)
    )
    assert ours.read_bytes() == theirs.read_bytes()


def test_what_to_watch_is_logged(events: Events, tmp_path: Path) -> None:
    workspace, log = events
    tiny(Sfo, given_adapter(tmp_path)).train(workspace)
    json.dumps(log)
    assert [event["n"] for event in log if event["event"] == "pairs"] == [3]
    first, *_, last = (event for event in log if event["event"] == "train sfo")
    assert set(first) >= {"loss", "accuracy", "delta_policy", "delta_reference"}
    assert last["step"] == 4


@pytest.mark.parametrize("factory", [Sfo, SftAdditional], ids=lambda factory: factory.name)
def test_an_adapter_in_bf16_stays_in_bf16_and_learns(
    factory: type[Tuned], events: Events, question: Question, tmp_path: Path
) -> None:
    workspace, _ = events
    method = tiny(factory, given_adapter(tmp_path), precision="bf16", d0=1e-2)
    method.train(workspace)
    own = method.backbone.adapter_parameters(factory.name)
    assert {value.dtype for value in own.values()} == {torch.bfloat16}
    assert any(bool(value.any()) for path, value in own.items() if ".lora_B." in path)
    sft = method.backbone.adapter_parameters("sft")
    assert {value.dtype for value in sft.values()} == {torch.float32}
    later = tiny(factory, given_adapter(tmp_path), precision="bf16", d0=1e-2)
    later.train(workspace)
    loaded = later.backbone.adapter_parameters(factory.name)
    assert all(torch.equal(loaded[path], value) for path, value in own.items())
    assert {value.dtype for value in loaded.values()} == {torch.bfloat16}
    assert pixels(later, question) == pixels(method, question)


QUICKEST: Mapping[str, Any] = {"iterations": 2, "batch": 1, "steps": 1}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training on the defaults, its pairs and its SFT LoRA."""
    folder = tmp_path_factory.mktemp("plain")
    workspace = Workspace(folder / "run", folder / "cache", lambda event: None)
    tiny(Sfo, given_adapter(folder), **QUICKEST).train(workspace)
    return folder


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rank", 8),
        ("tokens", "image"),
        ("beta", 10.0),
        ("convention", "diffusion-dpo"),
        ("timesteps", "uniform"),
        ("t_mean", 2.0),
        ("t_std", 0.5),
        ("tune_drop_text", 1.0),
        ("tune_drop_image", 1.0),
        ("optimiser", "adamw"),
        ("lr", 0.5),
        ("d0", 1e-4),
        ("seed", 1),
    ],
)
def test_every_option_of_the_training_makes_another_adapter_from_the_same_pairs(
    plain: Path, tmp_path: Path, option: str, value: Any
) -> None:
    shutil.copytree(plain / "cache", tmp_path / "cache")
    workspace = Workspace(tmp_path / "other", tmp_path / "cache", lambda event: None)
    tiny(Sfo, given_adapter(plain), **{**QUICKEST, option: value}).train(workspace)
    ours, theirs = (folder / "sfo.safetensors" for folder in (plain / "run", workspace.folder))
    assert file_digest(ours) != file_digest(theirs)
    pairs = list((tmp_path / "cache" / "pairs").iterdir())
    assert len(pairs) == (2 if option == "seed" else 1)


# --- the pairs ------------------------------------------------------------------------------------


def pairs_of(log: list[Mapping[str, Any]]) -> list[str]:
    return [event["folder"] for event in log if event["event"] == "pairs"]


def test_methods_that_agree_on_their_pairs_share_them(events: Events, tmp_path: Path) -> None:
    workspace, log = events
    for factory in (Sfo, SfoDirect, SelfPlay):
        space = replace(workspace, folder=tmp_path / factory.name)
        tiny(factory, given_adapter(tmp_path), iterations=1).train(space)
    sfo, direct, self_play = pairs_of(log)
    assert sfo == direct != self_play


def test_a_tercile_is_drawn_from_the_pool_and_used_alone(events: Events, tmp_path: Path) -> None:
    workspace, log = events
    options = {"pool": 9, "negatives": 3, "steps": 1}
    used: list[int] = []
    for difficulty in ("low", "mid", "high"):
        method = tiny(Sfo, given_adapter(tmp_path), difficulty=difficulty, **options)
        method.base.train(workspace)
        used += [example.index for example in method.examples(workspace)]
    (folder,) = set(pairs_of(log))
    pairs = PairFolder(workspace.cache / "pairs" / folder)
    assert len(pairs.indices) == 9 and sorted(used) == sorted(pairs.indices)
    measured = similarities(pairs, method.corpus, "mini-dino", workspace)
    alike = {one.index: one.to_target for one in measured}
    means = [sum(alike[index] for index in used[start : start + 3]) for start in (0, 3, 6)]
    assert means == sorted(means) and means[0] < means[2]


def test_all_difficulties_take_the_first_of_the_pool_and_measure_nothing(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = events
    monkeypatch.delattr(similarity, "_measure")
    method = tiny(Sfo, given_adapter(tmp_path), pool=4, steps=1)
    method.base.train(workspace)
    used = [example.index for example in method.examples(workspace)]
    assert used == method.indices(4)[:3]


def test_a_smaller_choice_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    method = tiny(Sfo, given_adapter(tmp_path))
    assert method.indices(50)[:20] == method.indices(20)
    assert len(set(method.indices(12_000))) == 12_000
    assert method.indices(20) != tiny(Sfo, given_adapter(tmp_path), seed=1).indices(20)


def test_a_pool_that_is_too_small_for_terciles_is_one_clear_sentence(
    events: Events, tmp_path: Path
) -> None:
    workspace, _ = events
    with pytest.raises(UserError, match="give the option pool=9 or more"):
        tiny(Sfo, given_adapter(tmp_path), difficulty="low", steps=1).train(workspace)


def test_a_micro_batch_that_does_not_divide_the_batch_is_one_clear_sentence() -> None:
    with pytest.raises(UserError, match=r"micro_batch=3 of sfo does not divide batch=16"):
        Sfo(fresh(), Sfo.Options(micro_batch=3))


def test_a_missing_adapter_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no adapter at .*none\.safetensors; check the option"):
        SftBase(fresh(), SftOptions(adapter=tmp_path / "none.safetensors"))
