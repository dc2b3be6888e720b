"""Pairs as data: candidates drawn once, in a folder with a manifest that any method may use."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL.Image import Image

from bench.api import Workspace
from bench.documents import MALFORMED, json_of
from bench.errors import UserError
from bench.identity import Json, identity, seed_of
from bench.methods.backbones.backbone import Backbone, Weights
from bench.methods.corpora import Corpus
from bench.methods.examples import Opener
from bench.methods.pairs import PairSource
from bench.methods.sampling import draw
from bench.store import ImageStore, in_turn, write_atomically

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Sampler:
    """How candidates are drawn: with which adapters, in how many steps, at what guidance."""

    weights: Weights
    adapters_digest: str
    steps: int
    guidance: float
    batch: int


class PairFolder:
    """The candidates of some triplets of a corpus: ``<index>-<draw>.png`` and their manifest."""

    def __init__(self, folder: Path) -> None:
        """UserError when there is no whole manifest."""
        self.folder = folder
        try:
            self.manifest: dict[str, Any] = json_of(folder / MANIFEST)
            self.indices: list[int] = [item["index"] for item in self.manifest["items"]]
            self.draws: int = self.manifest["draws"]
        except MALFORMED as error:
            raise UserError(
                f"{folder} holds no finished pairs; run the method that makes them again."
            ) from error
        self.images = ImageStore(folder)

    def opener(self, index: int, number: int) -> Opener:
        """What opens a candidate, RGB. UserError when it cannot be read."""
        return partial(self._open, file_of(index, number))

    def _open(self, file: str) -> Image:
        try:
            return self.images.open(file)
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(
                f"{self.images.path(file)} cannot be read ({error}); run the method that makes "
                "these pairs again, which finds and draws it anew."
            ) from error


def file_of(index: int, number: int) -> str:
    """The file of a triplet's candidate."""
    return f"{index:06d}-{number}.png"


def make_pairs(
    backbone: Backbone,
    corpus: Corpus,
    corpus_name: str,
    indices: Sequence[int],
    source: PairSource,
    sampler: Sampler,
    workspace: Workspace,
) -> PairFolder:
    """The candidates of each triplet named, drawn once, kept by identity, reused by later runs.

    ``corpus_name``: what ``load_corpus`` finds the corpus by, for those who look at the pairs.
    """
    specification = {
        "backbone": backbone.spec.digest,
        "adapters": [dict(sampler.weights), sampler.adapters_digest],
        "corpus": corpus.identity,
        "source": source.specification(),
        "sampling": [sampler.steps, sampler.guidance, sampler.batch],
        "indices": list(indices),
    }
    folder = workspace.cache / "pairs" / identity(specification)[:16]
    with in_turn(folder, workspace.progress):
        drawn = _draw_all(backbone, corpus, indices, source, sampler, folder, workspace)
        if drawn or not _is_whole(folder):
            manifest = {
                "schema_version": 1,
                "corpus": corpus_name,
                "backbone": backbone.spec.name,
                "judge": backbone.spec.judge,
                "draws": source.draws,
                "specification": specification,
                "items": _items(corpus, indices, source, ImageStore(folder)),
            }
            write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    workspace.log({"event": "pairs", "folder": folder.name, "n": len(indices)})
    return PairFolder(folder)


def _draw_all(
    backbone: Backbone,
    corpus: Corpus,
    indices: Sequence[int],
    source: PairSource,
    sampler: Sampler,
    folder: Path,
    workspace: Workspace,
) -> bool:
    """In fixed groups: a group is drawn whole, so that resuming changes no image.

    True when anything had to be drawn.
    """
    store = ImageStore(folder)
    store.verify()
    kept = len(store.digests)
    wanted = [(index, number) for index in indices for number in range(source.draws)]
    for start in range(0, len(wanted), sampler.batch):
        group = wanted[start : start + sampler.batch]
        files = [file_of(*candidate) for candidate in group]
        if not store.has_all(files):
            asked = [source.condition(index, corpus[index]) for index, _ in group]
            prompts, references = zip(*asked, strict=True)
            seeds = [seed_of_candidate(*candidate) for candidate in group]
            how = (sampler.weights, sampler.steps, sampler.guidance)
            images = draw(backbone, prompts, references, seeds, *how)
            store.put_all(dict(zip(files, images, strict=True)))
        workspace.progress("pairs", start + len(group), len(wanted))
    return len(store.digests) > kept


def _is_whole(folder: Path) -> bool:
    """Also False for a manifest that cannot be read: it is written again."""
    try:
        PairFolder(folder)
    except UserError:
        return False
    return True


def seed_of_candidate(index: int, number: int) -> int:
    """A candidate's noise follows from its triplet and its number alone."""
    return seed_of("negative", index) if number == 0 else seed_of("negative", index, number)


def _items(
    corpus: Corpus, indices: Sequence[int], source: PairSource, store: ImageStore
) -> list[dict[str, Json]]:
    """A line per triplet."""
    items: list[dict[str, Json]] = []
    for index in indices:
        triplet = corpus[index]
        files = [file_of(index, number) for number in range(source.draws)]
        items.append(
            {
                "index": index,
                "prompt": triplet.prompt,
                "drawn_from": source.condition(index, triplet)[0],
                "seeds": [seed_of_candidate(index, n) for n in range(source.draws)],
                "sha256": [store.digests[file] for file in files],
            }
        )
    return items
