"""Examples encoded ahead: the batches are the same to the bit, and nothing is encoded twice."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.api import Workspace
from bench.errors import UserError
from bench.methods import encoded as module
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.encoded import EncodedAhead, encoded
from bench.methods.examples import Batch, Dropout, Example, Examples, OnDemand
from bench.methods.sfo import Sfo
from tests.methods.tiny_trainings import Killed, given_adapter, tiny

Events = tuple[Workspace, list[Mapping[str, Any]]]
HALF = Dropout(text=0.5, image=0.5)


def pairs_of(corpus: Any, count: int = 5) -> list[Example]:
    """Every other example has a positive of its own, all have negatives."""
    return [
        Example(
            index,
            positive=partial(corpus.plain, 60 + index) if index % 2 else None,
            negative=partial(corpus.plain, 10 + index),
        )
        for index in range(count)
    ]


def tensors(batch: Batch) -> list[Tensor]:
    assert batch.negatives is not None and batch.condition.reference is not None
    text = batch.condition.text
    return [text.tokens, text.pooled, batch.condition.reference, batch.positives, batch.negatives]


def same(one: Examples, other: Examples, size: int) -> bool:
    """Eight batches, which is more than an epoch."""
    return all(
        torch.equal(ours, theirs)
        for number in range(8)
        for ours, theirs in zip(
            tensors(one.batch(number, size)), tensors(other.batch(number, size)), strict=True
        )
    )


@pytest.mark.parametrize("size", [1, 3])
def test_batches_are_those_of_encoding_on_demand(
    backbone: FluxBackbone, size: int, colours: Callable[..., Any], workspace: Workspace
) -> None:
    corpus = colours(backbone.spec.resolution, 5)
    examples = pairs_of(corpus)
    ahead = EncodedAhead(backbone, corpus, workspace.cache)
    ahead.prepare(examples, workspace)
    demanded = Examples(OnDemand(backbone, corpus), examples, 3, HALF)
    assert same(Examples(ahead, examples, 3, HALF), demanded, size)
    assert not same(Examples(ahead, examples, 4, HALF), demanded, size)


class Features:
    """A backbone that sees references through an eye of its own, not as images."""

    def __init__(self, backbone: FluxBackbone) -> None:
        self._backbone: Any = backbone
        self.spec = replace(backbone.spec, sees_references=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def encode_references(self, images: Tensor, generators: Any) -> Tensor:
        means: Tensor = images.mean(dim=(2, 3))
        return means


def test_references_of_backbones_with_an_eye_of_their_own_are_kept_as_it_sees_them(
    mini: FluxBackbone, colours: Callable[..., Any], workspace: Workspace
) -> None:
    corpus = colours(32, 5)
    seeing: Any = Features(mini)
    examples = pairs_of(corpus)
    ahead = EncodedAhead(seeing, corpus, workspace.cache)
    ahead.prepare(examples, workspace)
    demanded = Examples(OnDemand(seeing, corpus), examples, 0, HALF)
    assert same(Examples(ahead, examples, 0, HALF), demanded, 2)
    reference = demanded.batch(0, 2).condition.reference
    assert reference is not None and reference.shape == (2, 3)


@pytest.fixture
def counted(mini: FluxBackbone, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The reds of the images that are encoded."""
    reds: list[int] = []
    moments = mini.moments

    def spy(images: Tensor) -> Tensor:
        reds.extend((images[:, 0].mean((1, 2)) * 255).round().int().tolist())
        made: Tensor = moments(images)
        return made

    monkeypatch.setattr(mini, "moments", spy)
    return reds


def test_a_killed_encoding_goes_on_where_it_was(
    mini: FluxBackbone, colours: Callable[..., Any], workspace: Workspace, counted: list[int]
) -> None:
    corpus = colours(32, 5)

    def kill(title: str, done: int, total: int) -> None:
        assert (title, total) == ("encode", 5)
        if done == 3:
            raise Killed

    examples = pairs_of(corpus)
    with pytest.raises(Killed):
        EncodedAhead(mini, corpus, workspace.cache).prepare(
            examples, replace(workspace, progress=kill)
        )
    resumed = EncodedAhead(mini, corpus, workspace.cache)
    del counted[:]
    resumed.prepare(examples, workspace)
    assert sorted(counted) == sorted([200 - 3, 100 - 3, 63, 13, 200 - 4, 100 - 4, 14])
    demanded = Examples(OnDemand(mini, corpus), examples)
    assert same(Examples(resumed, examples), demanded, 1)


def test_other_candidates_of_the_same_triplets_are_all_that_is_encoded_anew(
    mini: FluxBackbone, colours: Callable[..., Any], workspace: Workspace, counted: list[int]
) -> None:
    corpus = colours(32, 5)
    EncodedAhead(mini, corpus, workspace.cache).prepare(pairs_of(corpus), workspace)
    again = EncodedAhead(mini, corpus, workspace.cache)
    del counted[:]
    others = [Example(i, negative=partial(corpus.plain, 12 + i)) for i in range(5)]
    again.prepare(others, workspace)
    assert sorted(counted) == [15, 16]
    assert same(Examples(again, others), Examples(OnDemand(mini, corpus), others), 3)


