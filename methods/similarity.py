"""How alike the candidates of pairs are to their targets and references, measured once and kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from bench import registry
from bench.api import Encoder, Workspace
from bench.identity import identity
from bench.methods.corpora import Corpus
from bench.methods.pair_folder import PairFolder
from bench.store import in_turn, write_atomically

BATCH = 32


@dataclass(frozen=True)
class Similarity:
    """Cosines of one candidate in [-1, 1]: to the triplet's target, and to its reference."""

    index: int
    draw: int
    to_target: float
    to_reference: float


def similarities(
    pairs: PairFolder, corpus: Corpus, judge: str, workspace: Workspace
) -> list[Similarity]:
    """One for every candidate, by triplet and draw, in the eyes of the encoder ``judge``."""
    encoder: Encoder = registry.load("encoder", judge)()
    path = pairs.folder / f"similarity-{judge}.json"
    with in_turn(pairs.folder, workspace.progress):
        of = {"recipe": encoder.recipe, "images": identity(pairs.images.digests)}
        if (kept := _kept(path, of)) is not None:
            return kept
        measured = _measure(pairs, corpus, encoder, workspace)
        document = {**of, "candidates": [asdict(one) for one in measured]}
        write_atomically(path, json.dumps(document) + "\n")
    return measured


def _kept(path: Path, of: dict[str, str]) -> list[Similarity] | None:
    """None where they are of another recipe or other images, or cannot be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if any(document[key] != value for key, value in of.items()):
            return None
        return [Similarity(**one) for one in document["candidates"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measure(
    pairs: PairFolder, corpus: Corpus, encoder: Encoder, workspace: Workspace
) -> list[Similarity]:
    found = []
    for start in range(0, len(pairs.indices), BATCH):
        indices = pairs.indices[start : start + BATCH]
        triplets = [corpus[index] for index in indices]
        targets = _directions(encoder, [triplet.target for triplet in triplets])
        references = _directions(encoder, [triplet.reference for triplet in triplets])
        for number in range(pairs.draws):
            drawn = _directions(encoder, [pairs.opener(index, number)() for index in indices])
            cosines = zip((drawn * targets).sum(1), (drawn * references).sum(1), strict=True)
            found += [
                Similarity(index, number, float(target), float(reference))
                for index, (target, reference) in zip(indices, cosines, strict=True)
            ]
        workspace.progress("similarity", start + len(indices), len(pairs.indices))
    place = {index: position for position, index in enumerate(pairs.indices)}
    return sorted(found, key=lambda one: (place[one.index], one.draw))


def _directions(encoder: Encoder, images: Sequence[Image]) -> NDArray[np.float64]:
    features = encoder.encode_images([encoder.prepare(image.convert("RGB")) for image in images])
    directions: NDArray[np.float64] = features.astype(np.float64)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)
