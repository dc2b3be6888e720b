"""What of a plan is there already, told without weights and without touching anything.

A run's folder is known by its manifest. What it does not say of weights goes by the names of the
method and the backbone: a dry run reads no gigabytes to learn a digest.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from sqlite3 import DatabaseError, connect
from types import SimpleNamespace
from typing import Any

from bench import registry
from bench.api import Case
from bench.features import FeatureStore
from bench.identity import file_digest
from bench.made import MANIFEST, specification_of
from bench.paths import cache
from bench.plan import Plan, specify
from bench.results import RESULT_FILE, ROWS_FILE
from bench.sources import SOURCES, Shipped
from bench.store import LEDGER, SHARDS
from bench.trainings import Training, Trainings
from bench.weights import here

CHECKPOINTS = "checkpoints"
SFT = "sft"
"""What the SFT model of a method that starts from one is called."""


@dataclass(frozen=True)
class Done:
    """What is there of a plan.

    ``folder``: its run's, None where none was found; ``images``: finished files; ``trained``:
    subjects whose training is finished there, for a corpus the method's own name and ``sft``;
    ``kept``: those of them that another run has trained just so; ``pairs``: whether those that it
    would draw are kept; ``seen``: its images that an encoder has looked at; ``scored``: whether its
    rows are there; ``foreign``: whether the folder asked for holds another run.
    """

    folder: Path | None = None
    images: frozenset[str] = frozenset()
    trained: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    pairs: bool = False
    seen: int = 0
    scored: bool = False
    foreign: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """Counts, as JSON has them."""
        return {
            "run": str(self.folder) if self.folder else None,
            "images": len(self.images),
            "trainings": len(self.trained),
            "kept_trainings": len(self.kept),
            "kept_pairs": self.pairs,
            "kept_features": self.seen,
            "scored": self.scored,
            "another_run": self.foreign,
        }


def progress_of(plan: Plan, folder: Path | None = None) -> Done:
    """What is done of a plan in its run's folder, or in that of ``runs/`` which is this plan's.

    Nothing where the folder holds another run, or none.
    """
    folder = folder or find_folder(plan)
    told = specification_of(folder) if folder else None
    if folder is None or told is None or not is_of(plan, told):
        return Done(kept=_kept(plan, None), pairs=_pairs(plan), foreign=told is not None)
    images = _images(folder / "images", plan)
    trained = _trained(folder / CHECKPOINTS, plan)
    return Done(
        folder,
        frozenset(images),
        trained,
        _kept(plan, told) - trained,
        _pairs(plan),
        _seen(images.values()),
        len(images) == len(plan.cases) and _is_scored(folder),
    )


def find_folder(plan: Plan, runs: Path = Path("runs")) -> Path | None:
    """The newest folder below ``runs/`` with a run of this plan, whatever its weights were."""
    manifests = (runs / plan.suite.key).glob(f"{plan.method}-{plan.backbone}-*/{MANIFEST}")
    stated = _stated(plan)
    return next((path.parent for path, told in _newest(manifests) if _agrees(stated, told)), None)


def is_of(plan: Plan, told: dict[str, Any]) -> bool:
    """Whether a manifest's specification is the plan's, as far as that can be said without weights.

    Files that options name are compared by their digests.
    """
    return _agrees(_stated(plan), told)


def _stated(plan: Plan) -> dict[str, Any]:
    revision = registry.load("method", plan.method).revision
    stated = specify(plan, SimpleNamespace(revision=revision, inputs={}), "", {})
    return stated.model_dump(mode="json")


def _agrees(ours: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    unknown = {"encoders", "inputs", "backbone_digest", "options"}
    if any(told.get(key) != ours[key] for key in ours.keys() - unknown):
        return False
    theirs, inputs = told.get("options", {}), told.get("inputs", {})
    return all(
        theirs[key] == value if key in theirs else _is_input(value, inputs.get(key))
        for key, value in ours["options"].items()
    )


def _newest(manifests: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Those that say anything, the newest first."""
    changed = {path: path.stat().st_mtime_ns for path in manifests}
    for path in sorted(changed, key=lambda path: changed[path], reverse=True):
        if told := _read(path.absolute().parent, changed[path]):
            yield path, told


@lru_cache(maxsize=10_000)
def _read(folder: Path, changed: int) -> dict[str, Any] | None:
    """A manifest as it was when it was last written: each of many plans looks at all of them."""
    return specification_of(folder)


