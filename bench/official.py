"""Suites of which nothing may be shipped, read from the official download that the user made."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bench import pictures
from bench.documents import MALFORMED, json_of
from bench.errors import UserError
from bench.identity import file_digest
from bench.references import image_folder, is_file_of
from bench.suites import NotHere, load_suite

PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".webp"}
DESCRIPTIONS = {".json", ".txt"}
STORE = "benchmark_dataset"
"""The folder of photographs in a checkout of CustomConcept101."""


class Concept(NamedTuple):
    """A subject as its authors describe it."""

    directory: str
    noun: str
    live: bool
    prompts: tuple[str, ...]
    photographs: tuple[Path, ...]


def is_wanted(name: str) -> bool:
    """Whether an archive's member is needed, by its name."""
    return PurePosixPath(name).suffix.lower() in PHOTOGRAPHS | DESCRIPTIONS


def read(name: str, folder: Path) -> list[Concept]:
    """The concepts in an official download. UserError where one is incomplete."""
    try:
        concepts = READERS[name](folder)
    except MALFORMED as error:
        raise UserError(
            f"The official download in {folder} cannot be read ({type(error).__name__}: {error}); "
            "nothing was added: get it again."
        ) from error
    bare = [concept.directory for concept in concepts if not concept.photographs]
    if bare:
        raise UserError(
            f"There are no photographs of {', '.join(bare[:3])}{', ...' if bare[3:] else ''} in "
            f"{folder}; nothing was added: unpack the archive of photographs there too."
        )
    return concepts


