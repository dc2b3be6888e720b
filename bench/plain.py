"""Two plain folders held against each other, for those who come with no suite in mind."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from bench import registry
from bench.api import Case, Precision, Progress, silent
from bench.claims import SUFFIXES
from bench.errors import UserError
from bench.gallery import Picture
from bench.identity import file_digest
from bench.pictures import read
from bench.protocols import Protocol
from bench.results import Aggregate
from bench.score import aggregates, score, select
from bench.sitting import Answer, Sitting

BLOCKS = 20
"""Parts that images without subjects are put into, to tell how sure a number about them is."""

Pictures = Mapping[str, Picture]
"""Images of a folder by their path inside it."""


def compare_folders(
    real: Path,
    fake: Path,
    metrics: Sequence[str],
    precision: Precision = "fp32",
    progress: Progress = silent,
) -> dict[str, Aggregate]:
    """Metrics of sets over two folders, and metrics of pairs over their files of equal names.

    Sub-folders count. A metric is ``name`` or ``name:encoder``. For the interval of a metric of
    sets, both folders are dealt into ``BLOCKS`` parts by the images' digests, and one part after
    the other is left out. UserError for metrics that need a suite, and for folders that are empty
    or, for pairs, do not hold the same names.
    """
    kinds = {name: _kind(name) for name in metrics}
    photographed, generated = _pictures(real), _pictures(fake)
    found: dict[str, Aggregate] = {}
    for kind, dealt in (("set", _in_blocks), ("pair", _in_pairs)):
        names = [name for name in metrics if kinds[name] == kind]
        if names:
            used = select(_protocol(), names, precision, "all" if kind == "set" else "input")
            sitting = dealt(photographed, generated, used, (real, fake))
            found |= aggregates(score(sitting, progress), sitting)
    return {spec.key: found[spec.key] for spec in select(_protocol(), metrics).metrics}


def _kind(name: str) -> str:
    metric = registry.load("metric", name.partition(":")[0])
    if metric.kind == "image" or (metric.kind == "pair" and metric.others != "references"):
        raise UserError(
            f"'{metric.name}' needs subjects and prompts, which two plain folders do not have; "
            "score with '--images DIR --suite NAME' instead."
        )
    kind: str = metric.kind
    return kind


def _pictures(folder: Path) -> Pictures:
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; name one that holds images.")
    paths = [path for path in sorted(folder.rglob("[!.]*")) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise UserError(f"{folder} holds no images ({', '.join(sorted(SUFFIXES))}).")
    return {
        path.relative_to(folder).as_posix(): Picture(file_digest(path), partial(read, path))
        for path in paths
    }


def _in_blocks(
    real: Pictures, fake: Pictures, used: Protocol, folders: tuple[Path, Path]
) -> Sitting:
    blocks = min(BLOCKS, len(real), len(fake))
    counted = _dealt(real, blocks)
    answers = [
        Answer(_case(block, number, ""), picture)
        for block, pictures in _dealt(fake, blocks).items()
        for number, picture in enumerate(pictures.values())
    ]
    return Sitting(answers, counted.__getitem__, used)


def _in_pairs(
    real: Pictures, fake: Pictures, used: Protocol, folders: tuple[Path, Path]
) -> Sitting:
    partners = {Path(name).with_suffix("").as_posix(): name for name in real}
    images = {Path(name).with_suffix("").as_posix(): name for name in fake}
    if partners.keys() != images.keys():
        odd = sorted(partners.keys() ^ images.keys())
        raise UserError(
            f"Metrics of pairs need equal file names in {folders[0]} and {folders[1]}, but "
            f"{len(odd)} stand in one alone ({', '.join(odd[:3])}); rename or leave them out."
        )
    answers = [Answer(_case(stem, 0, partners[stem]), fake[name]) for stem, name in images.items()]
    return Sitting(answers, lambda stem: {partners[stem]: real[partners[stem]]}, used)


def _dealt(pictures: Pictures, blocks: int) -> dict[str, Pictures]:
    """Parts of nearly one size, whatever the images are called."""
    ordered = sorted(pictures.items(), key=lambda item: (item[1].digest, item[0]))
    return {f"block {n:02d}": dict(ordered[n::blocks]) for n in range(blocks)}


def _case(subject: str, number: int, reference: str) -> Case:
    return Case(
        suite="plain@1",
        subject=subject,
        prompt_index=number,
        prompt="",
        name="",
        reference=reference,
        seed=0,
    )


def _protocol() -> Protocol:
    """No questions, no metrics: those that are asked for are added."""
    return Protocol(
        suite="plain@1",
        name="plain",
        version=1,
        description="Two folders of images.",
        name_in_prompt="class_noun",
        seeds=1,
        input_references={},
        metrics=(),
        mini_weights=False,
    )
