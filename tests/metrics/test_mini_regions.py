"""In the mini world a subject is found by what scenes look like, and only where there is one."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bench.metrics.cutters import Box
from bench.metrics.mini_regions import MiniBackground, MiniBox, MiniSubject, segment
from bench.metrics.regions import NEUTRAL, WHITE, Mask
from bench.mini.grammar import Scene, sample_scene
from bench.mini.world import (
    Identity,
    Pose,
    generator,
    render_reference,
    render_scene,
    render_setting,
    sample_identity,
    sample_pose,
)

STREAM = 99
BY_DAY = [Scene(place, "day") for place in ("grass", "stage", "sea")]
EMPTY = np.array([render_setting(scene) for scene in BY_DAY], float)
Drawn = tuple[NDArray[np.uint8], Mask]


@cache
def scene(number: int) -> Drawn:
    """A random scene and where its subject truly is."""
    rng = generator(0, STREAM, number)
    said = replace(sample_scene(rng), recolour=None)
    subject, pose = sample_identity(0, "train", number), sample_pose(rng, said)
    return render_scene(subject, said, pose), truth(subject, pose)


def truth(subject: Identity, pose: Pose) -> Mask:
    """The subject is what stays when the place changes: pixels that it covers by half or more."""
    shown = np.array([render_scene(subject, place, pose) for place in BY_DAY], float)
    covered: Mask = shown.std(axis=0).sum(axis=-1) < 0.5 * EMPTY.std(axis=0).sum(axis=-1)
    return covered


def overlap(found: Mask | None, true: Mask) -> float:
    return 0.0 if found is None else float((found & true).sum() / (found | true).sum())


def noisy(image: NDArray[np.uint8], deviation: float, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, deviation, image.shape)
    return Image.fromarray(np.clip(image + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(("deviation", "mean", "worst"), [(0, 0.91, 0.8), (6, 0.9, 0.8)])
def test_masks_are_the_true_ones_in_drawings_and_in_what_a_generator_makes_of_them(
    deviation: float, mean: float, worst: float
) -> None:
    overlaps = [
        overlap(segment(noisy(image, deviation))[1], true) for image, true in map(scene, range(100))
    ]
    assert np.mean(overlaps) >= mean and np.min(overlaps) >= worst


@given(number=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_box_holds_the_mask_and_no_more(number: int) -> None:
    grounding, mask = segment(Image.fromarray(scene(number)[0]))
    assert grounding.box is not None and mask is not None
    left, top, right, bottom = map(int, grounding.box)
    cut = mask[top : bottom + 1, left : right + 1]
    assert cut.sum() == mask.sum()
    assert cut[0].any() and cut[-1].any() and cut[:, 0].any() and cut[:, -1].any()


@pytest.mark.parametrize("number", range(8))
def test_a_subject_is_found_on_the_white_of_references(number: int) -> None:
    subject = sample_identity(0, "test", number)
    mask = segment(Image.fromarray(render_reference(subject)))[1]
    assert overlap(mask, truth(subject, Pose(16.0, 16.0, 12.5, 0.0))) > 0.85


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_second_object_is_no_subject(side: str) -> None:
    beside = Scene("snow", "day", other="ball", other_colour="red", side=side)
    assert segment(Image.fromarray(render_setting(beside)))[1] is None
    subject = sample_identity(0, "train", 2)
    alone = segment(Image.fromarray(render_scene(subject, Scene("snow", "day"), UPRIGHT)))[1]
    accompanied = segment(Image.fromarray(render_scene(subject, beside, UPRIGHT)))[1]
    assert alone is not None and np.array_equal(alone, accompanied)


UPRIGHT = Pose(16.0, 19.5, 9.0, 0.0)
SPECK = np.hypot(*np.mgrid[-9:23, -9:23]) < 2.5
NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
NOTHING = {
    "an empty scene": render_setting(Scene("sea", "night")),
    "noise": NOISE,
    "a plain colour": np.full((32, 32, 3), (200, 30, 90), np.uint8),
    "a speck": np.where(SPECK[..., None], np.uint8(0), np.uint8(255)).repeat(3, axis=2),
}


@pytest.mark.parametrize("image", NOTHING.values(), ids=NOTHING.keys())
def test_where_nothing_is_found_the_whole_image_is_shown(image: NDArray[np.uint8]) -> None:
    shown = Image.fromarray(image)
    for cutter in (MiniBox(), MiniSubject(), MiniBackground()):
        (finding,) = cutter.find([shown], ["mug"])
        assert not cutter.found(finding)
        assert cutter.show(shown, finding).tobytes() == shown.tobytes()


def test_an_image_of_another_size_has_a_mask_of_its_own_size() -> None:
    image, _ = scene(3)
    small, large = Image.fromarray(image), Image.fromarray(image.repeat(4, 0).repeat(4, 1))
    mask, enlarged = segment(small)[1], segment(large)[1]
    assert mask is not None and enlarged is not None and enlarged.shape == (128, 128)
    assert np.array_equal(enlarged[::4, ::4], mask)


def test_the_subject_is_shown_on_white_and_the_background_without_it() -> None:
    image = Image.fromarray(scene(4)[0])
    mask = segment(image)[1]
    assert mask is not None
    box, subject, background = (
        np.asarray(cutter.show(image, cutter.find([image], ["any"])[0]))
        for cutter in (MiniBox(), MiniSubject(), MiniBackground())
    )
    assert box.shape == subject.shape != background.shape
    assert ((box == subject).all(axis=-1) | (subject == WHITE).all(axis=-1)).all()
    assert (background[mask] == NEUTRAL).all()
    assert (background[~mask] == np.asarray(image)[~mask]).all()


def test_what_is_found_serves_all_three_and_no_other_region() -> None:
    kinds = (MiniBox, MiniSubject, MiniBackground)
    assert len({kind().findings for kind in kinds}) == 1
    assert len({kind().recipe for kind in kinds}) == 3
    assert issubclass(MiniBox, Box)
