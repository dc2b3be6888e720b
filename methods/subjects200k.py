"""Subjects200K as a corpus: generated pairs of one item, alone in a studio and in a scene.

Source: huggingface.co/datasets/Yuanshi/Subjects200K (OminiControl, arXiv 2411.15098), apache-2.0.
"""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench.errors import UserError
from bench.identity import identity
from bench.methods.corpora import Triplet
from bench.paths import home

HUB_ID = "Yuanshi/Subjects200K"
COLLECTIONS = ("collection_1", "collection_2")
COLUMNS = ["image", "collection", "quality_assessment", "description"]
QUALITIES = ("compositeStructure", "objectConsistency", "imageQuality")
LEAST = 5
LEFT, RIGHT = (8, 8, 520, 520), (528, 8, 1040, 520)
"""The crops that OminiControl cuts; the right one starts at its tile's very edge."""


class Subjects200K:
    """Pairs of full quality whose descriptions are valid, in the order of the files.

    The side with the whiter border is the reference, the other one the target with its own
    description. The files are listed when the corpus is made, images are read when asked for.
    """

    def __init__(self, files: Sequence[Path], collections: Sequence[str] = COLLECTIONS) -> None:
        """UserError for damaged files and when no pair is good enough."""
        self.files = sorted(files, key=lambda file: file.name)
        self.pairs = [
            (file, row, description)
            for file in self.files
            for row, description in _accepted(file, collections)
        ]
        if not self.pairs:
            raise UserError(
                f"No pair of {', '.join(collections)} in {self.files[0].parent} passes the quality "
                f"filter; fetch {HUB_ID} anew."
            )
        named = [[file.name, file.stat().st_size] for file in self.files]
        self.identity = identity(["subjects200k", 1, sorted(collections), named])

    @classmethod
    def from_home(cls, collections: Sequence[str] = COLLECTIONS) -> "Subjects200K":
        """The user's own copy. UserError names the command that fetches it."""
        folder = home() / "data" / "subjects200k"
        files = list(folder.glob("**/*.parquet"))
        if not files:
            raise UserError(
                f"Subjects200K is not at {folder}: run `hf download {HUB_ID} --repo-type dataset "
                f"--local-dir {folder}` (15.9 GB, apache-2.0)."
            )
        return cls(files, collections)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Triplet:
        file, row, description = self.pairs[index]
        composite = _composite(file, row)
        left, right = composite.crop(LEFT), composite.crop(RIGHT)
        if whiteness(right) >= whiteness(left):
            reference, target, prompt = right, left, description["description_0"]
        else:
            reference, target, prompt = left, right, description["description_1"]
        return Triplet(reference, target, prompt, description["item"])


def whiteness(image: Image.Image) -> float:
    """The mean of an RGB image's border pixels in [0, 1]: a studio's background comes near 1."""
    pixels = np.asarray(image, dtype=np.float32) / 255
    border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    return float(np.concatenate(border).mean())


def _accepted(file: Path, collections: Sequence[str]) -> list[tuple[int, dict[str, Any]]]:
    rows = _open(file).read(columns=COLUMNS[1:]).to_pylist()
    return [
        (number, row["description"])
        for number, row in enumerate(rows)
        if row["collection"] in collections and _is_good(row)
    ]


def _is_good(row: dict[str, Any]) -> bool:
    quality, description = row["quality_assessment"] or {}, row["description"] or {}
    return (
        all((quality.get(name) or 0) >= LEAST for name in QUALITIES)
        and bool(description.get("description_valid"))
        and bool(description.get("item"))
    )


def _composite(file: Path, row: int) -> Image.Image:
    parquet = _open(file)
    group = 0
    while row >= (size := parquet.metadata.row_group(group).num_rows):
        row, group = row - size, group + 1
    cell = parquet.read_row_group(group, columns=["image"])["image"][row].as_py()
    with Image.open(io.BytesIO(cell["bytes"])) as image:
        return image.convert("RGB")


@cache
def _open(file: Path) -> pq.ParquetFile:
    try:
        parquet = pq.ParquetFile(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{file} is damaged; fetch {HUB_ID} anew.") from error
    missing = set(COLUMNS) - set(parquet.schema_arrow.names)
    if missing:
        raise UserError(
            f"{file} is no part of {HUB_ID}: it has no column {', '.join(sorted(missing))}; "
            "remove it."
        )
    return parquet
