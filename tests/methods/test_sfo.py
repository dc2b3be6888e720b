"""SFO and SFT-base end to end: on the mini world, and on FLUX with Subjects200K."""

import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from bench.api import Case, Progress, Question, Workspace
from bench.errors import UserError
from bench.identity import file_digest
from bench.methods import sfo as module
from bench.methods.backbones import flux_dev
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini import MiniNetworks, assemble
from bench.methods.sfo import Sfo, SfoOptions
from bench.methods.sft_base import SftBase, SftOptions

TINY: Mapping[str, Any] = {
    "steps": 2,
    "sft_iterations": 2,
    "sft_batch": 1,
    "rank": 4,
    "iterations": 4,
    "batch": 2,
    "micro_batch": 1,
    "negatives": 3,
    "d0": 1e-3,
    "generic": "a photo of a {item}",
}


def fresh() -> FluxBackbone:
    """The same random mini backbone, as a new process would load it."""
    torch.manual_seed(0)
    return assemble(MiniNetworks().eval(), "test", None)


@pytest.fixture
def question() -> Question:
    case = Case(
        suite="mini@1",
        subject="mug-01",
        prompt_index=0,
        prompt="a mug on the beach",
        name="mug",
        reference="00.png",
        seed=0,
    )
    return Question(case, Image.new("RGB", (40, 32), (180, 60, 30)))


@pytest.fixture
def events(workspace: Workspace) -> tuple[Workspace, list[Mapping[str, Any]]]:
    """A workspace and what is logged to it."""
    log: list[Mapping[str, Any]] = []
    return replace(workspace, log=log.append), log


Events = tuple[Workspace, list[Mapping[str, Any]]]


def pixels(method: Sfo | SftBase, question: Question) -> bytes:
    (image,) = method.generate([question])
    content: bytes = image.tobytes()
    return content


def test_sfo_trains_from_nothing_and_logs_what_to_watch(events: Events, question: Question) -> None:
    workspace, log = events
    method = Sfo(fresh(), SfoOptions(**TINY))
    method.train(workspace)
    json.dumps(log)
    assert [event["event"] for event in log][:1] == ["train sft"]
    (negatives,) = (event for event in log if event["event"] == "negatives")
    assert negatives["n"] == 3
    steps = [event for event in log if event["event"] == "train sfo"]
    assert set(steps[0]) >= {"loss", "accuracy", "delta_policy", "delta_reference"}
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert steps[-1]["step"] == 4
    assert {path.name for path in workspace.folder.glob("*.safetensors")} == {
        "sft.safetensors",
        "sfo.safetensors",
    }
    (image,) = method.generate([question])
    assert image.size == (32, 32)


def test_a_finished_sfo_is_loaded_by_a_later_process(events: Events, question: Question) -> None:
    workspace, log = events
    first = Sfo(fresh(), SfoOptions(**TINY))
    first.train(workspace)
    expected = pixels(first, question)
    files = {path: file_digest(path) for path in workspace.folder.rglob("*.safetensors")}
    log.clear()
    later = Sfo(fresh(), SfoOptions(**TINY))
    later.train(workspace)
    assert pixels(later, question) == expected
    assert not [event for event in log if event["event"].startswith("train")]
    assert files == {path: file_digest(path) for path in workspace.folder.rglob("*.safetensors")}


class Killed(BaseException):
    """Stands for a kill."""


def kill_at(at: str, after: int) -> Progress:
    def progress(title: str, done: int, total: int) -> None:
        if (title, done) == (at, after):
            raise Killed

    return progress