def write(concepts: list[Concept], folder: Path) -> None:
    """Tables of subjects, prompts and images as a suite has them, and the photographs beside them.

    Photographs are numbered in their order. Unreadable for one that is no image.
    """
    subjects = ["directory\tclass_noun\tdescriptive_name\tlive"]
    prompts, images = ["directory\ttemplate"], ["path\tsha256\tbytes"]
    for concept in concepts:
        subjects.append(f"{concept.directory}\t{concept.noun}\t{concept.noun}\t{concept.live:d}")
        prompts += [f"{concept.directory}\t{prompt}" for prompt in concept.prompts]
        (folder / concept.directory).mkdir(parents=True)
        for index, photograph in enumerate(concept.photographs):
            pictures.describe(photograph)
            kept = folder / concept.directory / f"{index:02d}"
            shutil.copyfile(photograph, kept)
            path = f"{concept.directory}/{kept.name}"
            images.append(f"{path}\t{file_digest(kept)}\t{kept.stat().st_size}")
    for table, lines in (("subjects", subjects), ("prompts", prompts), ("images", images)):
        (folder / f"{table}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _customconcept101(folder: Path) -> list[Concept]:
    """adobe-research/custom-diffusion, customconcept101/, benchmark_dataset.zip unpacked in it."""
    listed = _first(folder.rglob("dataset.json"), folder, "dataset.json")
    root = listed.parent
    rows = json_of(listed)
    return [
        Concept(
            directory=_safe(Path(row["instance_data_dir"]).name),
            noun=row["class_prompt"],
            live=Path(row["instance_data_dir"]).name.startswith("pet_"),
            prompts=_lines(root / "prompts" / Path(row["prompt_filename"]).name),
            photographs=_photographs(root, row["instance_data_dir"]),
        )
        for row in rows
    ]


def _customconcept101_multi(folder: Path) -> list[Concept]:
    """The same checkout: a subject for every pair of concepts that are asked for together.

    Without photographs in it they are taken from the suite of single concepts, if it is here.
    """
    listed = _first(folder.rglob("dataset_multiconcept.json"), folder, "dataset_multiconcept.json")
    rows = json_of(listed)
    added = {} if (listed.parent / STORE).is_dir() else _added("customconcept101@1")
    return [_pair(listed.parent, added, *row) for row in rows]


def _pair(
    root: Path,
    added: dict[str, tuple[Path, ...]],
    first: dict[str, str],
    second: dict[str, str],
    composed: dict[str, str],
) -> Concept:
    """Both nouns are put into the prompts here, since a template has room for one name."""
    nouns = first["class_prompt"], second["class_prompt"]
    places = [Path(concept["instance_data_dir"]).name for concept in (first, second)]
    templates = _lines(root / "prompts" / Path(composed["prompt_filename_compose"]).name)
    photographs = [_photographs(root, place) or added.get(place, ()) for place in places]
    return Concept(
        directory="+".join(map(_safe, places)),
        noun=" and ".join(nouns),
        live=any(place.startswith("pet_") for place in places),
        prompts=tuple(_escaped(_composed(template, nouns)) for template in templates),
        photographs=() if () in photographs else (*photographs[0], *photographs[1]),
    )


def _composed(template: str, nouns: tuple[str, str]) -> str:
    """Both nouns in their places; nothing else that ``str.format`` knows is obeyed."""
    if not re.fullmatch(r"([^{}]|\{\{|\}\}|\{[0-9]?\})*", template):
        raise ValueError(f"'{template[:80]}' has braces that are no place of a concept")
    return template.format(*nouns)


def _escaped(text: str) -> str:
    """The template that becomes this text whatever the name is."""
    return text.replace("{", "{{").replace("}", "}}")


def _added(key: str) -> dict[str, tuple[Path, ...]]:
    """Concept to its photographs, in a suite that was added before and is unaltered."""
    with suppress(NotHere):
        suite = load_suite(key)
        files = [(image_folder(suite) / image.path, image.sha256) for image in suite.images]
        if all(file.is_file() and is_file_of(digest, file) for file, digest in files):
            concepts = groupby((file for file, _ in files), key=lambda file: file.parent.name)
            return {concept: tuple(photographs) for concept, photographs in concepts}
    return {}


def _photographs(root: Path, stated: str) -> tuple[Path, ...]:
    folder = root / STORE / Path(stated).name
    found = sorted(folder.glob("*")) if folder.is_dir() else []
    return tuple(path for path in found if path.suffix.lower() in PHOTOGRAPHS)


def _dreambench_plus(folder: Path) -> list[Concept]:
    """data.zip of the hub: a caption file of the same path or stem for every image."""
    captions = {_key(path): path for path in sorted(folder.rglob("*.txt"))}
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOGRAPHS)
    paired = [(path, captions[_key(path)]) for path in images if _key(path) in captions]
    return [_captioned(image, caption) for image, caption in paired]


def _captioned(image: Path, caption: Path) -> Concept:
    noun, *prompts = _lines(caption)
    category = "_".join(_key(image)[:-1]) or image.parent.name
    return Concept(
        directory=_safe(f"{category}_{image.stem}"),
        noun=noun,
        live="live" in category.split("_"),
        prompts=tuple(prompts),
        photographs=(image,),
    )


def _key(path: Path) -> tuple[str, ...]:
    """The path below ``images`` or ``captions`` without suffix, or the stem alone."""
    parts = path.with_suffix("").parts
    marks = [i for i, part in enumerate(parts) if part in ("images", "captions")]
    return parts[marks[-1] + 1 :] if marks else parts[-1:]


def _first(found: Iterator[Path], folder: Path, name: str) -> Path:
    for path in sorted(found):
        return path
    raise UserError(f"There is no {name} in {folder}; name the official download.")


def _safe(name: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name)
    return kept or "_"


def _lines(path: Path) -> tuple[str, ...]:
    """A prompt per line; blank ends are nobody's intention."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(" ".join(line.split()) for line in lines if line.strip())


READERS: dict[str, Callable[[Path], list[Concept]]] = {
    "customconcept101": _customconcept101,
    "customconcept101-multi": _customconcept101_multi,
    "dreambench-plus": _dreambench_plus,
}
