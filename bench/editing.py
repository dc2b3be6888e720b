"""Images to be edited: read from a table of the hub, kept beside the suite's own tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import pictures
from bench.archives import BYTES, as_folder
from bench.errors import UserError
from bench.identity import file_digest
from bench.paths import home
from bench.references import is_file_of
from bench.suites import Suite, read_table

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS = ("uid", "subject", "image")
"""What a table must have: the sample's number, the subject's directory, and the image, a struct
with ``bytes``, as the ``datasets`` library stores one. Others are not looked at."""
SHIPPED = ("subjects.tsv", "prompts.tsv", "images.tsv")


def open_source(suite: Suite, subject: str, prompt_index: int) -> Image:
    """The image that this prompt's case is to edit, as RGB: upright, transparency on white.

    UserError for a suite that has none, or where the file is not the one that was added.
    """
    if suite.sources is None:
        raise UserError(f"{suite.key} has no images to be edited; choose a suite of edits.")
    if suite.source == "mini":
        from bench.mini.edits import render_source

        return render_source(suite, subject, prompt_index)
    image = suite.sources[subject][prompt_index]
    path = source_folder(suite) / image.path
    if not path.is_file() or not is_file_of(image.sha256, path):
        raise UserError(
            f"The image to be edited {path} is not the one that was added of {suite.key}; add the "
            f"table again with 'bench data add {suite.name} PATH'."
        )
    return pictures.read(path)


def source_folder(suite: Suite) -> Path:
    """Where the images to be edited lie on this machine."""
    return home() / "data" / suite.name


def write(path: Path, specified: Path, folder: Path) -> None:
    """The tables of the suite that is ``specified``, and the images to be edited beside them.

    ``path`` is the table, or a folder or archive with it. UserError for another table, and for an
    image that is none.
    """
    for name in SHIPPED:
        shutil.copyfile(specified / name, folder / name)
    expected = _expected(specified)
    lines = ["path\tsha256\tbytes"]
    with _table(path) as table:
        images = _images(table, expected)
    for uid, (subject, index) in expected.items():
        kept = folder / subject / f"{index:02d}"
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(_whole(path, uid, images[uid]))
        lines.append(f"{subject}/{kept.name}\t{file_digest(kept)}\t{kept.stat().st_size}")
    (folder / "sources.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _expected(specified: Path) -> dict[int, tuple[str, int]]:
    """Sample number to subject and prompt index."""
    found: list[tuple[str, int]] = []
    for row in read_table(specified / "prompts.tsv"):
        found.append((row["directory"], sum(row["directory"] == known for known, _ in found)))
    return dict(enumerate(found))


@contextmanager
def _table(path: Path) -> Iterator[Path]:
    """The table itself; among several, the one of the samples that are evaluated."""
    if path.suffix == ".parquet" and path.is_file():
        yield path
        return
    with as_folder(path, lambda name: name.endswith(".parquet")) as folder:
        tables = sorted(folder.rglob("*.parquet"))
        wanted = [table for table in tables if "eval" in table.relative_to(folder).as_posix()]
        if not tables:
            raise UserError(f"There is no parquet file in {path}; name the official download.")
        yield (wanted or tables)[0]


def _images(table: Path, expected: dict[int, tuple[str, int]]) -> dict[int, bytes]:
    """Sample number to the bytes of its image."""
    from pyarrow import ArrowException

    try:
        rows = _rows(table, len(expected))
        found = {int(row["uid"]): str(row["subject"]) for row in rows}
        images = {int(row["uid"]): _content(row["image"]) for row in rows}
    except (ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{table} cannot be read as a table of images ({type(error).__name__}); nothing was "
            "added: download it again."
        ) from error
    for uid, (subject, _) in expected.items():
        if found.get(uid) != subject:
            raise UserError(
                f"Sample {uid} in {table} is of {found.get(uid, 'nothing')} and not of {subject}; "
                "nothing was added: name the table of the samples that are evaluated."
            )
    return images


def _rows(table: Path, count: int) -> list[dict[str, Any]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(table) as file:
        names, told = file.schema_arrow.names, file.metadata
        if missing := [column for column in COLUMNS if column not in names]:
            raise UserError(
                f"{table} has the columns {', '.join(names)} and lacks {', '.join(missing)}; "
                "nothing was added: name the table of images to be edited."
            )
        volume = sum(told.row_group(k).total_byte_size for k in range(told.num_row_groups))
        if told.num_rows != count or volume > BYTES:
            raise UserError(
                f"{table} has {told.num_rows} rows of {volume / 1e6:.0f} MB instead of {count} "
                "samples; nothing was added: name the table of the samples that are evaluated."
            )
        rows: list[dict[str, Any]] = file.read(columns=list(COLUMNS)).to_pylist()
        return rows


def _content(image: dict[str, bytes] | bytes) -> bytes:
    return bytes(image["bytes"] if isinstance(image, dict) else image)


def _whole(table: Path, uid: int, content: bytes) -> bytes:
    try:
        pictures.inspect(table, content)
    except pictures.Unreadable as error:
        raise UserError(
            f"The image of sample {uid} in {table} cannot be read ({error.reason}); nothing was "
            "added: download it again."
        ) from error
    return content
