"""Suites of one's own, made of a folder: a directory of photographs per subject, and prompts.

They are kept in ``home()/suites/``, frozen like those that ship, and known by their names from then
on. The protocols that each is given ship in ``datasets/own/``.
"""

import json
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.documents import MALFORMED, text_of
from bench.errors import UserError
from bench.official import PHOTOGRAPHS, Concept, write
from bench.paths import datasets_folder, home, own_suites
from bench.suites import Suite, freeze, load_suite

PROMPTS = "prompts.txt"
PROMPTS_BYTES = 4 << 20
NAME = r"[a-z0-9][a-z0-9-]*"
_TEMPLATE = r"[^{}]*(\{\}[^{}]*)?"
_STATED = """\
title = {title}
source = "files"
default_backbone = "flux-dev"
headline = "headline"
licence = "your own"
citation = "none"
"""


def make(name: str, folder: Path) -> Suite:
    """Freeze a folder as the suite ``name@1``; a subject is called what its directory is.

    UserError, and nothing made, for a name that is taken and for a folder without subjects,
    photographs or prompts.
    """
    _demand_free(name)
    concepts = _concepts(folder)
    home().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home(), prefix=".own-") as place:
        specified, images = Path(place) / name / "1", Path(place) / "images"
        write(concepts, images)
        specified.mkdir(parents=True)
        for table in images.glob("*.tsv"):
            table.rename(specified / table.name)
        title = json.dumps(f"{name}: {len(concepts)} subjects of one's own")
        (specified / "suite.toml").write_text(_STATED.format(title=title), encoding="utf-8")
        shutil.copytree(datasets_folder() / "own" / "protocols", specified / "protocols")
        freeze(specified)
        _put(images, home() / "data" / name)
        _put(specified.parent, own_suites() / name)
    return load_suite(f"{name}@1")


def _demand_free(name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise UserError(f"'{name}' is no name of a suite; use small letters, digits and hyphens.")
    places = (datasets_folder() / name, own_suites() / name, home() / "data" / name)
    if taken := next((place for place in places if place.exists()), None):
        raise UserError(
            f"There is a suite '{name}' already ({taken}), and suites are frozen; choose another "
            "name."
        )


def _concepts(folder: Path) -> list[Concept]:
    prompts = _prompts(folder / PROMPTS)
    directories = sorted(path for path in folder.iterdir() if path.is_dir())
    concepts = [_concept(directory, prompts) for directory in directories]
    if bare := [concept.directory for concept in concepts if not concept.photographs]:
        raise UserError(f"There are no images in {folder / bare[0]}; add some, or remove it.")
    if not concepts:
        raise UserError(f"{folder} has no directory with images; make one for every subject.")
    return concepts


def _concept(directory: Path, prompts: tuple[str, ...]) -> Concept:
    if not re.fullmatch(r"[\w-]+", directory.name):
        raise UserError(
            f"{directory} cannot be a subject's directory; name it with letters, digits, hyphens "
            "and underscores only."
        )
    noun = re.sub(r"[_-]+", " ", directory.name).strip()
    found = (path for path in sorted(directory.iterdir()) if path.suffix.lower() in PHOTOGRAPHS)
    return Concept(directory.name, noun, False, prompts, tuple(found))


def _prompts(file: Path) -> tuple[str, ...]:
    if not file.is_file():
        raise UserError(f"There are no prompts at {file}; write one in every line.")
    try:
        text = text_of(file, PROMPTS_BYTES)
    except MALFORMED as error:
        raise UserError(f"{file} cannot be read as UTF-8 text ({error}); write it anew.") from error
    lines = tuple(line.strip() for line in text.splitlines())
    prompts = tuple(line for line in lines if line)
    if not prompts or not all(re.fullmatch(_TEMPLATE, line) for line in prompts):
        raise UserError(
            f"{file} must have a prompt in every line, with {{}} at most once, where the subject's "
            "name goes; correct the file."
        )
    return prompts


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
