"""Suites drawn from the mini world: their subjects and references, and the files that say so."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api import Subject
from bench.errors import unknown
from bench.mini.world import (
    REFERENCE_POSE,
    SPLITS,
    Image,
    Pose,
    generator,
    render_reference,
    sample_identity,
)
from bench.suites import Suite, World, freeze

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

REFERENCES = tuple(f"{k:02d}.png" for k in range(4))
HEADER = "path\tsha256\tbytes"
"""Of a table of images."""


def render_suite_reference(suite: Suite, subject: Subject, file: str) -> Picture:
    """A subject alone on white, 32 x 32 RGB; ``00.png`` is the upright one methods are given."""
    from PIL.Image import fromarray

    if file not in subject.references:
        raise unknown(f"reference image of {suite.key}", file, subject.references)
    if suite.world is None:
        raise ValueError(f"{suite.key} draws its images but names no world")
    index = index_of(subject.directory)
    return fromarray(_render(suite.world, index, REFERENCES.index(file)))


def index_of(directory: str) -> int:
    """Which subject of its split lies in a directory."""
    return int(directory.rpartition("-")[2])


def world_of(folder: Path) -> World:
    """The world that a suite's ``suite.toml`` names."""
    text = (folder / "suite.toml").read_text(encoding="utf-8")
    return World.model_validate(tomllib.loads(text)["world"])


def image_row(path: str, image: Image) -> str:
    """The line of a drawn image in a table of images."""
    pixels = image.tobytes()
    return f"{path}\t{hashlib.sha256(pixels).hexdigest()}\t{len(pixels)}"


def write_suite_tables(folder: Path) -> None:
    """Write the subjects and image digests that follow from ``suite.toml``, and freeze them."""
    world = world_of(folder)
    subjects = ["directory\tclass_noun\tdescriptive_name\tlive"]
    images = [HEADER]
    for index in range(world.count):
        kind = sample_identity(world.seed, world.split, index).kind
        subjects.append(f"{kind}-{index:03d}\t{kind}\t{kind}\t0")
        for k, file in enumerate(REFERENCES):
            images.append(image_row(f"{kind}-{index:03d}/{file}", _render(world, index, k)))
    (folder / "subjects.tsv").write_text("\n".join(subjects) + "\n")
    (folder / "images.tsv").write_text("\n".join(images) + "\n")
    freeze(folder)


def _render(world: World, index: int, k: int) -> Image:
    identity = sample_identity(world.seed, world.split, index)
    return render_reference(identity, _pose(world, index, k))


def _pose(world: World, index: int, k: int) -> Pose:
    """Reference 0 stands as in training; the others differ a little in place, size and tilt."""
    if k == 0:
        return REFERENCE_POSE
    rng = generator(world.seed, 3, SPLITS.index(world.split), index, k)
    dx, dy, size, tilt = (2 * rng.random() - 1 for _ in range(4))
    return Pose(16.0 + 1.5 * dx, 16.0 + 1.5 * dy, 11.2 + 0.8 * size, 0.16 * tilt)
