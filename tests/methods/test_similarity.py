"""How alike candidates are, in the eyes of an encoder; measured once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import registry
from bench.api import Workspace
from bench.methods import similarity
from bench.methods.pair_folder import MANIFEST, PairFolder, file_of
from bench.methods.similarity import similarities
from bench.store import ImageStore

JUDGE = "mini-dino"
INDICES = [3, 0, 5]


def kept(folder: Path, images: dict[tuple[int, int], Image.Image], draws: int) -> PairFolder:
    """A finished folder of these candidates."""
    ImageStore(folder).put_all({file_of(*place): image for place, image in images.items()})
    items = [{"index": index} for index in INDICES]
    manifest = {"draws": draws, "items": items}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return PairFolder(folder)


@pytest.fixture
def corpus(colours: Callable[..., Any]) -> Any:
    return colours(32, 9)


@pytest.fixture
def pairs(tmp_path: Path, corpus: Any) -> PairFolder:
    """The target itself is candidate 0, the reference candidate 1."""
    images = {(index, 0): corpus[index].target for index in INDICES}
    images |= {(index, 1): corpus[index].reference for index in INDICES}
    return kept(tmp_path / "pairs", images, draws=2)


def test_a_candidate_is_measured_against_target_and_reference(
    pairs: PairFolder, corpus: Any, workspace: Workspace
) -> None:
    found = similarities(pairs, corpus, JUDGE, workspace)
    assert [(one.index, one.draw) for one in found] == [(i, n) for i in INDICES for n in (0, 1)]
    for target, reference in zip(found[::2], found[1::2], strict=True):
        assert target.to_target == pytest.approx(1.0, abs=1e-6)
        assert reference.to_reference == pytest.approx(1.0, abs=1e-6)
        assert target.to_reference == pytest.approx(reference.to_target, abs=1e-6)


def test_the_figure_is_the_cosine_of_the_encoders_features(
    pairs: PairFolder, corpus: Any, workspace: Workspace
) -> None:
    encoder = registry.load("encoder", JUDGE)()
    triplet = corpus[INDICES[0]]
    images = [encoder.prepare(image) for image in (triplet.target, triplet.reference)]
    a, b = encoder.encode_images(images).astype(np.float64)
    expected = a @ b / np.sqrt((a @ a) * (b @ b))
    found = similarities(pairs, corpus, JUDGE, workspace)[0]
    assert found.to_reference == pytest.approx(float(expected), abs=1e-5)
    assert found.to_reference < 0.9999


def test_a_small_batch_measures_the_same(
    pairs: PairFolder,
    corpus: Any,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = similarities(pairs, corpus, JUDGE, workspace)
    (pairs.folder / f"similarity-{JUDGE}.json").unlink()
    monkeypatch.setattr(similarity, "BATCH", 1)
    single = similarities(pairs, corpus, JUDGE, workspace)
    assert [(one.index, one.draw) for one in single] == [(one.index, one.draw) for one in whole]
    for ours, theirs in zip(single, whole, strict=True):
        assert ours.to_target == pytest.approx(theirs.to_target, abs=1e-5)


def test_what_was_measured_is_kept(pairs: PairFolder, corpus: Any, workspace: Workspace) -> None:
    first = similarities(pairs, corpus, JUDGE, workspace)
    path = pairs.folder / f"similarity-{JUDGE}.json"
    document = json.loads(path.read_text())
    document["candidates"][0]["to_target"] = 0.25
    path.write_text(json.dumps(document))
    assert similarities(pairs, corpus, JUDGE, workspace)[0].to_target == 0.25 != first[0].to_target


@pytest.mark.parametrize("spoil", ["recipe", "images", "torn", "other fields"])
def test_what_is_of_another_recipe_or_other_images_or_torn_is_measured_again(
    pairs: PairFolder, corpus: Any, workspace: Workspace, spoil: str
) -> None:
    first = similarities(pairs, corpus, JUDGE, workspace)
    path = pairs.folder / f"similarity-{JUDGE}.json"
    document = json.loads(path.read_text())
    document["candidates"][0]["to_target"] = 0.25
    if spoil == "other fields":
        document["candidates"][0]["to_nothing"] = 0.25
    elif spoil != "torn":
        document[spoil] = "another"
    text = json.dumps(document)
    path.write_text(text[:-20] if spoil == "torn" else text)
    assert similarities(pairs, corpus, JUDGE, workspace) == first