@pytest.mark.parametrize("change", ["backbone", "corpus"])
def test_codes_of_another_backbone_or_corpus_are_not_used(
    mini: FluxBackbone,
    colours: Callable[..., Any],
    workspace: Workspace,
    counted: list[int],
    change: str,
) -> None:
    corpus = colours(32, 2)
    triplets = [Example(0), Example(1)]
    EncodedAhead(mini, corpus, workspace.cache).prepare(triplets, workspace)
    if change == "backbone":
        mini.spec = replace(mini.spec, digest="another")
    else:
        corpus.identity = "another"
    other = EncodedAhead(mini, corpus, workspace.cache)
    del counted[:]
    other.prepare(triplets, workspace)
    assert len(counted) == 4


def test_a_damaged_file_is_one_clear_sentence(
    mini: FluxBackbone, colours: Callable[..., Any], workspace: Workspace
) -> None:
    corpus = colours(32, 1)
    ahead = EncodedAhead(mini, corpus, workspace.cache)
    ahead.prepare([Example(0)], workspace)
    (file,) = workspace.cache.rglob("000000.safetensors")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"000000\.safetensors is damaged or gone; delete it"):
        Examples(ahead, [Example(0)]).batch(0, 1)


def test_what_is_said_of_the_disk_is_what_is_taken(
    mini: FluxBackbone, colours: Callable[..., Any], workspace: Workspace
) -> None:
    corpus = colours(32, 5)
    ahead = EncodedAhead(mini, corpus, workspace.cache)
    said = ahead.bytes_for(pairs_of(corpus))
    ahead.prepare(pairs_of(corpus), workspace)
    taken = sum(file.stat().st_size for file in workspace.cache.rglob("*.safetensors"))
    assert said == pytest.approx(taken, rel=0.1)
    fresh = EncodedAhead(mini, corpus, workspace.cache)
    assert fresh.bytes_for([Example(index) for index in range(5)]) == 0


class OnAccelerator:
    """Stands for a backbone on an accelerator; keeps where its encoders were sent."""

    device = torch.device("meta")

    def __init__(self, backbone: FluxBackbone) -> None:
        self._backbone, self.sent = backbone, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def encoders_to(self, device: str) -> None:
        self.sent.append(device)


def test_encoders_leave_an_accelerator_for_the_training_and_come_back(
    mini: FluxBackbone, colours: Callable[..., Any], events: Events
) -> None:
    (workspace, log), placed = events, OnAccelerator(mini)
    corpus = colours(32, 5)
    backbone: Any = placed
    with encoded(backbone, corpus, pairs_of(corpus), 1, workspace) as encoding:
        assert isinstance(encoding, EncodedAhead)
        assert placed.sent == ["cpu"]
    assert placed.sent == ["cpu", "meta"]
    with (
        pytest.raises(Killed),
        encoded(backbone, corpus, pairs_of(corpus), 1, workspace),
    ):
        raise Killed
    assert placed.sent == ["cpu", "meta"] * 2
    assert log[0] == {"event": "encode", "how": "ahead", "n": 5, "gb": pytest.approx(0, abs=1e-3)}


@pytest.mark.parametrize(
    ("seen", "most", "spare", "how"),
    [
        (6, 5, 0.0, "ahead"),
        (5, 5, 0.0, "on demand"),
        (6, 4, 0.0, "on demand"),
        (6, 5, 1e30, "on demand"),
    ],
    ids=["seen again", "seen once", "too many", "disk too small"],
)
def test_examples_are_encoded_ahead_where_it_pays_and_fits(
    mini: FluxBackbone,
    colours: Callable[..., Any],
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
    seen: int,
    most: int,
    spare: float,
    how: str,
) -> None:
    workspace, log = events
    monkeypatch.setattr(module, "MOST", most)
    monkeypatch.setattr(module, "SPARE", spare)
    corpus = colours(32, 5)
    with encoded(mini, corpus, pairs_of(corpus), seen, workspace) as encoding:
        assert isinstance(encoding, EncodedAhead) == (how == "ahead")
        batch = Examples(encoding, pairs_of(corpus)).batch if how == "on demand" else None
        assert batch is None or len(batch(0, 2).positives) == 2
    assert log[0]["how"] == how


def test_which_way_examples_are_encoded_changes_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapters = []
    for most in (0, 20_000):
        monkeypatch.setattr(module, "MOST", most)
        log: list[Mapping[str, Any]] = []
        workspace = Workspace(tmp_path / str(most), tmp_path / "cache", log.append)
        tiny(Sfo, given_adapter(tmp_path), tune_drop_text=0.5).train(workspace)
        adapters.append((workspace.folder / "sfo.safetensors").read_bytes())
        hows = [event["how"] for event in log if event["event"] == "encode"]
        assert hows == ["ahead" if most else "on demand"]
    assert adapters[0] == adapters[1]


def test_an_image_of_another_shape_is_another_candidate(
    mini: FluxBackbone, colours: Callable[..., Any], workspace: Workspace
) -> None:
    """The same bytes, but not the same image."""
    corpus = colours(32, 2)
    wide, high = Image.new("RGB", (40, 20)), Image.new("RGB", (20, 40))
    examples = [Example(0, negative=lambda: wide), Example(1, negative=lambda: high)]
    EncodedAhead(mini, corpus, workspace.cache).prepare(examples, workspace)
    assert len(list(workspace.cache.rglob("candidates/*.safetensors"))) == 2