def _is_input(value: Any, digest: Any) -> bool:
    """Whether a file that an option names, or the one taken where it names none, has a digest."""
    if value is None:
        return digest is not None
    path = Path(str(value))
    return path.is_file() and file_digest(path) == digest


def _is_scored(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (RESULT_FILE, ROWS_FILE))


def _images(folder: Path, plan: Plan) -> dict[str, str]:
    """Those that stand in a ledger, or in a worker's part of it, and are still there."""
    ledgers = [folder / LEDGER, *sorted((folder / SHARDS).glob("*.jsonl"))]
    listed = dict(entry for ledger in ledgers for entry in _listed(ledger))
    wanted = (case.file for case in plan.cases)
    return {file: listed[file] for file in wanted if file in listed and (folder / file).is_file()}


def _listed(ledger: Path) -> Iterator[tuple[str, str]]:
    """Files and digests; a line torn by a kill lists nothing."""
    if not ledger.is_file():
        return
    for line in ledger.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            yield entry["file"], entry["sha256"]
        except (ValueError, KeyError, TypeError):
            continue


def _seen(digests: Iterable[str]) -> int:
    """How many of these images an encoder has looked at.

    ``immutable``: SQLite puts no file beside the cache, and a cache that cannot be read has none.
    """
    path = FeatureStore().path
    try:
        with closing(connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            found = connection.execute("SELECT DISTINCT digest FROM features").fetchall()
    except DatabaseError:
        return 0
    return len(set(digests) & {digest for (digest,) in found})


def _trained(checkpoints: Path, plan: Plan) -> frozenset[str]:
    """Adapters are written when they are finished."""
    own = f"{plan.method}.safetensors"
    if registry.load("method", plan.method).scope == "subject":
        there = (subject for subject in plan.subjects if (checkpoints / subject / own).is_file())
        return frozenset(there)
    places = {SFT: checkpoints / SFT / f"{SFT}.safetensors", plan.method: checkpoints / own}
    return frozenset(name for name, place in places.items() if place.is_file())


def _kept(plan: Plan, told: dict[str, Any] | None) -> frozenset[str]:
    """Trainings that other runs have kept; none where weights are not known by now."""
    factory = registry.load("method", plan.method)
    weights = told or _sibling(plan) or _shipped(plan)
    if weights is None or factory.scope == "none":
        return frozenset()
    method = SimpleNamespace(revision=factory.revision, inputs=weights["inputs"])
    specification = specify(plan, method, weights["backbone_digest"], {})
    trainings = Trainings.here(specification)
    if factory.scope == "corpus":
        places = {plan.method: trainings.of_corpus(), **_kept_sft(factory, plan, weights)}
    else:
        places = {case.subject: trainings.of_subject(case) for case in _firsts(plan)}
    return frozenset(name for name, training in places.items() if training.place.is_dir())


def _kept_sft(factory: Any, plan: Plan, weights: Mapping[str, Any]) -> dict[str, Training]:
    """The SFT model that a method starts from, where it is one that is trained."""
    corpus = weights["inputs"].get("sft_corpus_identity")
    if corpus is None:
        return {}
    options = factory.Options.model_validate(plan.options)
    return {SFT: factory.kept_sft(options, weights["backbone_digest"], corpus, cache())}


def _sibling(plan: Plan, runs: Path = Path("runs")) -> dict[str, Any] | None:
    """What another run of the same method on the same backbone says of its weights."""
    manifests = runs.glob(f"*/{plan.method}-{plan.backbone}-*/{MANIFEST}")
    needed = {"inputs", "backbone_digest"}
    return next((told for _, told in _newest(manifests) if needed <= set(told)), None)


def _shipped(plan: Plan) -> dict[str, Any] | None:
    """Weights that come with the package are small enough to be read."""
    known = SOURCES.get(plan.backbone)
    path = here(known) if known and isinstance(known.place, Shipped) else None
    return {"inputs": {}, "backbone_digest": file_digest(path)} if path else None


def _firsts(plan: Plan) -> Sequence[Case]:
    """A case of each subject."""
    return list({case.subject: case for case in reversed(plan.cases)}.values())


def _pairs(plan: Plan) -> bool:
    """Whether a method that draws pairs says that they are kept."""
    factory = registry.load("method", plan.method)
    ask = getattr(factory, "pairs_kept", None)
    options = factory.Options.model_validate(plan.options)
    return bool(ask and ask(options, plan.backbone, cache()))