def test_a_killed_sfo_resumes_to_the_same_adapter_byte_for_byte(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = events
    undisturbed = replace(workspace, folder=tmp_path / "undisturbed", cache=tmp_path / "other")
    Sfo(fresh(), SfoOptions(**TINY)).train(undisturbed)
    recipe = module.Recipe
    monkeypatch.setattr(module, "Recipe", lambda **fields: recipe(save_every=1, **fields))
    for title, done in (("train sft", 1), ("negatives", 3), ("train sfo", 2)):
        doomed = replace(workspace, progress=kill_at(title, done))
        with pytest.raises(Killed):
            Sfo(fresh(), SfoOptions(**TINY)).train(doomed)
    Sfo(fresh(), SfoOptions(**TINY)).train(workspace)
    for name in ("sft.safetensors", "sfo.safetensors"):
        ours, theirs = workspace.folder / name, undisturbed.folder / name
        assert ours.read_bytes() == theirs.read_bytes()


def test_sfo_leaves_the_sft_adapter_as_it_is_and_starts_from_its_images(
    events: Events, question: Question, tmp_path: Path, add_trained: Callable[..., None]
) -> None:
    workspace, _ = events
    donor = fresh()
    add_trained(donor, "sft", rank=4)
    donor.save_adapter("sft", adapter := tmp_path / "given.safetensors")
    given = {**TINY, "adapter": adapter}

    base = SftBase(fresh(), SftOptions(adapter=adapter, steps=2))
    base.train(workspace)
    assert base.inputs == {"adapter": file_digest(adapter)}
    assert not workspace.folder.exists()

    tuned = Sfo(backbone := fresh(), SfoOptions(**given))
    tuned.train(workspace)
    assert tuned.inputs == {**base.inputs, "corpus_identity": tuned.corpus.identity}
    for path, value in donor.adapter_parameters("sft").items():
        assert torch.equal(backbone.adapter_parameters("sft")[path], value)
    before = pixels(base, question)
    assert pixels(tuned, question) != before
    for path, value in backbone.adapter_parameters("sfo").items():
        if ".lora_B." in path:
            value.data.zero_()
    assert pixels(tuned, question) == before


def test_negatives_are_shared_by_runs_that_differ_in_training_alone(
    events: Events, tmp_path: Path
) -> None:
    workspace, log = events
    for number, beta in enumerate((1000.0, 500.0)):
        options = SfoOptions(**TINY, beta=beta, adapter=_adapter(tmp_path))
        Sfo(fresh(), options).train(replace(workspace, folder=tmp_path / str(number)))
    folders = {event["folder"] for event in log if event["event"] == "negatives"}
    assert len(folders) == 1


def _adapter(tmp_path: Path) -> Path:
    path = tmp_path / "given.safetensors"
    if not path.exists():
        donor = fresh()
        donor.add_adapter("sft", 4, seed=0)
        donor.save_adapter("sft", path)
    return path


def test_the_papers_settings_are_the_defaults() -> None:
    options = SfoOptions()
    assert (options.rank, options.beta, options.iterations) == (16, 1000.0, 300)
    assert (options.blur, options.generic, options.negatives) == (5.0, "a photo of {item}", 5000)
    assert (options.optimiser, options.lr, options.d0) == ("prodigy", 1.0, 1e-6)
    assert (options.sft_rank, options.batch) == (4, 16)


def test_every_option_and_every_override_is_documented_and_valid() -> None:
    for factory in (SftBase, Sfo):
        assert all(field.description for field in factory.Options.model_fields.values())
        for overrides in factory.overrides.values():
            factory.Options(**overrides)
    assert Sfo.overrides["flux-dev"]["corpus"] == "subjects200k-2"


def test_a_missing_adapter_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no adapter at .*none\.safetensors; check the option"):
        SftBase(fresh(), SftOptions(adapter=tmp_path / "none.safetensors"))


def test_a_micro_batch_that_does_not_divide_the_batch_is_one_clear_sentence() -> None:
    with pytest.raises(UserError, match=r"micro_batch=3 of sfo does not divide batch=16"):
        Sfo(fresh(), SfoOptions(micro_batch=3))


def test_sfo_runs_on_flux_dev_with_subjects200k(
    flux_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    events: Events,
    question: Question,
) -> None:
    (tmp_path / "weights").symlink_to(flux_home / "weights")
    write_subjects(tmp_path / "data" / "subjects200k" / "train-00000.parquet")
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    workspace, log = events
    backbone = flux_dev.load(resolution=16, max_text=16)
    method = Sfo(backbone, SfoOptions(**{**TINY, **Sfo.overrides["flux-dev"]}))
    method.train(workspace)
    losses = [event["loss"] for event in log if event["event"] == "train sfo"]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    (image,) = method.generate([question])
    assert image.size == (16, 16)


def write_subjects(path: Path) -> None:
    """Four good pairs of the second collection."""
    rows = []
    for level in (40, 90, 140, 190):
        image = Image.new("RGB", (1056, 528), (level, 80, 20))
        image.paste((255, 255, 255), (528, 0, 1056, 528))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        description = {
            "item": f"mug {level}",
            "description_0": "this item in a forest",
            "description_1": "this item in a studio",
            "description_valid": True,
        }
        quality = {"compositeStructure": 5, "objectConsistency": 5, "imageQuality": 5}
        rows.append(
            {
                "image": {"bytes": buffer.getvalue(), "path": None},
                "collection": "collection_2",
                "quality_assessment": quality,
                "description": description,
            }
        )
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
