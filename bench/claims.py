"""What the names of image files, or the lines of a manifest, say that the images show.

A folder holds ``<subject>/<prompt index>-<seed>.png`` or ``<prompt text>-<seed>.png``, the latter
in the subject's folder or beside all others. A manifest (``.csv`` or ``.jsonl``) names ``image``
(relative to itself), ``subject``, ``prompt`` (index or text) and ``seed``.
"""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.documents import MALFORMED
from bench.errors import UserError
from bench.redaction import printable

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
"""In any letter case; other files are not looked at."""
MANIFESTS = (".csv", ".jsonl")
COLUMNS = ("image", "subject", "prompt", "seed")
DIGITS = 18
"""Of an index or a seed: no suite asks for more."""
DEPTH = 2
"""How deep folders are looked into: one level for subjects, one to name what lies too deep."""


@dataclass(frozen=True)
class Claim:
    """That an image shows a subject as a prompt and a seed ask for it."""

    path: Path
    subject: str | None
    """None where it is not said."""
    prompt: str
    """Index or text; empty where the file's name has no such form."""
    seed: int


def read_claims(source: Path) -> list[Claim]:
    """One per image file of a folder, or per line of a manifest, in no order.

    UserError for a source that is neither and for a line that lacks something.
    """
    if source.is_dir():
        return [_by_name(source, path) for path in _image_files(source)]
    if not (source.is_file() and source.suffix.lower() in MANIFESTS):
        raise UserError(
            f"There is no folder {source}, nor is it a manifest ({' or '.join(MANIFESTS)}); name "
            "the folder with your images."
        )
    return [_by_line(source, line, record) for line, record in _records(source)]


def root_of(source: Path) -> Path:
    """What the images' paths are relative to."""
    return source if source.is_dir() else source.parent


def _image_files(folder: Path) -> Iterator[Path]:
    """Linked folders are followed, which the limit on depth keeps from going round in circles."""
    for place, folders, files in os.walk(folder, followlinks=True):
        here = Path(place)
        deep = len(here.relative_to(folder).parts) >= DEPTH
        folders[:] = [] if deep else [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield here / name


def _by_name(folder: Path, path: Path) -> Claim:
    above = path.relative_to(folder).parts[:-1]
    prompt, _, seed = path.stem.rpartition("-")
    if len(above) > 1 or not (seed.isdecimal() and len(seed) <= DIGITS):
        return Claim(path, None, "", 0)
    return Claim(path, above[0] if above else None, prompt, int(seed))


def _by_line(manifest: Path, line: int, record: Mapping[str, Any]) -> Claim:
    lacking = [column for column in COLUMNS if record.get(column) in (None, "")]
    if lacking:
        raise UserError(
            f"Line {line} of {manifest} has no {' and no '.join(lacking)}; every line needs "
            f"{', '.join(COLUMNS)}."
        )
    image, subject, prompt, seed = (str(record[column]) for column in COLUMNS)
    try:
        place = manifest.parent / image
        return Claim(place, printable(subject), printable(prompt), int(seed))
    except ValueError as error:
        raise UserError(
            f"Line {line} of {manifest} has the seed '{seed}'; write a whole number."
        ) from error


def _records(manifest: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Lines with their numbers; a byte order mark, as spreadsheets write it, is skipped."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            if manifest.suffix.lower() == ".csv":
                rows = csv.DictReader(file)
                yield from ((rows.line_num, row) for row in rows)
            else:
                parsed = ((n, line) for n, line in enumerate(file, start=1) if line.strip())
                yield from ((n, dict(json.loads(line))) for n, line in parsed)
    except MALFORMED as error:
        raise UserError(
            f"The manifest {manifest} cannot be read ({error}); write UTF-8 text, as CSV with a "
            "line of column names or as one JSON object per line."
        ) from error
