"""Whether pairs that a training would draw are kept already, as their manifests tell."""

import json
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.identity import Json
from bench.methods.corpora import load_corpus
from bench.methods.examples import choose
from bench.methods.pair_folder import MANIFEST


def pairs_there(source: Json, options: Any, backbone: str, cache: Path) -> bool:
    """Of this source, for the triplets that options choose; ``TuningOptions``.

    Weights are known by the backbone's name alone: a run that has others draws its own.
    """
    manifests = sorted((cache / "pairs").glob(f"*/{MANIFEST}"))
    return any(_are_wanted(path, source, options, backbone) for path in manifests)


def _are_wanted(path: Path, source: Json, options: Any, backbone: str) -> bool:
    """False for a manifest that cannot be read: it is made again."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        said = told["specification"]
        alike = (told["backbone"], said["source"]) == (backbone, source)
        steps = options.steps in (None, said["sampling"][0])
        corpus = options.corpus in (None, told["corpus"])
        return alike and steps and corpus and said["indices"] == _indices(told["corpus"], options)
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return False


def _indices(corpus: str, options: Any) -> list[int]:
    count = getattr(options, "pool", None) or options.negatives
    return choose(len(load_corpus(corpus)), count, options.seed)
