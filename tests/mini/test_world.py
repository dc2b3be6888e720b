"""The mini world follows from its seed, keeps its splits apart, and draws what a prompt says."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.mini.grammar import (
    CLASSES,
    COLOURS,
    OBJECTS,
    PLACES,
    SIDES,
    TIMES,
    VOCABULARY,
    Scene,
    sample_caption,
    sample_scene,
)
from bench.mini.world import (
    PATTERNS,
    REFERENCE_POSE,
    SIZE,
    SPLITS,
    Identity,
    Image,
    Pose,
    Split,
    generator,
    render_reference,
    render_scene,
    sample_identity,
    sample_pose,
)

GOLDEN = "8e8b06aa96a21051ec4a244fa394877728b656104565f5dea6d986d26ef69586"
POSE = Pose(16.0, 19.5, 9.0, 0.0)
seeds = st.integers(0, 2**32)
splits = st.sampled_from(SPLITS)
indices = st.integers(0, 10_000)
few = settings(max_examples=25, deadline=None)


def scene_of(seed: int) -> Scene:
    return sample_scene(generator(seed))


def difference(one: Image, other: Image) -> float:
    """Mean absolute difference in grey levels, 0 to 255."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_the_pixels_of_the_world_are_frozen() -> None:
    digest = hashlib.sha256()
    for index in range(64):
        rng = generator(0, 2, 0, index, 0)
        scene, identity = sample_scene(rng), sample_identity(0, "train", index)
        digest.update(render_scene(identity, scene, sample_pose(rng, scene)).tobytes())
        digest.update(sample_caption(rng, scene, identity.kind).encode())
    assert digest.hexdigest() == GOLDEN


@few
@given(seeds, splits, indices)
def test_a_subject_follows_from_seed_split_and_index(seed: int, split: Split, index: int) -> None:
    identity = sample_identity(seed, split, index)
    before = render_reference(identity)
    render_scene(sample_identity(seed + 1, split, index), scene_of(seed), POSE)
    assert sample_identity(seed, split, index) == identity
    assert np.array_equal(render_reference(identity), before)


@given(seeds, splits, indices)
def test_subjects_have_two_colours_that_differ_and_a_readable_pattern(
    seed: int, split: Split, index: int
) -> None:
    identity = sample_identity(seed, split, index)
    assert identity.kind == CLASSES[index % len(CLASSES)]
    assert identity.pattern in PATTERNS
    assert 0.5 <= identity.period <= 0.85 and 0 <= identity.angle < np.pi
    assert all(0 <= channel <= 1 for channel in (*identity.body, *identity.second))
    assert np.linalg.norm(np.subtract(identity.body, identity.second)) > 0.25


@given(seeds, indices)
def test_another_seed_or_split_is_another_subject(seed: int, index: int) -> None:
    drawn = {sample_identity(seed, split, index) for split in SPLITS}
    drawn |= {sample_identity(seed + 1, split, index) for split in SPLITS}
    assert len(drawn) == 6


def test_splits_share_no_identity() -> None:
    sizes: dict[Split, int] = {"train": 4096, "validation": 48, "test": 48}
    splits = [{sample_identity(0, split, i) for i in range(n)} for split, n in sizes.items()]
    assert [len(found) for found in splits] == list(sizes.values())
    assert len(set.union(*splits)) == sum(sizes.values())


