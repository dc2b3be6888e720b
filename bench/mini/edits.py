"""Edits in the mini world: a subject put where another of its class stands, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from bench.mini.grammar import CLASSES, Scene, sample_scene
from bench.mini.suite import HEADER, image_row, index_of, world_of, write_suite_tables
from bench.mini.world import (
    SPLITS,
    Identity,
    Image,
    Pose,
    generator,
    render_scene,
    sample_identity,
    sample_pose,
)
from bench.suites import Suite, World

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

STREAM = 7
STRANGERS = 10 * len(CLASSES)
"""Who stands in images to be edited: of the suite's own split, beyond whom any suite asks about."""


def render_source(suite: Suite, subject: str, prompt_index: int) -> Picture:
    """The image to be edited, 32 x 32 RGB: in the subject's place stands another of its class."""
    world = _world(suite)
    return _drawn(_source(world, index_of(subject), prompt_index))


def render_edit(suite: Suite, subject: str, prompt_index: int) -> Picture:
    """The same scene with the subject itself, in the pose of the one that stood there."""
    world, index = _world(suite), index_of(subject)
    return _drawn(_scene_with(_identity(world, index), world, index, prompt_index))


def write_edit_tables(folder: Path) -> None:
    """Write all tables that follow from ``suite.toml`` and ``prompts_object.txt``; freeze them."""
    world = world_of(folder)
    count = len((folder / "prompts_object.txt").read_text(encoding="utf-8").splitlines())
    sources = [HEADER]
    for index, k in product(range(world.count), range(count)):
        file = f"{_identity(world, index).kind}-{index:03d}/{k:02d}.png"
        sources.append(image_row(file, _source(world, index, k)))
    (folder / "sources.tsv").write_text("\n".join(sources) + "\n")
    write_suite_tables(folder)


def _source(world: World, index: int, k: int) -> Image:
    stranger = STRANGERS + k * world.count + index
    return _scene_with(_identity(world, stranger), world, index, k)


def _scene_with(identity: Identity, world: World, index: int, k: int) -> Image:
    scene, pose = _setting(world, index, k)
    return render_scene(identity, scene, pose)


def _setting(world: World, index: int, k: int) -> tuple[Scene, Pose]:
    """A random scene and pose; a changed colour would be a change of the subject."""
    rng = generator(world.seed, STREAM, SPLITS.index(world.split), index, k)
    scene = replace(sample_scene(rng), recolour=None)
    return scene, sample_pose(rng, scene)


def _identity(world: World, index: int) -> Identity:
    return sample_identity(world.seed, world.split, index)


def _world(suite: Suite) -> World:
    if suite.world is None or suite.sources is None:
        raise ValueError(f"{suite.key} is no suite of edits in the mini world")
    return suite.world


def _drawn(image: Image) -> Picture:
    from PIL.Image import fromarray

    return fromarray(image)
