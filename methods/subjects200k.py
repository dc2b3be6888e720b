"""Subjects200K as corpora: generated pairs of one item, many of them in a studio and in a scene.

Source: huggingface.co/datasets/Yuanshi/Subjects200K (OminiControl, arXiv 2411.15098), apache-2.0.
"""

import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

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


@dataclass(frozen=True)
class Choice:
    """What a corpus takes of the data set.

    ``directions``: each pair both ways round, or once, its studio side being the reference;
    ``described``: only pairs whose descriptions are valid and name the item.
    """

    collections: tuple[str, ...]
    directions: Literal["both", "studio"]
    described: bool


CHOICES = {
    "subjects200k": Choice(COLLECTIONS, "both", described=False),
    "subjects200k-2": Choice(("collection_2",), "studio", described=True),
}
"""By the corpus's name: what SFT trains on (OminiControl), and what pairs are made from (SFO)."""


class Subjects200K:
    """Pairs of full quality in the order of the files.

    Both ways round, a pair's left side is the target first, then its right side; each has its own
    description. Of a studio's and another side, the studio's is the one with the whiter border.
    The files are listed when the corpus is made, images are read when asked for.
    """

    def __init__(self, files: Sequence[Path], name: str = "subjects200k") -> None:
        """UserError for damaged files and when no pair is good enough."""
        self.choice = CHOICES[name]
        self.files = sorted(files, key=lambda file: file.name)
        self.pairs = [
            (file, row, description)
            for file in self.files
            for row, description in _accepted(file, self.choice)
        ]
        if not self.pairs:
            raise UserError(
                f"No pair of {', '.join(self.choice.collections)} in {self.files[0].parent} passes "
                f"the quality filter; fetch {HUB_ID} anew."
            )
        named = [[file.name, file.stat().st_size] for file in self.files]
        self.identity = identity(["subjects200k", 2, astuple(self.choice), named])

    @classmethod
    def from_home(cls, name: str = "subjects200k") -> "Subjects200K":
        """The user's own copy. UserError names the command that fetches it."""
        folder = home() / "data" / "subjects200k"
        files = list(folder.glob("**/*.parquet"))
        if not files:
            raise UserError(
                f"Subjects200K is not at {folder}: run `hf download {HUB_ID} --repo-type dataset "
                f"--local-dir {folder}` (15.9 GB, apache-2.0)."
            )
        return cls(files, name)

    def __len__(self) -> int:
        return len(self.pairs) * (2 if self.choice.directions == "both" else 1)

    def __getitem__(self, index: int) -> Triplet:
        if self.choice.directions == "both":
            file, row, description = self.pairs[index // 2]
            left, right = _sides(file, row)
            onto_left = index % 2 == 0
        else:
            file, row, description = self.pairs[index]
            left, right = _sides(file, row)
            onto_left = whiteness(right) >= whiteness(left)
        reference, target = (right, left) if onto_left else (left, right)
        prompt = description.get("description_0" if onto_left else "description_1") or ""
        return Triplet(reference, target, prompt, description.get("item") or "")


def whiteness(image: Image.Image) -> float:
    """The mean of an RGB image's border pixels in [0, 1]: a studio's background comes near 1."""
    pixels = np.asarray(image, dtype=np.float32) / 255
    border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    return float(np.concatenate(border).mean())


def _accepted(file: Path, choice: Choice) -> list[tuple[int, dict[str, Any]]]:
    rows = _open(file).read(columns=COLUMNS[1:]).to_pylist()
    return [
        (number, row["description"] or {})
        for number, row in enumerate(rows)
        if row["collection"] in choice.collections
        and _is_good(row)
        and (_is_described(row) or not choice.described)
    ]


def _is_good(row: dict[str, Any]) -> bool:
    quality = row["quality_assessment"] or {}
    return all((quality.get(name) or 0) >= LEAST for name in QUALITIES)


def _is_described(row: dict[str, Any]) -> bool:
    description = row["description"] or {}
    return bool(description.get("description_valid")) and bool(description.get("item"))


def _sides(file: Path, row: int) -> tuple[Image.Image, Image.Image]:
    composite = _composite(file, row)
    return composite.crop(LEFT), composite.crop(RIGHT)


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