def test_test_subjects_look_like_no_training_subject() -> None:
    trained = [render_reference(sample_identity(0, "train", i)) for i in range(400)]
    for index in range(48):
        held_out = render_reference(sample_identity(0, "test", index))
        assert min(difference(held_out, image) for image in trained) > 2


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "vase"},
        {"body": (0.9, 0.1, 0.1)},
        {"second": (0.9, 0.1, 0.1)},
        {"pattern": "checks"},
        {"period": 0.8},
        {"angle": 1.5},
        {"emblem": "cross"},
        {"emblem_colour": (0.9, 0.1, 0.1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_an_identity_can_be_seen(change: dict[str, Any]) -> None:
    blue, green, yellow = (0.1, 0.1, 0.9), (0.1, 0.6, 0.1), (0.9, 0.8, 0.1)
    plain = Identity("mug", blue, green, "stripes", 0.5, 0.3, "disc", yellow)
    assert difference(render_reference(plain), render_reference(replace(plain, **change))) > 1


def test_a_reference_stands_on_white_with_room_around_it() -> None:
    for index in range(len(CLASSES)):
        image = render_reference(sample_identity(0, "train", index))
        assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
        edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (edges == 255).all()
        assert (image != 255).any(axis=2).mean() > 0.2


@given(seeds, st.sampled_from(CLASSES))
def test_prompts_and_captions_use_the_vocabulary_alone(seed: int, name: str) -> None:
    rng = generator(seed)
    scene = sample_scene(rng)
    assert scene.template.count("{}") == 1
    for text in (scene.template.format(name), sample_caption(rng, scene, name)):
        assert set(text.split()) <= set(VOCABULARY)
        assert name in text.split()


@given(seeds, st.sampled_from(CLASSES))
def test_a_changed_colour_is_never_hidden_from_the_caption(seed: int, name: str) -> None:
    rng = generator(seed)
    scene = replace(sample_scene(rng), recolour="purple")
    assert f"a purple {name}" in sample_caption(rng, scene, name).replace("photo of a ", "a ")


@given(seeds)
def test_a_second_object_comes_with_a_colour_and_a_side_or_not_at_all(seed: int) -> None:
    scene = scene_of(seed)
    parts = (scene.other, scene.other_colour, scene.side)
    assert all(parts) or not any(parts)
    assert not scene.other or f"a {scene.other_colour} {scene.other} on the" in scene.template


def test_prompts_say_the_whole_scene() -> None:
    scene = Scene("snow", "sunset", "ball", "red", "left", recolour="blue")
    assert scene.template == "a blue {} in snow at sunset with a red ball on the left"
    assert Scene("sea", "night").template == "a {} at sea at night"


def test_different_prompts_are_different_pictures() -> None:
    mug = sample_identity(0, "train", 0)
    scenes = [Scene(place, time) for place in PLACES for time in TIMES]
    images = [render_scene(mug, scene, POSE) for scene in scenes]
    for i, image in enumerate(images):
        assert all(difference(image, other) > 2 for other in images[:i])


@pytest.mark.parametrize("other", OBJECTS)
@pytest.mark.parametrize("side", SIDES)
def test_the_second_object_stands_on_its_side(other: str, side: str) -> None:
    mug, narrow = sample_identity(0, "train", 0), Pose(16.0, 19.5, 6.0, 0.0)
    without = render_scene(mug, Scene("snow", "day"), narrow)
    with_it = render_scene(mug, Scene("snow", "day", other, "red", side), narrow)
    columns = np.flatnonzero((with_it != without).any(axis=(0, 2)))
    assert len(columns) > 3
    assert columns.max() < 16 if side == "left" else columns.min() >= 16


@pytest.mark.parametrize("colour", COLOURS)
def test_a_changed_colour_changes_the_subject_and_not_its_scene(colour: str) -> None:
    subject = replace(sample_identity(0, "train", 0), body=(0.0, 0.0, 0.0))
    plain = render_scene(subject, Scene("grass", "day"), POSE)
    changed = render_scene(subject, Scene("grass", "day", recolour=colour), POSE)
    rows, columns = np.nonzero((plain != changed).any(axis=2))
    assert len(rows) > 20
    assert np.hypot(rows - POSE.y, columns - POSE.x).max() < 1.5 * POSE.half


@few
@given(seeds, splits, indices, seeds)
def test_any_subject_can_be_seen_in_any_scene(
    seed: int, split: Split, index: int, scene_seed: int
) -> None:
    scene, identity = scene_of(scene_seed), sample_identity(seed, split, index)
    pose = sample_pose(generator(scene_seed, 1), scene)
    image = render_scene(identity, scene, pose)
    assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
    assert difference(image, render_scene(identity, scene, replace(pose, x=-90.0))) > 3


@given(seeds)
def test_poses_make_room_for_the_second_object(seed: int) -> None:
    rng = generator(seed)
    left = sample_pose(rng, Scene("sea", "day", "ball", "red", "left"))
    right = sample_pose(rng, Scene("sea", "day", "ball", "red", "right"))
    assert left.x > 16 > right.x
    for pose in (left, right):
        assert 9.2 < pose.half < 11.8 and abs(pose.tilt) <= 0.16


def test_without_difficulty_poses_move_by_whole_tokens_only() -> None:
    pose = sample_pose(generator(0), Scene("sea", "day", "ball", "red", "left"), difficulty=0.0)
    assert (pose.x - REFERENCE_POSE.x, pose.y - REFERENCE_POSE.y) == (4.0, 4.0)
    assert pose.tilt == 0.0


def test_streams_of_the_world_are_independent() -> None:
    draws = {generator(*path).random() for path in [(0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0)]}
    assert len(draws) == 4
    assert generator(5, 1).random() == generator(5, 1).random()
